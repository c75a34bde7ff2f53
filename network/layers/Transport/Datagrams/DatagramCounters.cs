using Florete.Sealing;

namespace Florete.Layers;

/// <summary>What became of the sealed datagrams at a transport endpoint. Every received one ends in exactly one counter. Loop-affine.</summary>
internal sealed class DatagramCounters
{
    public long Sent { get; set; }

    /// <summary>Not sent: too large, no key, or no way; what a link's queue drops, the link counts.</summary>
    public long Unsent { get; set; }

    public long Delivered { get; set; }

    /// <summary>Authentic, but nobody listened.</summary>
    public long Unread { get; set; }

    public long Malformed { get; set; }

    public long UnknownIndex { get; set; }

    public long UnknownEpoch { get; set; }

    public long OutOfRange { get; set; }

    public long Replayed { get; set; }

    public long Unauthentic { get; set; }

    public void CountRefused(OpenResult result)
    {
        switch (result)
        {
            case OpenResult.UnknownEpoch: UnknownEpoch++; break;
            case OpenResult.OutOfRange: OutOfRange++; break;
            case OpenResult.Replayed: Replayed++; break;
            default: Unauthentic++; break;
        }
    }

    public IEnumerable<KeyValuePair<string, long>> All() =>
    [
        new("datagramsSent", Sent), new("datagramsUnsent", Unsent), new("datagramsDelivered", Delivered), new("datagramsUnread", Unread),
        new("datagramsMalformed", Malformed), new("datagramsUnknownIndex", UnknownIndex), new("datagramsUnknownEpoch", UnknownEpoch),
        new("datagramsOutOfRange", OutOfRange), new("datagramsReplayed", Replayed), new("datagramsUnauthentic", Unauthentic),
    ];
}
