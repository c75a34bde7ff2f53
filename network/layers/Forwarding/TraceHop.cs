using Florete.Identities;

namespace Florete.Layers;

/// <summary>What a probe met.</summary>
public enum ProbeOutcome
{
    /// <summary>A vertex on the way answered: the time to live ended there.</summary>
    Passed,

    /// <summary>The vertex that was asked for answered.</summary>
    Reached,

    /// <summary>A vertex on the way has no path on.</summary>
    Unreachable,

    /// <summary>No answer in time.</summary>
    TimedOut,
}

/// <summary>One hop of a trace, or the answer to a ping.</summary>
/// <param name="Hop">Links from here; the time to live of the probe.</param>
/// <param name="Outcome">What happened.</param>
/// <param name="Vertex">Who answered; null if nobody did. The vertex says so itself.</param>
/// <param name="RoundTrip">Null if nobody answered.</param>
/// <param name="Code">Why, if unreachable.</param>
public sealed record TraceHop(int Hop, ProbeOutcome Outcome, SpiffeId? Vertex, TimeSpan? RoundTrip, UnreachableCode Code = UnreachableCode.None);

/// <summary>Another vertex says that it could not pass on a packet of this one. A hint, unproved.</summary>
/// <param name="Type">Payload type of the packet.</param>
/// <param name="FlowLabel">Its flow label.</param>
/// <param name="Label">The label that could not be followed.</param>
/// <param name="Vertex">Who says so.</param>
/// <param name="IsTimeExceeded">The time to live ran out; otherwise <paramref name="Code"/> says why.</param>
/// <param name="Code">Why not.</param>
public readonly record struct PacketRefusal(PayloadType Type, uint FlowLabel, Label Label, SpiffeId Vertex, bool IsTimeExceeded, UnreachableCode Code);
