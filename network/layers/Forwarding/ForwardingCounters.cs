namespace Florete.Layers;

/// <summary>Why the forwarding engine dropped a packet. Every dropped packet counts under exactly one.</summary>
public enum DropReason
{
    /// <summary>Not a packet of a layer (docs/protocols/layer-packet.md).</summary>
    Malformed,

    /// <summary>The time to live ran out: a path that is too long, a loop, or a trace.</summary>
    TimeToLive,

    /// <summary>No vertex with that node segment can be reached, or the adjacency segment is not ours.</summary>
    NoRoute,

    /// <summary>The next hop is lost and there is no way around it, or the way around is lost too.</summary>
    NoRepair,

    /// <summary>The repair would need more segments than a packet may have.</summary>
    TooManySegments,

    /// <summary>Larger than the next link takes.</summary>
    TooLarge,

    /// <summary>For this vertex, but nothing here takes that payload type.</summary>
    NoReceiver,

    /// <summary>The queue of packets from this vertex to itself is full.</summary>
    LoopbackFull,
}

/// <summary>Counters of a <see cref="ForwardingEngine"/>, in packets. Written inside turns; others may read them at any time.</summary>
public sealed class ForwardingCounters
{
    private readonly long[] drops = new long[Enum.GetValues<DropReason>().Length];

    /// <summary>Arrived over an adjacency.</summary>
    public long Received { get; internal set; }

    /// <summary>Passed on for others.</summary>
    public long Forwarded { get; internal set; }

    /// <summary>Given to a local receiver.</summary>
    public long Delivered { get; internal set; }

    /// <summary>Made here, and on their way.</summary>
    public long Sent { get; internal set; }

    /// <summary>Sent or forwarded by a repair, because their next hop is lost.</summary>
    public long Repaired { get; internal set; }

    public long Dropped(DropReason reason) => Volatile.Read(ref drops[(int)reason]);

    internal void Drop(DropReason reason) => drops[(int)reason]++;
}
