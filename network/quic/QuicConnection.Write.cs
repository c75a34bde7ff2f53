using System.Runtime.InteropServices;
using Florete.Quic.Native;
using Florete.Runtime;

namespace Florete.Quic;

/// <content>Packets out: streams take turns, one packet carries as many of them as fit.</content>
public sealed unsafe partial class QuicConnection
{
    private long packetsSent;
    private long packetsReceived;
    private long bytesSent;
    private long bytesReceived;

    /// <summary>
    /// Writes one packet and returns its length; 0: nothing to send now (congestion, pacing, flow control, or all is sent). The length of
    /// <paramref name="destination"/> bounds the packet; below <see cref="QuicOptions.LeastPacketBytes"/> it is refused.
    /// </summary>
    public int Write(Span<byte> destination, Instant now)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, QuicOptions.LeastPacketBytes, nameof(destination));
        var timestamp = Enter(now);
        nint written;
        if (State == QuicConnectionState.Closed)
        {
            written = WriteClose(destination, timestamp);
        }
        else
        {
            RunDeferred();
            WakeBlocked();
            inside = true;
            fixed (byte* data = destination) written = WritePacket(data, (nuint)destination.Length, timestamp);
            inside = false;
            if (written < 0)
            {
                FailWith((int)written);
                written = WriteClose(destination, timestamp);
            }
        }
        if (written > 0)
        {
            packetsSent++;
            bytesSent += written;
        }
        Leave();
        return (int)written;
    }

    internal void Ready(QuicStream stream)
    {
        if (stream.IsQueued || !stream.HasWork) return;
        stream.IsQueued = true;
        ready.Enqueue(stream);
    }

    // A packet is built by several calls while NGTCP2_ERR_WRITE_MORE is returned; the one without a stream closes it.
    private nint WritePacket(byte* destination, nuint length, ulong timestamp)
    {
        while (true)
        {
            if (!ready.TryPeek(out var stream))
            {
                return Ngtcp2.WriteStream(
                    connection, null, Ngtcp2.PacketInfoVersion, &native->Info, destination, length, null, 0, -1, null, 0, timestamp);
            }
            if (!stream.HasWork)
            {
                Unqueue(stream);
                continue;
            }
            var vectors = MemoryMarshal.CreateSpan(ref native->Vectors[0], MaxVectors);
            var count = stream.Queue.Gather(vectors, (long)length, out var bytes);
            var fin = stream.FinRequested && bytes == stream.Queue.UnsentBytes;
            fixed (Vec* data = vectors)
            {
                var written = Ngtcp2.WriteStream(
                    connection, null, Ngtcp2.PacketInfoVersion, &native->Info, destination, length, &native->Accepted,
                    Ngtcp2.WriteFlagMore | (fin ? Ngtcp2.WriteFlagFin : 0), stream.Id, data, (nuint)count, timestamp);
                switch (written)
                {
                    case Ngtcp2Errors.StreamDataBlocked:
                        Unqueue(stream);
                        if (Ngtcp2.GetMaxDataLeft(connection) == 0)
                        {
                            // Nothing tells of a larger connection window: looked at before every packet.
                            stream.IsQueued = true;
                            blockedByConnection.Enqueue(stream);
                        }
                        continue; // else ngtcp2 tells when the stream's window grows
                    case Ngtcp2Errors.StreamShutWrite or Ngtcp2Errors.StreamNotFound:
                        Unqueue(stream);
                        Stopped(stream);
                        continue;
                    case < 0 and not Ngtcp2Errors.WriteMore:
                        return written;
                    case 0:
                        return 0;
                }
                if (native->Accepted >= 0) Taken(stream, native->Accepted, fin && native->Accepted == bytes);
                if (written > 0) return written;
            }
        }
    }

    private void Taken(QuicStream stream, nint bytes, bool fin)
    {
        stream.Queue.Sent(bytes);
        stream.FinSent |= fin;
        Unqueue(stream);
        if (bytes > 0 || fin) Ready(stream); // at the end: streams take turns
    }

    private void Unqueue(QuicStream stream)
    {
        ready.Dequeue();
        stream.IsQueued = false;
    }

    private void WakeBlocked()
    {
        if (blockedByConnection.Count == 0 || Ngtcp2.GetMaxDataLeft(connection) == 0) return;
        while (blockedByConnection.TryDequeue(out var stream))
        {
            stream.IsQueued = false;
            Ready(stream);
        }
    }
}
