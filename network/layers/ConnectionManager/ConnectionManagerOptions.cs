using Florete.Identities;
using Florete.Portals;

namespace Florete.Layers;

/// <summary>A layer below, as the connection manager meets it: by its portal alone.</summary>
/// <param name="Name">For people, in status and errors.</param>
/// <param name="Portal">Its portal.</param>
/// <param name="NeighboursToDial">Vertices to keep a link with; others may dial this vertex.</param>
public sealed record Underlay(string Name, IPortal Portal, IReadOnlyList<SpiffeId> NeighboursToDial);

/// <summary>Settings of a <see cref="ConnectionManager"/>; the defaults fit.</summary>
public sealed record ConnectionManagerOptions
{
    /// <summary>Wait after the first failed dial; doubles from one to the next.</summary>
    public TimeSpan LeastBackoff { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>The longest wait between two dials.</summary>
    public TimeSpan MostBackoff { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A link that stood this long makes the failures before it forgotten.</summary>
    public TimeSpan StableAfter { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long one dial may take.</summary>
    public TimeSpan DialTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a link that a newer one replaces goes on receiving what is under way.</summary>
    public TimeSpan ReplacedLinger { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Least time between two changes of one advertised metric: each is flooded to the whole layer.</summary>
    public TimeSpan MetricInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Standing links in all; what a vertex can advertise in its record.</summary>
    public int MaxAdjacencies { get; init; } = 96;

    /// <exception cref="ArgumentException">A setting is out of range; the message names it.</exception>
    public void Validate()
    {
        if (LeastBackoff <= TimeSpan.Zero) throw new ArgumentException("LeastBackoff must be more than 0.");
        if (MostBackoff < LeastBackoff) throw new ArgumentException("MostBackoff must be at least LeastBackoff.");
        if (DialTimeout <= TimeSpan.Zero) throw new ArgumentException("DialTimeout must be more than 0.");
        if (StableAfter < TimeSpan.Zero) throw new ArgumentException("StableAfter must not be negative.");
        if (ReplacedLinger < TimeSpan.Zero) throw new ArgumentException("ReplacedLinger must not be negative.");
        if (MetricInterval < TimeSpan.Zero) throw new ArgumentException("MetricInterval must not be negative.");
        if (MaxAdjacencies is < 1 or > 1024) throw new ArgumentException("MaxAdjacencies must be 1 to 1024.");
    }
}

/// <summary>How it stands with one neighbour over one underlay.</summary>
/// <param name="Neighbour">The other vertex.</param>
/// <param name="Underlay">Name of the underlay.</param>
/// <param name="Links">Standing links; more than one only for moments.</param>
/// <param name="IsDialled">This vertex dials it.</param>
/// <param name="FailedDials">Dials since the last link that stood for long.</param>
/// <param name="LastError">Why the last dial failed, or the last link ended; null if nothing did.</param>
public sealed record NeighbourStatus(SpiffeId Neighbour, string Underlay, int Links, bool IsDialled, int FailedDials, string? LastError);
