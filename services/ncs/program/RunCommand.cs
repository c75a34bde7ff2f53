using System.CommandLine;
using Florete.Hosting;
using Florete.PortalSocket;
using Microsoft.Extensions.Logging;

namespace Florete.Ncs.Program;

/// <summary><c>florete-ncs run</c>: until it is told to stop.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        var portal = new Option<string>("--portal") { Description = "The portal socket of service/ncs.", HelpName = "SOCKET", Required = true };
        var node = new Option<string>("--node") { Description = "The portal socket of this node, node/NAME: its vertex tells the topology.", HelpName = "SOCKET", Required = true };
        var askers = new Option<string[]>("--asker")
        {
            Description = "Who may ask over the bus, beside every node; several times for several. The bounds must allow it, both ways.",
            HelpName = "IDENTITY",
            DefaultValueFactory = static _ => ["coordinator"],
        };
        var run = new Command("run", "Answers path requests in the foreground. SIGINT and SIGTERM stop it.") { portal, node, askers };
        run.SetAction((parsed, _) => RunAsync(parsed.GetRequiredValue(portal), parsed.GetRequiredValue(node), parsed.GetValue(askers) ?? []));
        return run;
    }

    private static async Task<int> RunAsync(string portal, string node, string[] askers)
    {
        using var stop = new StopSignal();
        NcsServer server;
        try
        {
            server = await NcsServer.StartAsync(new PortalSocketClient(portal), new PortalSocketClient(node), [.. askers, "node/*"], Log).ConfigureAwait(false);
        }
        catch (ArgumentException e)
        {
            await Console.Error.WriteLineAsync($"florete-ncs: {e.Message}").ConfigureAwait(false);
            return 1;
        }
        await using (server.ConfigureAwait(false)) await stop.Received.ConfigureAwait(false);
        return 0;
    }

    private static void Log(ILoggingBuilder logging) => logging.AddProgramLog().AddFilter("MassTransit", LogLevel.Warning);
}
