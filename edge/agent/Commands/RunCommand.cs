using System.CommandLine;
using System.Runtime.InteropServices;
using Florete.Agent.Configuration;
using Florete.Agent.Processes;
using Florete.Hosting;
using Microsoft.Extensions.Logging;

namespace Florete.Agent.Commands;

/// <summary><c>florete-agent run</c> and <c>check</c>.</summary>
internal static partial class RunCommand
{
    public static Command Run()
    {
        var configuration = CommonOptions.RequiredConfiguration();
        var parent = new Option<int?>("--exit-with-parent") { Description = "Stops everything when the process of this id is gone.", HelpName = "PID" };
        var run = new Command("run", "Runs the node's programs. SIGINT and SIGTERM stop them and the agent, SIGHUP makes it read its file again; killed, it leaves them running.") { configuration, parent };
        run.SetAction(parsed => RunAsync(parsed.GetRequiredValue(configuration), parsed.GetValue(parent)));
        return run;
    }

    public static Command Check()
    {
        var configuration = CommonOptions.RequiredConfiguration();
        var check = new Command("check", "Validates the file and starts nothing.") { configuration };
        check.SetAction(parsed =>
        {
            if (AgentFile.Load(parsed.GetRequiredValue(configuration), out var problems) is { } valid)
            {
                Console.WriteLine($"{valid.File} is valid: {valid.Workloads.Count} workloads.");
                return 0;
            }
            foreach (var problem in problems) Console.Error.WriteLine(problem);
            return 1;
        });
        return check;
    }

    public static Command Stop()
    {
        var configuration = CommonOptions.RequiredConfiguration();
        var stop = new Command("stop", "Stops the agent and all that it runs, or what an agent that was killed has left.") { configuration };
        stop.SetAction(async (parsed, cancellationToken) =>
        {
            if (AgentFile.Load(parsed.GetRequiredValue(configuration), out var problems) is not { } valid)
            {
                foreach (var problem in problems) await Console.Error.WriteLineAsync(problem.ToString()).ConfigureAwait(false);
                return 1;
            }
            var stopped = await Leftovers.StopAsync(valid, cancellationToken).ConfigureAwait(false);
            Console.WriteLine(stopped.Count == 0 ? "Nothing runs." : $"Stopped: {string.Join(", ", stopped)}.");
            return 0;
        });
        return stop;
    }

    private static async Task<int> RunAsync(string file, int? parent)
    {
        if (AgentFile.Load(file, out var problems) is not { } configuration)
        {
            foreach (var problem in problems) await Console.Error.WriteLineAsync(problem.ToString()).ConfigureAwait(false);
            return 1;
        }
        using var logs = CommonOptions.Logs();
        var logger = logs.CreateLogger("Florete.Agent");
        using var stopping = new CancellationTokenSource();
        NodeAgent? agent = null;
        void OnStop(PosixSignalContext context)
        {
            context.Cancel = true;
            stopping.Cancel();
        }
        void OnReload(PosixSignalContext context)
        {
            context.Cancel = true;
            if (agent is { } running) _ = ReloadAsync(running, logger);
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnStop);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnStop);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnReload);
        try
        {
            await using var started = await NodeAgent.StartAsync(configuration, TimeProvider.System, logger, stopping.Token).ConfigureAwait(false);
            agent = started;
            var ended = parent is { } id ? ParentWatch.WaitAsync(id, stopping.Token) : Task.Delay(Timeout.Infinite, stopping.Token);
            await await Task.WhenAny(started.Failure, ended).ConfigureAwait(false);
            Orphaned(logger, parent!.Value);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            return 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"florete-agent: {e.Message}").ConfigureAwait(false);
            return 1;
        }
        return 0;
    }

    private static async Task ReloadAsync(NodeAgent agent, ILogger logger)
    {
        try
        {
            await agent.ReloadAsync().ConfigureAwait(false);
        }
        catch (Exception e)
        {
            ReloadFaulted(logger, e);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Process {Id}, which this one is to end with, is gone")]
    private static partial void Orphaned(ILogger logger, int id);

    [LoggerMessage(Level = LogLevel.Error, Message = "Reading the file again ended by a fault of this program")]
    private static partial void ReloadFaulted(ILogger logger, Exception fault);
}
