using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>What the header of a delivered packet said.</summary>
/// <param name="Type">The payload type.</param>
/// <param name="Backward">Node segment of the vertex that made the packet, unproved; meaningless if <paramref name="IsNeighbourLocal"/>.</param>
/// <param name="FlowLabel">The flow label; 0 if <paramref name="IsNeighbourLocal"/>.</param>
/// <param name="Class">From the TC field.</param>
/// <param name="TimeToLive">What was left of it on arrival.</param>
/// <param name="IsNeighbourLocal">The packet came from the neighbour itself and is not for anyone else.</param>
/// <param name="Arrival">The adjacency it came over; null: this vertex sent it to itself.</param>
public readonly record struct PacketHeader(
    PayloadType Type, Label Backward, uint FlowLabel, TrafficClass Class, byte TimeToLive, bool IsNeighbourLocal, Adjacency? Arrival);

/// <summary>A local user of the forwarding engine: receives every packet of one payload type that is for this vertex.</summary>
public interface ILocalReceiver
{
    /// <summary>Takes ownership of the packet, whose span is the payload alone. Inside a turn of the engine's loop.</summary>
    void OnPacket(PacketBuffer payload, in PacketHeader header);
}

/// <summary>What became of a packet given to <see cref="ForwardingEngine"/>. The packet is no longer the caller's in any case.</summary>
public enum SendResult
{
    /// <summary>Handed to a link's queue, or queued for this vertex itself.</summary>
    Sent,

    /// <summary>No path to the vertex now, or this vertex has no segment of its own yet.</summary>
    NoRoute,

    /// <summary>Larger than the next link takes, or more segments than allowed.</summary>
    TooLarge,

    /// <summary>A queue of this vertex is full.</summary>
    QueueFull,

    /// <summary>A segment of the explicit path makes no sense here.</summary>
    BadPath,
}

/// <summary>The measured properties of the path that packets to a vertex take, the worst of its links counting.</summary>
/// <param name="MetricMicroseconds">Sum of the metrics.</param>
/// <param name="Hops">Links to pass; 0: the vertex itself.</param>
/// <param name="LossPartsPerMillion">Loss of the worst link.</param>
/// <param name="CapacityBitsPerSecond">Capacity of the narrowest link whose capacity is known; 0: none is known.</param>
/// <param name="MaxDatagramBytes">Largest SDU of the first link; of the others nothing is known.</param>
/// <param name="UnsegmentedDatagramBytes">Largest SDU that travels in one piece on the first link.</param>
public readonly record struct PathQuality(
    long MetricMicroseconds, int Hops, uint LossPartsPerMillion, ulong CapacityBitsPerSecond, int MaxDatagramBytes, int UnsegmentedDatagramBytes)
{
    /// <summary>Segments that are decided for it, above the destination's.</summary>
    public int PushedSegments { get; init; }

    /// <summary>What is put before a payload on this path.</summary>
    public int HeaderBytes => LayerSizes.BaseHeaderBytes + (PushedSegments * LabelStackEntry.Bytes);

    /// <summary>The first link takes the large payload with a full stack of segments.</summary>
    public bool CarriesLargePayload => MaxDatagramBytes >= LayerSizes.LargePayloadBytes + LayerSizes.MaxHeaderBytes;
}
