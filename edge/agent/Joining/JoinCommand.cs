using System.CommandLine;
using System.Globalization;
using System.Net;
using Florete.Configuration;
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
        var outbound = Pairs("--outbound", "A service of this node and where its program listens, SERVICE=HOST:PORT. May be repeated.", "SERVICE=HOST:PORT");
        var proxy = Pairs("--proxy", "A SOCKS and HTTP proxy for all programs of the machine, ADDRESS:PORT=KIND/NAME. May be repeated.", "ADDRESS:PORT=KIND/NAME");
        var portal = new Option<string[]>("--portal") { Description = "An identity whose programs have a portal socket here, KIND/NAME. May be repeated.", HelpName = "KIND/NAME" };
        var patience = new Option<int>("--timeout") { Description = "Seconds to try while nobody can be reached.", DefaultValueFactory = static _ => (int)UsualPatience.TotalSeconds };
        var join = new Command("join", "Makes this machine a node. May be repeated at any moment: it goes on where it was.") { token, folder, listen, owner, letJoin, outbound, proxy, portal, patience };
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
                    Outbounds = parsed.GetValue(outbound) ?? [],
                    Proxies = parsed.GetValue(proxy) ?? [],
                    Portals = parsed.GetValue(portal) ?? [],
                    Patience = TimeSpan.FromSeconds(parsed.GetValue(patience)),
                };
                await joiner.JoinAsync(cancellationToken).ConfigureAwait(false);
                Console.WriteLine($"{read.Node.Path} of cluster {read.Cluster} is in {parsed.GetRequiredValue(folder)}. Next: florete-agent run --config {Path.Combine(parsed.GetRequiredValue(folder), ControlPlane.AgentFileName)}");
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

    private static Option<(string, string)[]> Pairs(string name, string description, string form) => new(name)
    {
        Description = description,
        HelpName = form,
        CustomParser = result =>
        {
            var pairs = new List<(string, string)>();
            foreach (var token in result.Tokens)
            {
                var equals = token.Value.IndexOf('=', StringComparison.Ordinal);
                // Exactly one of the two is an address, whichever side it stands on.
                var (left, right) = equals < 0 ? ("", "") : (token.Value[..equals], token.Value[(equals + 1)..]);
                var isProxy = form[0] == 'A';
                var isRight = isProxy ? IPEndPoint.TryParse(left, out var at) && at.Port > 0 && IdentityKinds.TryParsePath(right, "x", out _, out _)
                    : SpiffeId.TryParse($"spiffe://x/service/{left}", out _, out _) && IsEndpoint(right);
                if (isRight) pairs.Add((left, right));
                else result.AddError($"'{token.Value}' is not {form}.");
            }
            return [.. pairs];
        },
    };

    private static bool IsEndpoint(string text)
    {
        var colon = text.LastIndexOf(':');
        return colon > 0 && ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > 0
            && Uri.CheckHostName(text[..colon].Trim('[', ']')) != UriHostNameType.Unknown;
    }
}
