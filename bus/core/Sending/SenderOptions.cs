namespace Florete.Bus;

/// <summary>What a sender may hold of messages that no consumer has completed yet.</summary>
public sealed record SenderOptions
{
    /// <summary>Messages for one queue; 1 to 1 000 000.</summary>
    public int MaxQueueMessages { get; init; } = 10_000;

    /// <summary>Bytes for one queue, each message counted with 256 bytes beside its own.</summary>
    public long MaxQueueBytes { get; init; } = 16 << 20;

    /// <summary>Messages in all; the last quarter is for queues that are received now.</summary>
    public int MaxMessages { get; init; } = 100_000;

    /// <summary>Bytes in all; the last quarter is for queues that are received now.</summary>
    public long MaxBytes { get; init; } = 64 << 20;

    /// <summary>How long a message is held for a queue that nobody receives.</summary>
    public TimeSpan HoldTime { get; init; } = TimeSpan.FromMinutes(10);

    /// <exception cref="ArgumentException">A value is out of its range; says which.</exception>
    public void Validate()
    {
        const string Advice = "; choose at least 1, or leave it out.";
        if (MaxQueueMessages < 1) throw new ArgumentException($"{nameof(MaxQueueMessages)} is {MaxQueueMessages}{Advice}");
        if (MaxMessages < MaxQueueMessages) throw new ArgumentException($"{nameof(MaxMessages)} is {MaxMessages}, less than {nameof(MaxQueueMessages)} ({MaxQueueMessages}).");
        var least = BusLimits.MaxMessageBytes + BusLimits.MaxHeaderBytes + BusLimits.MessageOverheadBytes;
        if (MaxQueueBytes < least) throw new ArgumentException($"{nameof(MaxQueueBytes)} is {MaxQueueBytes}; one message of the largest size has {least} bytes.");
        if (MaxBytes < MaxQueueBytes) throw new ArgumentException($"{nameof(MaxBytes)} is {MaxBytes}, less than {nameof(MaxQueueBytes)} ({MaxQueueBytes}).");
        if (HoldTime <= TimeSpan.Zero) throw new ArgumentException($"{nameof(HoldTime)} is {HoldTime}; it must be positive.");
    }
}
