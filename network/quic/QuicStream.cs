namespace Florete.Quic;

/// <summary>
/// One bidirectional stream. Belongs to the thread of its connection. All methods may be called inside the calls of <see cref="IQuicHandler"/>;
/// what they ask for leaves with the next <see cref="QuicConnection.Write"/>.
/// </summary>
public sealed class QuicStream
{
    internal QuicStream(QuicConnection connection, long id, int slot) => (Connection, Id, Slot) = (connection, id, slot);

    public QuicConnection Connection { get; }

    /// <summary>The QUIC stream ID.</summary>
    public long Id { get; }

    /// <summary>Whatever the owner keeps with the stream.</summary>
    public object? UserState { get; set; }

    /// <summary>Bytes enqueued and not yet acknowledged: what a writer bounds.</summary>
    public long BufferedBytes => Queue.HeldBytes;

    /// <summary>Bytes enqueued and not yet sent for the first time.</summary>
    public long UnsentBytes => Queue.UnsentBytes;

    /// <summary>No more bytes can be enqueued: finished, reset, refused by the peer or closed.</summary>
    public bool IsWritingOver => FinRequested || WriteOver || IsClosed;

    /// <summary>Both directions are over, or the connection is.</summary>
    public bool IsClosed { get; internal set; }

    internal SendQueue Queue { get; } = new();

    internal int Slot { get; }

    internal bool FinRequested { get; private set; }

    internal bool FinSent { get; set; }

    /// <summary>Reset by us, or stopped by the peer.</summary>
    internal bool WriteOver { get; set; }

    /// <summary>Is in one of the connection's queues of streams with something to send.</summary>
    internal bool IsQueued { get; set; }

    internal ulong? ResetAsked { get; set; }

    internal ulong? StopAsked { get; set; }

    internal bool HasWork => !WriteOver && !IsClosed && (Queue.UnsentBytes > 0 || (FinRequested && !FinSent));

    /// <summary>
    /// Queues a part of a chunk for sending; takes a reference of the chunk until the peer has acknowledged the bytes. False: writing is over, nothing was taken.
    /// </summary>
    /// <exception cref="InvalidOperationException">The stream would hold more than <see cref="QuicOptions.SendBufferBytes"/>.</exception>
    public bool Enqueue(SendChunk chunk, int offset, int length)
    {
        ArgumentNullException.ThrowIfNull(chunk);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)offset + length, chunk.CapacityBytes, nameof(length));
        if (IsWritingOver) return false;
        if (length == 0) return true;
        if (Queue.HeldBytes + length > Connection.Options.SendBufferBytes)
        {
            throw new InvalidOperationException(
                $"Stream {Id} already holds {Queue.HeldBytes} unacknowledged bytes; its writer must stay within QuicOptions.SendBufferBytes ({Connection.Options.SendBufferBytes}).");
        }
        Queue.Add(chunk, offset, length);
        Connection.Ready(this);
        return true;
    }

    /// <summary>Ends this side's direction after the bytes enqueued so far.</summary>
    public void FinishWriting()
    {
        if (IsWritingOver) return;
        FinRequested = true;
        Connection.Ready(this);
    }

    /// <summary>Lets the peer send <paramref name="bytes"/> more; call it for every received byte once, also for those thrown away.</summary>
    public void Consume(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        if (bytes > 0) Connection.Consume(this, bytes);
    }

    /// <summary>
    /// Lets the peer have <paramref name="bytes"/> more on its way on this stream, within the window of the connection, which stays as it is.
    /// </summary>
    public void Widen(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        if (bytes > 0) Connection.Widen(this, bytes);
    }

    /// <summary>Gives up sending; bytes not sent yet are dropped, the peer learns <paramref name="code"/>.</summary>
    public void Reset(ulong code)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(code, QuicConnection.LargestCode);
        if (IsClosed || ResetAsked is not null || (FinSent && BufferedBytes == 0)) return;
        ResetAsked = code;
        WriteOver = true;
        Queue.DropUnsent();
        Connection.Defer(this);
    }

    /// <summary>Asks the peer to give up sending; what still arrives is dropped and credited by itself.</summary>
    public void StopSending(ulong code)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(code, QuicConnection.LargestCode);
        if (IsClosed || StopAsked is not null) return;
        StopAsked = code;
        Connection.Defer(this);
    }
}
