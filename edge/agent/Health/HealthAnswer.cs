namespace Florete.Agent.Health;

/// <summary>What a check says of a workload.</summary>
public enum HealthState
{
    /// <summary>It does its work.</summary>
    Ready,

    /// <summary>It answers, and waits for something: starting it anew would bring that no sooner.</summary>
    NotReady,

    /// <summary>It does not answer, or not as a healthy program does.</summary>
    Broken,
}

/// <param name="State">What it is.</param>
/// <param name="Reason">For people; empty when it is ready.</param>
public readonly record struct HealthAnswer(HealthState State, string Reason)
{
    public static HealthAnswer Ready { get; } = new(HealthState.Ready, "");

    public static HealthAnswer NotReady(string reason) => new(HealthState.NotReady, reason);

    public static HealthAnswer Broken(string reason) => new(HealthState.Broken, reason);
}
