using Florete.Identities;

namespace Florete.Links;

/// <summary>A link at one moment, for <c>flor status</c>.</summary>
public sealed record LinkStatus(
    SpiffeId Local, SpiffeId Neighbour, string Address, string? ObservedAddress, bool IsUp, TimeSpan Age, TimeSpan? RoundTrip, double SendingLoss,
    double ReceivingLoss, long? CapacityBitsPerSecond, int DatagramBytes, TimeSpan DetectionTime, int Epoch, DateTimeOffset NeighbourSvidNotAfter,
    long SentDatagrams, long SentBytes, long ReceivedSegments, long ReceivedSduBytes, int QueuedBytes, long QueueDrops);

/// <summary>A UDP port with its links at one moment.</summary>
public sealed record UdpPortStatus(
    string Address, long ReceivedDatagrams, long PendingSegments, IReadOnlyDictionary<DatagramFate, long> Fates, int HalfOpenHandshakes, IReadOnlyList<LinkStatus> Links);
