namespace Florete.Agent.Contracts;

/// <summary>What the agent tells of one workload.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Phase">Where it is.</param>
/// <param name="Reason">Why it is not ready; empty when it is.</param>
/// <param name="ProcessId">Null: none runs.</param>
/// <param name="Restarts">Starts after the first, by this agent.</param>
/// <param name="Since">Of the phase.</param>
/// <param name="ReadyMilliseconds">From the last start to the first good check; null: not yet, or it was taken over.</param>
/// <param name="LogFile">Its output.</param>
public sealed record WorkloadStatus(
    string Name, WorkloadPhase Phase, string Reason, int? ProcessId, int Restarts, DateTimeOffset Since, long? ReadyMilliseconds, string LogFile);
