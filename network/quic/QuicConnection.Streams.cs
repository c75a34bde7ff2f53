using Florete.Quic.Native;

namespace Florete.Quic;

/// <content>The table of streams. ngtcp2 gives back the slot number (plus one) as the stream's user data.</content>
public sealed unsafe partial class QuicConnection
{
    private QuicStream?[] streams = new QuicStream?[8];
    private readonly Stack<int> freeSlots = new();
    private int usedSlots;
    private long lostFramesOfEnded;

    // A sweep over the streams costs some 50 ns each: at most 200 of them a second.
    private const ulong StopInterval = 5_000_000;
    private readonly Queue<QuicStream> stopped = new();
    private ulong stoppedSought;
    private bool stopDue;

    /// <summary>Streams open now, of both sides.</summary>
    public int OpenStreams => usedSlots - freeSlots.Count;

    /// <summary>
    /// Opens a bidirectional stream; null while the connection is not <see cref="QuicConnectionState.Confirmed"/> or the peer's limit is reached
    /// (then <see cref="IQuicHandler.OnStreamsAvailable"/> tells when to try again). The peer learns of it with its first bytes or its end.
    /// </summary>
    public QuicStream? OpenStream()
    {
        if (State != QuicConnectionState.Confirmed || disposed || disposeAsked) return null;
        var slot = TakeSlot();
        long id;
        if (Ngtcp2.OpenStream(connection, &id, slot + 1) != 0)
        {
            freeSlots.Push(slot);
            return null;
        }
        return streams[slot] = new QuicStream(this, id, slot);
    }

    internal void Consume(QuicStream stream, long bytes)
    {
        if (disposed || disposeAsked || State == QuicConnectionState.Closed) return;
        if (!stream.IsClosed) _ = Ngtcp2.ExtendStreamWindow(connection, stream.Id, (ulong)bytes);
        Ngtcp2.ExtendConnectionWindow(connection, (ulong)bytes);
    }

    internal void Widen(QuicStream stream, long bytes)
    {
        if (disposed || disposeAsked || State == QuicConnectionState.Closed || stream.IsClosed) return;
        _ = Ngtcp2.ExtendStreamWindow(connection, stream.Id, (ulong)bytes);
    }

    internal void Defer(QuicStream stream)
    {
        deferred.Enqueue(stream);
        if (!inside) RunDeferred();
    }

    /// <summary>The peer wants no more of a stream: ngtcp2 has answered with a reset. The owner is told once no packet is half built.</summary>
    private void Stopped(QuicStream stream)
    {
        stream.WriteOver = true;
        stream.Queue.DropUnsent();
        stopped.Enqueue(stream);
    }

    // ngtcp2 1.11 does not tell of a STOP_SENDING; a stream that can no longer be written to is its only trace. Bytes beyond what a stream can
    // ever carry are refused without effect, so this asks without writing. Without it a writer that waits for credit of a reader that has gone
    // would wait for ever.
    private void FindStopped(ulong timestamp)
    {
        if (State == QuicConnectionState.Closed || OpenStreams == 0) return;
        if (timestamp < stoppedSought + StopInterval)
        {
            stopDue = true;
            return;
        }
        (stopDue, stoppedSought) = (false, timestamp);
        var beyond = new Vec { Length = nuint.MaxValue };
        for (var slot = 0; slot < usedSlots; slot++)
        {
            if (streams[slot] is not { WriteOver: false, FinSent: false } stream) continue;
            var answer = Ngtcp2.WriteStream(
                connection, null, Ngtcp2.PacketInfoVersion, null, null, 0, null, 0, stream.Id, &beyond, 1, timestamp);
            if (answer == Ngtcp2Errors.StreamShutWrite) Stopped(stream);
        }
    }

    private void TellStopped()
    {
        while (stopped.TryDequeue(out var stream))
        {
            if (stream.IsClosed || State == QuicConnectionState.Closed) continue;
            inside = true;
            try
            {
                handler.OnStopSending(stream);
            }
            catch (Exception e)
            {
                FailWith(Fault(e));
            }
            finally
            {
                inside = false;
            }
        }
    }

    private void RunDeferred()
    {
        while (deferred.TryDequeue(out var stream))
        {
            if (stream.IsClosed || disposed || State == QuicConnectionState.Closed) continue;
            if (stream.ResetAsked is { } reset) _ = Ngtcp2.ShutdownStreamWrite(connection, 0, stream.Id, reset);
            if (stream.StopAsked is { } stop) _ = Ngtcp2.ShutdownStreamRead(connection, 0, stream.Id, stop);
        }
    }

    private int TakeSlot()
    {
        if (freeSlots.TryPop(out var slot)) return slot;
        if (usedSlots == streams.Length) Array.Resize(ref streams, streams.Length * 2);
        return usedSlots++;
    }

    private QuicStream? Find(nint userData) => userData > 0 ? streams[(int)userData - 1] : null;

    private int StreamOpened(long id)
    {
        var slot = TakeSlot();
        var stream = new QuicStream(this, id, slot);
        streams[slot] = stream;
        if (Ngtcp2.SetStreamUserData(connection, id, slot + 1) != 0) return Ngtcp2Errors.CallbackFailure;
        if (State != QuicConnectionState.Closed) handler.OnStreamOpened(stream);
        return 0;
    }

    private int StreamClosed(nint userData, ulong? code)
    {
        var stream = Find(userData);
        if (stream is null) return 0;
        lostFramesOfEnded += (long)Ngtcp2.GetStreamLossCount(connection, stream.Id);
        stream.IsClosed = true;
        stream.Queue.Clear();
        streams[stream.Slot] = null;
        freeSlots.Push(stream.Slot);
        if (Ngtcp2.IsLocalStream(connection, stream.Id) == 0) Ngtcp2.ExtendMaxStreams(connection, 1);
        if (State != QuicConnectionState.Closed) handler.OnStreamClosed(stream, code);
        return 0;
    }

    private int StreamAcked(nint userData, ulong bytes)
    {
        if (bytes == 0 || Find(userData) is not { } stream) return 0;
        stream.Queue.Acked((long)bytes);
        if (State != QuicConnectionState.Closed) handler.OnStreamAcked(stream, (long)bytes);
        return 0;
    }
}
