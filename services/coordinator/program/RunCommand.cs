using System.CommandLine;
using Florete.Hosting;
using Florete.PortalSocket;
using Microsoft.Extensions.Logging;

namespace Florete.Coordination.Program;

/// <summary><c>florete-coordinator run</c>: until it is told to stop.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        var portal = new Option<string>("--portal") { Description = "The portal socket of service/coordinator.", HelpName = "SOCKET", Required = true };
        var node = new Option<string>("--node") { Description = "The portal socket of node/NAME, this node.", HelpName = "SOCKET", Required = true };
        var run = new Command("run", "Stands for election in its group, and coordinates it when it is elected. SIGINT and SIGTERM stop it.") { portal, node };
        run.SetAction((parsed, _) => RunAsync(parsed.GetRequiredValue(portal), parsed.GetRequiredValue(node)));
        return run;
    }

    private static async Task<int> RunAsync(string portal, string node)
    {
        using var stop = new StopSignal();
        var server = await CoordinatorServer.StartAsync(new PortalSocketClient(portal), new PortalSocketClient(node), Log).ConfigureAwait(false);
        await using (server.ConfigureAwait(false))
        {
            await Task.WhenAny(stop.Received, server.Running).ConfigureAwait(false);
            if (server.Running.Exception?.GetBaseException() is not { } fault) return 0;
            // A fault of the program itself ends it: it has nothing to lose, and whoever started it starts it again.
            await Console.Error.WriteLineAsync($"florete-coordinator: a fault of this program: {fault}").ConfigureAwait(false);
            return 1;
        }
    }

    private static void Log(ILoggingBuilder logging) => logging.AddProgramLog().AddFilter("MassTransit", LogLevel.Warning);
}
