namespace Florete.Links;

/// <summary>What became of a received datagram. Every one ends in exactly one of these (docs/protocols/link-udp.md "Segment").</summary>
public enum DatagramFate
{
    /// <summary>Part of an SDU that was authenticated.</summary>
    Accepted,
    Quic,
    QuicUnknown,
    Malformed,
    UnknownIndex,
    UnknownEpoch,
    OutOfRange,
    Replayed,
    Unauthentic,
    WrongAddress,
    DuplicateSegment,

    /// <summary>Part of an SDU whose other segments did not come in time, or whose link ended.</summary>
    Incomplete,

    /// <summary>A handshake above the limits.</summary>
    TooManyHandshakes,
}

/// <summary>Datagrams by their fate. Plain fields of one loop; read elsewhere they may be a moment old.</summary>
public sealed class DatagramCounters
{
    private readonly long[] counts = new long[Enum.GetValues<DatagramFate>().Length];

    /// <summary>All datagrams received. The fates and <see cref="Pending"/> add up to it.</summary>
    public long Received { get; internal set; }

    /// <summary>Segments that wait in reassembly slots.</summary>
    public long Pending { get; internal set; }

    public long this[DatagramFate fate] => Volatile.Read(ref counts[(int)fate]);

    /// <summary>Sum over all fates.</summary>
    public long Settled => counts.Sum();

    internal void Count(DatagramFate fate, int datagrams = 1) => counts[(int)fate] += datagrams;
}
