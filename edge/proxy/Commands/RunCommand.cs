using System.CommandLine;
using System.Runtime.InteropServices;
using Florete.Hosting;
using Florete.Proxy.Configuration;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Commands;

/// <summary><c>flor run</c>: the node itself, until it is told to stop.</summary>
internal static partial class RunCommand
{
    public static Command Create()
    {
        var configuration = CommonOptions.RequiredConfiguration();
        var parent = new Option<int?>("--exit-with-parent") { Description = "Ends when the process of this id is gone.", HelpName = "PID" };
        var run = new Command("run", "Runs the node in the foreground. SIGINT and SIGTERM stop it, SIGHUP makes it read its files again.") { configuration, parent };
        run.SetAction(parsed => RunAsync(parsed.GetValue(configuration)!, parsed.GetValue(parent)));
        return run;
    }

    private static async Task<int> RunAsync(string file, int? parent)
    {
        if (ConfigurationFile.Load(file, out var problems) is not { } configuration)
        {
            foreach (var problem in problems) await Console.Error.WriteLineAsync(problem.ToString()).ConfigureAwait(false);
            return 1;
        }
        using var logs = CommonOptions.Logs();
        var logger = logs.CreateLogger("Florete.Node");
        using var stopping = new CancellationTokenSource();
        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        FlorNode? node = null;
        void OnStop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.TrySetResult();
            // Also gives up a start that hangs.
            if (node is null) stopping.Cancel();
        }
        void OnReload(PosixSignalContext context)
        {
            context.Cancel = true;
            if (node is { } running) _ = ReloadAsync(running, logger, stopping.Token);
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnStop);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnStop);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnReload);
        try
        {
            await using var started = await FlorNode.StartAsync(configuration, LayerClusterVertex.StartAsync, logs, stopping.Token).ConfigureAwait(false);
            node = started;
            var orphaned = parent is { } id ? ParentWatch.WaitAsync(id, stopping.Token) : Task.Delay(Timeout.Infinite, stopping.Token);
            await Task.WhenAny(stop.Task, orphaned).ConfigureAwait(false);
            if (!stop.Task.IsCompleted) Orphaned(logger, parent!.Value);
            await stopping.CancelAsync().ConfigureAwait(false);
        }
        catch (StartupException e)
        {
            foreach (var problem in e.Problems) await Console.Error.WriteLineAsync(problem).ConfigureAwait(false);
            return 1;
        }
        catch (OperationCanceledException) when (stop.Task.IsCompleted)
        {
            // Told to stop while it started.
        }
        return 0;
    }

    private static async Task ReloadAsync(FlorNode node, ILogger logger, CancellationToken cancellationToken)
    {
        try
        {
            await node.ReloadAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            ReloadFaulted(logger, e);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Process {Id}, which this one is to end with, is gone")]
    private static partial void Orphaned(ILogger logger, int id);

    [LoggerMessage(Level = LogLevel.Error, Message = "Reading the files again ended by a fault of this program")]
    private static partial void ReloadFaulted(ILogger logger, Exception fault);
}
