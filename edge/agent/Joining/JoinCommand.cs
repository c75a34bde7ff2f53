using System.CommandLine;
using System.Net;
using Florete.Identities;

namespace Florete.Agent.Joining;

/// <summary><c>florete-agent join</c></summary>
internal static class JoinCommand
{
    private static readonly TimeSpan UsualPatience = TimeSpan.FromMinutes(2);

    public static Command Create()
    {
        var token = new Argument<string>("TOKEN") { Description = "As florctl token create printed it; - reads it from standard input." };
        var folder = new Option<string>("--folder") { Description = "The folder to make, from which the node runs.", Required = true, HelpName = "DIR" };
        var listen = new Option<string>("--listen") { Description = "UDP address of its links, ADDRESS:PORT.", DefaultValueFactory = static _ => "0.0.0.0:7431" };
        var owner = new Option<string>("--owner") { Description = "The user of this machine as whom Florete's services run here.", DefaultValueFactory = static _ => Environment.UserName, HelpName = "USER" };
        var letJoin = new Option<bool>("--let-join") { Description = "Let strangers with a token join through it." };
        var patience = new Option<int>("--timeout") { Description = "Seconds to try while nobody can be reached.", DefaultValueFactory = static _ => (int)UsualPatience.TotalSeconds };
        var join = new Command("join", "Makes this machine a node. May be repeated at any moment: it goes on where it was.") { token, folder, listen, owner, letJoin, patience };
        join.SetAction(async (parsed, cancellationToken) =>
        {
            try
            {
                var text = parsed.GetRequiredValue(token);
                if (text == "-") text = await Console.In.ReadToEndAsync(cancellationToken).ConfigureAwait(false);
                if (!JoinToken.TryParse(text, out var read, out var flaw)) throw new JoinException(JoinRefusal.Malformed, $"{flaw} (florctl token create makes one).");
                if (!IPEndPoint.TryParse(parsed.GetValue(listen)!, out var address) || address.Port == 0) throw new JoinException(JoinRefusal.Malformed, $"--listen: '{parsed.GetValue(listen)}' is not ADDRESS:PORT; write an IP address, as in 0.0.0.0:7431.");
                var joiner = new NodeJoiner(read, Path.GetFullPath(parsed.GetRequiredValue(folder)), Console.Error.WriteLine)
                {
                    Listen = address.ToString(),
                    ServicesOwner = parsed.GetValue(owner)!,
                    LetsJoin = parsed.GetValue(letJoin),
                    Patience = TimeSpan.FromSeconds(parsed.GetValue(patience)),
                };
                await joiner.JoinAsync(cancellationToken).ConfigureAwait(false);
                Console.WriteLine($"{read.Node.Path} of cluster {read.Cluster} is in {parsed.GetRequiredValue(folder)}. Next: flor run --config {Path.Combine(parsed.GetRequiredValue(folder), "flor.yaml")}, and florete-identity run --folder {parsed.GetRequiredValue(folder)}");
                return 0;
            }
            catch (Exception e) when (e is JoinException or IdentityException or IOException or UnauthorizedAccessException)
            {
                await Console.Error.WriteLineAsync($"florete-agent: {e.Message}").ConfigureAwait(false);
                return 1;
            }
            catch (OperationCanceledException)
            {
                await Console.Error.WriteLineAsync("florete-agent: stopped; the same command goes on where it was.").ConfigureAwait(false);
                return 1;
            }
        });
        return join;
    }
}
