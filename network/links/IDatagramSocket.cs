namespace Florete.Links;

/// <summary>
/// One UDP port. Loop-affine: called, and calls back, inside turns of one loop. The seam between the link and the kernel, or a simulated network.
/// Errors that the network reports for one destination never end it.
/// </summary>
public interface IDatagramSocket : IDisposable
{
    /// <summary>Where it is bound.</summary>
    UdpAddress Local { get; }

    /// <summary>Begins to receive; call once.</summary>
    void Start(IDatagramReceiver receiver);

    /// <summary>Sends all datagrams of the batch, or none of them. The batch may be reused when this returns.</summary>
    SendResult Send(DatagramBatch batch);
}

/// <summary>The user of an <see cref="IDatagramSocket"/>.</summary>
public interface IDatagramReceiver
{
    /// <summary>
    /// Datagrams from one address, one after the other in memory, all of <paramref name="datagramBytes"/> bytes but the last, which may be shorter.
    /// The memory is valid during the call only.
    /// </summary>
    void OnDatagrams(UdpAddress from, ReadOnlySpan<byte> datagrams, int datagramBytes);

    /// <summary>After <see cref="SendResult.Blocked"/>: try again.</summary>
    void OnWritable();

    /// <summary>A network device has changed; whether it matters here, a send will tell.</summary>
    void OnMediumChanged();
}

/// <summary>What became of a send.</summary>
public enum SendResult
{
    Sent,

    /// <summary>The kernel's buffer is full; <see cref="IDatagramReceiver.OnWritable"/> will say when to try again.</summary>
    Blocked,

    /// <summary>A datagram is larger than the path or the device carries.</summary>
    TooLarge,

    /// <summary>There is no way to that address now (no route, device down, forbidden by a filter).</summary>
    Unreachable,
}
