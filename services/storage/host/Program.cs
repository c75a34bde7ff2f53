using System.CommandLine;
using System.Globalization;
using Florete.Hosting;
using Florete.Identities;
using Florete.PortalSocket;
using Florete.Storage.Api;

namespace Florete.Storage.Host;

/// <summary><c>florete-storage run</c>: a replica, until it is told to stop. Ends with 0: stopped; 1: it cannot run; 2: it was asked wrongly.</summary>
public static class Program
{
    public static async Task<int> Main(string[] args)
    {
        var root = new RootCommand("A replica of the storage, published through its node's flor.") { Run() };
        var parsed = root.Parse(args);
        if (parsed.Errors.Count == 0) return await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null }).ConfigureAwait(false);
        await Console.Error.WriteLineAsync($"florete-storage: {parsed.Errors[^1].Message}\n  See: florete-storage run --help").ConfigureAwait(false);
        return 2;
    }

    private static Command Run()
    {
        var portal = new Option<string>("--portal") { Description = "The portal socket of service/storage.", Required = true, HelpName = "SOCKET" };
        var state = new Option<string>("--state") { Description = "Folder of the database; made if needed.", Required = true, HelpName = "DIR" };
        var bundle = new Option<string>("--bundle") { Description = "The cluster's trust bundle; looked at every second.", Required = true, HelpName = "FILE" };
        var bounds = new Option<string>("--bounds") { Description = "The signed bounds; looked at every second.", Required = true, HelpName = "FILE" };
        var maxBytes = new Option<long>("--max-bytes") { Description = "Bytes on disk; beyond it writes are refused.", DefaultValueFactory = static _ => 4L << 30, HelpName = "N" };
        var maxDocuments = new Option<int>("--max-documents") { Description = "Documents; beyond it new ones are refused.", DefaultValueFactory = static _ => 1_000_000, HelpName = "N" };
        var run = new Command("run", "Runs the replica in the foreground. SIGINT and SIGTERM stop it.") { portal, state, bundle, bounds, maxBytes, maxDocuments };
        run.SetAction((parsed, _) => RunAsync(new StorageOptions
        {
            Portal = parsed.GetRequiredValue(portal),
            StateFolder = parsed.GetRequiredValue(state),
            BundleFile = parsed.GetRequiredValue(bundle),
            BoundsFile = parsed.GetRequiredValue(bounds),
            MaxBytes = parsed.GetValue(maxBytes),
            MaxDocuments = parsed.GetValue(maxDocuments),
        }));
        return run;
    }

    private static async Task<int> RunAsync(StorageOptions options)
    {
        if (options.Validate() is { Count: > 0 } problems)
        {
            foreach (var problem in problems) await Console.Error.WriteLineAsync(problem).ConfigureAwait(false);
            return 1;
        }
        using var stop = new StopSignal();
        try
        {
            var server = await StorageServer.StartAsync(options, new PortalSocketClient(options.Portal), static logging => logging.AddProgramLog()).ConfigureAwait(false);
            await using (server.ConfigureAwait(false))
            {
                // A fault of the replica itself ends the process: what is on disk is whole, and whoever started it starts it again.
                await Task.WhenAny(stop.Received, server.Failed).ConfigureAwait(false);
                if (!server.Failed.IsCompleted) return 0;
                var fault = await server.Failed.ConfigureAwait(false);
                await Console.Error.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"florete-storage: {fault.Message}")).ConfigureAwait(false);
                return 1;
            }
        }
        catch (Exception e) when (e is IdentityException or StorageStartException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"florete-storage: {e.Message}").ConfigureAwait(false);
            return 1;
        }
    }
}
