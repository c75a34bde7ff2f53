namespace Florete.EndToEnd.Tests.Harness;

/// <summary>What a wire does to frames, each direction alike. Probabilities are 0 to 1; the seed makes a run repeatable.</summary>
public sealed record Impairment
{
    /// <summary>A wire that only passes on.</summary>
    public static readonly Impairment None = new();

    public double Loss { get; init; }

    public double Duplication { get; init; }

    /// <summary>The share of frames that do not wait for <see cref="Delay"/> and so overtake others (as `netem reorder`).</summary>
    public double Reordering { get; init; }

    public TimeSpan Delay { get; init; }

    /// <summary>Delay varies evenly by so much to either side, frame by frame, so that frames overtake each other (as netem does without a rate).</summary>
    public TimeSpan Jitter { get; init; }

    /// <summary>Bits per second of Ethernet frames; 0 is no limit.</summary>
    public long Rate { get; init; }

    /// <summary>Frames that wait; one more is dropped. As netem's default.</summary>
    public int Queue { get; init; } = 1000;

    public int Seed { get; init; } = 1;
}
