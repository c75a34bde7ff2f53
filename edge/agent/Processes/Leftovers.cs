using Florete.Agent.Configuration;

namespace Florete.Agent.Processes;

/// <summary>Stops an agent from outside, and what one that was killed has left.</summary>
internal static class Leftovers
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    /// <summary>Returns when nothing of it runs any more.</summary>
    /// <returns>The names of what has been stopped.</returns>
    public static async Task<IReadOnlyList<string>> StopAsync(AgentConfiguration configuration, CancellationToken cancellationToken)
    {
        var stopped = new List<string>();
        if (AgentLock.Holder(configuration.StateFolder) is { } agent)
        {
            stopped.Add("agent");
            var start = LinuxProcesses.StartOf(agent);
            LinuxProcesses.Signal(agent, LinuxProcesses.Terminate);
            while (start is not null && LinuxProcesses.IsAlive(agent, start.Value)) await Task.Delay(Poll, cancellationToken).ConfigureAwait(false);
        }
        var order = configuration.Workloads.Select(static workload => workload.Name).ToList();
        foreach (var found in LinuxProcesses.Find(configuration.StateFolder).OrderByDescending(found => order.IndexOf(found.Mark.Workload)))
        {
            stopped.Add(found.Mark.Workload);
            await WorkloadProcess.TakeOver(found).StopAsync(
                configuration.Workloads.FirstOrDefault(workload => workload.Name == found.Mark.Workload)?.StopWithin ?? WorkloadProcess.UsualStopWithin, TimeProvider.System).ConfigureAwait(false);
        }
        return stopped;
    }
}
