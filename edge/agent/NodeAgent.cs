using Florete.Agent.Configuration;
using Florete.Agent.Contracts;
using Florete.Agent.Control;
using Florete.Agent.Health;
using Florete.Agent.Processes;
using Florete.Agent.Supervision;
using Florete.Configuration;
using Microsoft.Extensions.Logging;

namespace Florete.Agent;

/// <summary>
/// Keeps running what its file asks for. Disposing it stops everything, in the reverse order; when it is killed instead, everything goes on and
/// the next agent takes it over.
/// </summary>
public sealed partial class NodeAgent : IAsyncDisposable
{
    private readonly ILogger logger;
    private readonly TimeProvider time;
    private readonly FileStream stateLock;
    private readonly HealthProbe probe;
    private readonly SemaphoreSlim changing = new(1);
    private readonly TaskCompletionSource failure = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ControlServer? control;
    private volatile WorkloadRunner[] runners = [];
    private AgentConfiguration configuration;

    private NodeAgent(AgentConfiguration configuration, FileStream stateLock, TimeProvider time, ILogger logger)
    {
        (this.configuration, this.stateLock, this.time, this.logger) = (configuration, stateLock, time, logger);
        probe = new HealthProbe(configuration);
    }

    /// <summary>Of every workload, in the order of the file.</summary>
    public IReadOnlyList<WorkloadStatus> Status => runners.Select(static runner => runner.Status).ToArray();

    /// <summary>Why the node is not fit for its work; empty: it is.</summary>
    public IReadOnlyList<string> Problems => Status.Where(static status => status.Phase != WorkloadPhase.Ready).Select(static status => $"{status.Name} is {status.Phase.ToString().ToLowerInvariant()}: {status.Reason}").ToArray();

    /// <summary>Takes over what runs already, starts the rest, and serves the control socket.</summary>
    /// <exception cref="IOException">Another agent has the state folder, or a folder or socket cannot be made; the message names it.</exception>
    public static async Task<NodeAgent> StartAsync(AgentConfiguration configuration, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        var owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(configuration.StateFolder, owner);
        Directory.CreateDirectory(configuration.LogFolder, owner);
        var agent = new NodeAgent(configuration, AgentLock.Take(configuration.StateFolder), time, logger);
        try
        {
            agent.control = await ControlServer.StartAsync(configuration.ControlSocket, agent, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            agent.probe.Dispose();
            await agent.stateLock.DisposeAsync().ConfigureAwait(false);
            throw;
        }
        await agent.ApplyAsync(configuration).ConfigureAwait(false);
        return agent;
    }

    /// <summary>Puts another file in force. State folder, control and portal socket stay what they were at the start.</summary>
    /// <returns>What cannot be changed while it runs, for people; empty when everything is in force.</returns>
    public async Task<IReadOnlyList<string>> ApplyAsync(AgentConfiguration wanted)
    {
        await changing.WaitAsync().ConfigureAwait(false);
        try
        {
            var kept = runners.ToDictionary(static runner => runner.Workload.Name);
            var next = new List<WorkloadRunner>();
            var leaving = runners.Where(runner => !wanted.Workloads.Any(workload => IsSame(runner, workload))).ToArray();
            foreach (var runner in leaving.Reverse()) await runner.StopAsync().ConfigureAwait(false);
            var found = LinuxProcesses.Find(configuration.StateFolder).ToLookup(static process => process.Mark.Workload);
            await RemoveAsync(found.SelectMany(static group => group).Where(process => !runners.Except(leaving).Any(runner => runner.Mark == process.Mark)
                && !wanted.Workloads.Any(workload => MarkOf(workload) == process.Mark))).ConfigureAwait(false);
            foreach (var workload in wanted.Workloads)
            {
                if (kept.TryGetValue(workload.Name, out var runner) && !leaving.Contains(runner)) next.Add(runner);
                else next.Add(Run(workload, found[workload.Name].Where(process => process.Mark == MarkOf(workload)).ToArray()));
            }
            runners = [.. next];
            var immutable = Immutable(wanted).ToArray();
            configuration = wanted with
            {
                StateFolder = configuration.StateFolder,
                LogFolder = configuration.LogFolder,
                ControlSocket = configuration.ControlSocket,
                PortalSocket = configuration.PortalSocket,
                Cluster = configuration.Cluster,
                Node = configuration.Node,
            };
            return immutable;
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>Reads the file again; one with problems changes nothing.</summary>
    /// <returns>The problems; empty when it is in force.</returns>
    public async Task<IReadOnlyList<string>> ReloadAsync()
    {
        if (AgentFile.Load(configuration.File, out var problems) is not { } wanted)
        {
            foreach (var problem in problems) NotReloaded(logger, problem);
            return problems.Select(static problem => problem.ToString()).ToArray();
        }
        var kept = await ApplyAsync(wanted).ConfigureAwait(false);
        foreach (var problem in kept) Kept(logger, problem);
        Reloaded(logger, configuration.File);
        return kept;
    }

    /// <summary>Starts a workload anew; false: there is none of that name.</summary>
    public bool Restart(string name)
    {
        var runner = runners.FirstOrDefault(runner => runner.Workload.Name == name);
        runner?.Restart();
        return runner is not null;
    }

    /// <summary>Fails when the agent itself has failed at a workload; never completes otherwise.</summary>
    public Task Failure => failure.Task;

    public async ValueTask DisposeAsync()
    {
        await changing.WaitAsync().ConfigureAwait(false);
        foreach (var runner in runners.Reverse()) await runner.StopAsync().ConfigureAwait(false);
        if (control is not null) await control.DisposeAsync().ConfigureAwait(false);
        probe.Dispose();
        await stateLock.DisposeAsync().ConfigureAwait(false);
        changing.Dispose();
    }

    private WorkloadMark MarkOf(WorkloadConfiguration workload) => WorkloadMark.Of(configuration.StateFolder, workload);

    private bool IsSame(WorkloadRunner runner, WorkloadConfiguration workload) => runner.Mark == MarkOf(workload)
        && (runner.Workload.Health, runner.Workload.Restart, runner.Workload.StartWithin, runner.Workload.StopWithin)
            == (workload.Health, workload.Restart, workload.StartWithin, workload.StopWithin);

    private WorkloadRunner Run(WorkloadConfiguration workload, FoundProcess[] found)
    {
        var runner = new WorkloadRunner(workload, MarkOf(workload), found.FirstOrDefault(), new WorkloadLog(configuration.LogFolder, workload.Name), probe, time, logger);
        _ = NoticeAsync(runner);
        return runner;
    }

    private async Task NoticeAsync(WorkloadRunner runner)
    {
        try
        {
            await runner.Completion.ConfigureAwait(false);
        }
        catch (Exception e)
        {
            failure.TrySetException(e);
        }
    }

    // Of an earlier agent, and no longer asked for, or asked for differently.
    private async Task RemoveAsync(IEnumerable<FoundProcess> processes)
    {
        foreach (var found in processes)
        {
            Removing(logger, found.Mark.Workload, found.Id);
            await WorkloadProcess.TakeOver(found).StopAsync(WorkloadProcess.UsualStopWithin, time).ConfigureAwait(false);
        }
    }

    private IEnumerable<string> Immutable(AgentConfiguration wanted)
    {
        foreach (var (key, was, now) in new[]
        {
            ("state", configuration.StateFolder, wanted.StateFolder), ("logs", configuration.LogFolder, wanted.LogFolder), ("control", configuration.ControlSocket, wanted.ControlSocket),
            ("portal", configuration.PortalSocket, wanted.PortalSocket), ("cluster", configuration.Cluster, wanted.Cluster), ("node", configuration.Node, wanted.Node),
        })
        {
            if (was != now) yield return $"{key} stays '{was}' until the agent is started anew; workloads go on meanwhile if it is killed, not stopped";
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Workload}: process {Id} of an earlier agent is not asked for any more and is told to end")]
    private static partial void Removing(ILogger logger, string workload, int id);

    [LoggerMessage(Level = LogLevel.Information, Message = "{File} is in force")]
    private static partial void Reloaded(ILogger logger, string file);

    [LoggerMessage(Level = LogLevel.Error, Message = "The file is not put in force: {Problem}")]
    private static partial void NotReloaded(ILogger logger, ConfigurationProblem problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Problem}")]
    private static partial void Kept(ILogger logger, string problem);
}
