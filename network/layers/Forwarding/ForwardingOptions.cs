namespace Florete.Layers;

/// <summary>Settings of a <see cref="ForwardingEngine"/>; the defaults fit.</summary>
public sealed record ForwardingOptions
{
    /// <summary>How long the vertex beside a failure keeps its repairs before it installs new next hops (RFC 8333 §4).</summary>
    public TimeSpan RepairHold { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Least time between two computations, so that a stream of news costs a bounded share of the loop.</summary>
    public TimeSpan ComputeInterval { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>OAM answers a second (and that many in a burst) to packets that could not go on; RFC 1812 §4.3.2.8 asks for a limit.</summary>
    public int ErrorAnswersPerSecond { get; init; } = 100;

    /// <summary>Echo replies a second, and that many in a burst.</summary>
    public int EchoRepliesPerSecond { get; init; } = 200;

    /// <exception cref="ArgumentException">A setting is out of range; the message names it.</exception>
    public void Validate()
    {
        if (RepairHold < TimeSpan.Zero || RepairHold > TimeSpan.FromSeconds(10)) throw new ArgumentException("RepairHold must be 0 to 10 s.");
        if (ComputeInterval < TimeSpan.Zero || ComputeInterval > TimeSpan.FromSeconds(1)) throw new ArgumentException("ComputeInterval must be 0 to 1 s.");
        if (ErrorAnswersPerSecond is < 1 or > 100_000) throw new ArgumentException("ErrorAnswersPerSecond must be 1 to 100000.");
        if (EchoRepliesPerSecond is < 1 or > 100_000) throw new ArgumentException("EchoRepliesPerSecond must be 1 to 100000.");
    }
}
