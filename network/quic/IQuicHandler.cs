namespace Florete.Quic;

/// <summary>
/// What a connection tells its owner. Every method runs inside a call of the owner (<see cref="QuicConnection.Receive"/>, Write, HandleExpiry,
/// Close): it may use streams and <see cref="QuicConnection.Close"/>, but not Receive, Write or HandleExpiry of that connection. An exception
/// closes the connection with an internal error and appears in <see cref="QuicConnection.CloseReason"/>. After Close there are no more calls but
/// <see cref="OnClosed"/>.
/// </summary>
public interface IQuicHandler
{
    /// <summary>Packets with this destination belong to the connection from now on.</summary>
    void OnConnectionIdAdded(QuicConnection connection, ConnectionId id);

    /// <summary>Packets with this destination no longer belong to it. Not called for the IDs left when the connection is disposed.</summary>
    void OnConnectionIdRetired(QuicConnection connection, ConnectionId id);

    /// <summary>Both sides are proved; streams may be opened.</summary>
    void OnConfirmed(QuicConnection connection);

    /// <summary>The connection ended. Its streams ended with it, without further calls. Once per connection.</summary>
    void OnClosed(QuicConnection connection, QuicClose close);

    /// <summary>The peer opened a stream.</summary>
    void OnStreamOpened(QuicStream stream);

    /// <summary>
    /// Bytes of the peer, in order; <paramref name="data"/> is valid inside the call only. Give credit with <see cref="QuicStream.Consume"/> once they
    /// are used, also for bytes that are thrown away. <paramref name="fin"/>: nothing follows.
    /// </summary>
    void OnStreamData(QuicStream stream, ReadOnlySpan<byte> data, bool fin);

    /// <summary>The peer has received <paramref name="bytes"/> more bytes of this stream: room for the writer.</summary>
    void OnStreamAcked(QuicStream stream, long bytes)
    {
    }

    /// <summary>The peer gave up sending; what was received and not yet used may be dropped.</summary>
    void OnStreamReset(QuicStream stream, ulong code);

    /// <summary>The peer wants no more bytes; the sending side was reset, within milliseconds also where nothing is being sent.</summary>
    void OnStopSending(QuicStream stream);

    /// <summary>Both directions are over and acknowledged. <paramref name="code"/>: the code of a reset, if any.</summary>
    void OnStreamClosed(QuicStream stream, ulong? code);

    /// <summary>The peer allows more streams than before.</summary>
    void OnStreamsAvailable(QuicConnection connection)
    {
    }
}
