namespace Florete.Agent.Supervision;

/// <summary>What the core wants done next.</summary>
public enum SupervisionStep
{
    /// <summary>Nothing until <see cref="WorkloadSupervision.Due"/>, or until something happens.</summary>
    Wait,

    /// <summary>Start the program, then say <see cref="WorkloadSupervision.Started"/> or <see cref="WorkloadSupervision.StartFailed"/>.</summary>
    Start,

    /// <summary>Ask for its health, then say <see cref="WorkloadSupervision.Checked"/>.</summary>
    Check,

    /// <summary>Send SIGTERM.</summary>
    Terminate,

    /// <summary>Send SIGKILL to it and to what it started.</summary>
    Kill,
}

/// <summary>How a process ended. One that was taken over has no code: only a parent is told it.</summary>
/// <param name="Code">Exit code; null: unknown.</param>
public readonly record struct ProcessEnd(int? Code)
{
    /// <summary>Unknown counts as failed.</summary>
    public bool IsFailure => Code != 0;

    /// <summary>For people. A shell's convention: 128 and the signal.</summary>
    public override string ToString() => Code switch
    {
        null => "ended",
        > 128 and < 192 => $"killed by signal {Code - 128}",
        _ => $"ended with code {Code}",
    };
}
