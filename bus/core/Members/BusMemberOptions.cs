namespace Florete.Bus;

/// <summary>How a program takes part in the bus.</summary>
public sealed record BusMemberOptions
{
    /// <summary>
    /// The identities to send to, beside this member's own: <c>storage</c> (a service), <c>storage.rete</c>, <c>workload/robot-*</c>, <c>*</c> (every service). Only these are connected to.
    /// </summary>
    public IReadOnlyList<string> Peers { get; init; } = [];

    /// <summary>What may be held.</summary>
    public SenderOptions Sender { get; init; } = new();

    /// <summary>How long a send waits for room, and a publish to meet the peers, before it fails.</summary>
    public TimeSpan SendTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a stop waits for held messages that somebody receives to be completed.</summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <exception cref="ArgumentException">A value is out of its range; says which.</exception>
    public void Validate()
    {
        foreach (var peer in Peers) PeerPattern.Parse(peer);
        Sender.Validate();
        if (SendTimeout <= TimeSpan.Zero) throw new ArgumentException($"{nameof(SendTimeout)} is {SendTimeout}; it must be positive.");
        if (StopTimeout < TimeSpan.Zero) throw new ArgumentException($"{nameof(StopTimeout)} is {StopTimeout}; it must not be negative.");
    }
}
