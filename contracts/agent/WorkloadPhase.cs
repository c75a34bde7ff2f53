namespace Florete.Agent.Contracts;

/// <summary>Where a workload is.</summary>
public enum WorkloadPhase
{
    /// <summary>It does not run, and is about to be started.</summary>
    Waiting,

    /// <summary>It runs, and has not been ready since.</summary>
    Starting,

    /// <summary>It runs, and its last check was good.</summary>
    Ready,

    /// <summary>It was ready, and its last check was not good: it waits for something, or does not answer, but not often enough yet to start it anew.</summary>
    Failing,

    /// <summary>It has been told to end.</summary>
    Stopping,

    /// <summary>It has ended and stays so: its rule says so, or the agent stops.</summary>
    Ended,
}
