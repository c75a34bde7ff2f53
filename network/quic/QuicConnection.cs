using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Florete.Quic.Native;
using Florete.Runtime;

namespace Florete.Quic;

/// <summary>
/// One QUIC connection (RFC 9000) without socket, clock or thread: packets in by <see cref="Receive"/>, packets out by <see cref="Write"/>, time by
/// arguments and <see cref="Deadline"/>. It sees one constant path; the layers below move. Mutual TLS 1.3 always; no 0-RTT, no resumption. One
/// thread at a time. After every Receive, HandleExpiry, Close or use of a stream: Write until 0, <see cref="BurstDone"/>, and set a timer to
/// <see cref="Deadline"/>.
/// </summary>
public sealed unsafe partial class QuicConnection : IDisposable
{
    /// <summary>The largest error code that QUIC can carry.</summary>
    public const ulong LargestCode = (1UL << 62) - 1;

    // ngtcp2 takes 0 as a time, but an Instant may also lie before its origin: one day of room.
    private const long TimestampOffset = 86_400_000_000_000;
    private const int MaxVectors = 16;

    /// <summary>Timeouts grow while nothing is heard; longer ones are waited for, so that the clock is never far ahead.</summary>
    public static readonly TimeSpan MostHaste = TimeSpan.FromSeconds(1);

    private readonly IQuicHandler handler;
    private readonly Func<IReadOnlyList<byte[]>, string?> verifyPeer;
    private readonly Func<string, QuicCredentials?>? selectCredentials;
    private readonly QuicEndpointSecret? secret;
    private readonly Queue<QuicStream> ready = new();
    private readonly Queue<QuicStream> blockedByConnection = new();
    private readonly Queue<QuicStream> deferred = new();
    private GCHandle self;
    private NativeBlock* native;
    private nint connection;
    private nint session;
    private QuicCredentials? credentials;
    private ulong lastTimestamp;
    private ulong lead; // the connection's clock is ahead of ours by so much: see Hasten
    private bool inside; // a native call is running: no other may begin
    private bool disposeAsked;
    private bool disposed;

    private QuicConnection(
        QuicOptions options, IQuicHandler handler, Func<IReadOnlyList<byte[]>, string?> verifyPeer,
        Func<string, QuicCredentials?>? selectCredentials, QuicEndpointSecret? secret)
    {
        options.Validate();
        if (QuicLibrary.Check() is { } missing) throw new DllNotFoundException(missing);
        (Options, this.handler, this.verifyPeer, this.selectCredentials, this.secret) = (options, handler, verifyPeer, selectCredentials, secret);
    }

    public QuicOptions Options { get; }

    public bool IsServer { get; private init; }

    /// <summary>Whatever the owner keeps with the connection.</summary>
    public object? UserState { get; set; }

    public QuicConnectionState State { get; private set; }

    /// <summary>Why the connection is closed; null until then.</summary>
    public QuicClose? CloseReason { get; private set; }

    /// <summary>Closed, and no packet of it is worth sending or receiving any more: dispose it.</summary>
    public bool IsFinished => State == QuicConnectionState.Closed && !IsFirstCloseUnsent && lastTimestamp >= closingEnds;

    /// <summary>The peer's certificates in DER, leaf first; empty until its TLS messages arrived.</summary>
    public IReadOnlyList<byte[]> PeerChain { get; private set; } = [];

    /// <summary>The client chose <see cref="QuicOptions.AnonymousAlpn"/>: nothing is known of who it is.</summary>
    public bool IsPeerAnonymous { get; private set; }

    /// <summary>The server name that the client asked for; empty if none.</summary>
    public string ServerName { get; private set; } = "";

    /// <summary>Bytes that may be written in one burst before <see cref="BurstDone"/>.</summary>
    public int SendQuantumBytes => disposed ? 0 : (int)Math.Min(int.MaxValue, Ngtcp2.GetSendQuantum(connection));

    /// <summary>The largest packet that the path is known to carry.</summary>
    public int PathPacketBytes => disposed ? 0 : (int)Ngtcp2.GetPathMaxPayload(connection);

    /// <summary>When <see cref="HandleExpiry"/> is due.</summary>
    public Instant Deadline
    {
        get
        {
            if (disposed) return Instant.Never;
            if (State == QuicConnectionState.Closed) return IsFinished ? Instant.Never : FromTimestamp(closingEnds);
            var expiry = Ngtcp2.GetExpiry(connection);
            if (stopDue) expiry = Math.Min(expiry, stoppedSought + StopInterval);
            return expiry == ulong.MaxValue ? Instant.Never : FromTimestamp(expiry);
        }
    }

    /// <summary>Bytes that are under way or lost, and not known to be either.</summary>
    public long BytesInFlight
    {
        get
        {
            if (disposed) return 0;
            ConnectionInfo info;
            Ngtcp2.GetInfo(connection, Ngtcp2.ConnectionInfoVersion, &info);
            return (long)info.BytesInFlight;
        }
    }

    public QuicStatistics Statistics
    {
        get
        {
            if (disposed) return default;
            ConnectionInfo info;
            Ngtcp2.GetInfo(connection, Ngtcp2.ConnectionInfoVersion, &info);
            var lost = lostFramesOfEnded;
            foreach (var stream in streams)
            {
                if (stream is not null) lost += (long)Ngtcp2.GetStreamLossCount(connection, stream.Id);
            }
            return new QuicStatistics(
                TimeSpan.FromMicroseconds(info.SmoothedRtt / 1000), info.MinRtt == ulong.MaxValue ? TimeSpan.Zero : TimeSpan.FromMicroseconds(info.MinRtt / 1000),
                (long)info.CongestionWindow, (long)info.BytesInFlight, packetsSent, packetsReceived, bytesSent, bytesReceived, lost);
        }
    }

    /// <summary>Takes one packet of this connection. Packets that cannot be decrypted are dropped; a violation closes the connection.</summary>
    public void Receive(ReadOnlySpan<byte> packet, Instant now)
    {
        var timestamp = Enter(now);
        if (packet.IsEmpty) return;
        packetsReceived++;
        bytesReceived += packet.Length;
        if (State == QuicConnectionState.Closed)
        {
            AnswerWhileClosing();
            return;
        }
        int result;
        inside = true;
        fixed (byte* data = packet)
        {
            result = Ngtcp2.ReadPacket(connection, &native->Path, Ngtcp2.PacketInfoVersion, &native->ReceivedInfo, data, (nuint)packet.Length, timestamp);
        }
        inside = false;
        AfterRead(result);
        FindStopped(timestamp);
        Leave();
    }

    /// <summary>Does what is due at <see cref="Deadline"/>; harmless earlier.</summary>
    public void HandleExpiry(Instant now)
    {
        var timestamp = Enter(now);
        if (State != QuicConnectionState.Closed && timestamp >= Ngtcp2.GetExpiry(connection))
        {
            inside = true;
            var result = Ngtcp2.HandleExpiry(connection, timestamp);
            inside = false;
            if (result != 0) FailWith(result);
        }
        if (stopDue) FindStopped(timestamp);
        Leave();
    }

    /// <summary>
    /// Does now what is due next, if packets are under way and it is due within <see cref="MostHaste"/>: for an owner who knows that they are lost,
    /// since what is due then is the probe timeout (RFC 9002 § 6.2), or, before that, a late acknowledgement. False: nothing is to be hastened.
    /// </summary>
    /// <remarks>
    /// ngtcp2 takes the time from us and has no call for this, so the connection's clock is put forward. Round trips of packets that were under way
    /// and came all the same are measured too long by that, as they would be with the timeout waited for.
    /// </remarks>
    public bool Hasten(Instant now)
    {
        var timestamp = Enter(now);
        if (State == QuicConnectionState.Closed || BytesInFlight == 0) return false;
        var expiry = Ngtcp2.GetExpiry(connection);
        if (expiry > timestamp)
        {
            if (expiry - timestamp > (ulong)MostHaste.TotalNanoseconds) return false;
            lead += expiry - timestamp;
        }
        HandleExpiry(now);
        return true;
    }

    /// <summary>Tells the pacer that a burst of packets has left (Write returned 0, or the quantum is used up).</summary>
    public void BurstDone(Instant now)
    {
        var timestamp = Enter(now);
        if (State != QuicConnectionState.Closed) Ngtcp2.UpdateTxTime(connection, timestamp);
    }

    /// <summary>Frees everything native, without a word to the peer. Inside a call of the handler it takes effect when that call has returned.</summary>
    public void Dispose()
    {
        if (disposed) return;
        if (inside)
        {
            disposeAsked = true;
            State = QuicConnectionState.Closed;
            CloseReason ??= new QuicClose("Disposed by its owner.", 0, IsApplication: true, IsRemote: false);
            closedTold = true;
            return;
        }
        disposed = true;
        State = QuicConnectionState.Closed;
        CloseReason ??= new QuicClose("Disposed by its owner.", 0, IsApplication: true, IsRemote: false);
        if (connection != 0) Ngtcp2.Delete(connection);
        if (session != 0) GnuTls.Deinit(session);
        credentials?.Release();
        foreach (var stream in streams)
        {
            if (stream is null) continue;
            stream.IsClosed = true;
            stream.Queue.Clear();
        }
        NativeMemory.Free(native);
        if (self.IsAllocated) self.Free();
        native = null;
        (connection, session, credentials) = (0, 0, null);
    }

    // Begins a call of the owner: the clock never goes back on a connection (ngtcp2 asserts that).
    private ulong Enter(Instant now)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        if (inside) throw new InvalidOperationException("A QUIC connection was driven from inside a call of its own handler.");
        return lastTimestamp = Math.Max(lastTimestamp, ToTimestamp(now) + lead);
    }

    private void Leave()
    {
        if (!disposeAsked && State != QuicConnectionState.Closed)
        {
            TellStopped();
            RunDeferred();
        }
        if (State == QuicConnectionState.Closed && !closedTold)
        {
            closedTold = true;
            foreach (var stream in streams) stream?.IsClosed = true;
            handler.OnClosed(this, CloseReason!);
        }
        if (disposeAsked && !inside) Dispose();
    }

    private static ulong ToTimestamp(Instant now) => (ulong)Math.Clamp(now.Nanoseconds, -TimestampOffset, long.MaxValue / 2) + TimestampOffset;

    private Instant FromTimestamp(ulong timestamp) => new((long)Math.Min(Math.Max(timestamp, lead) - lead, (ulong)(long.MaxValue - 1)) - TimestampOffset);

    private static byte[] ReasonBytes(string reason)
    {
        // A close must fit one packet beside its headers.
        var bytes = Encoding.UTF8.GetBytes(reason);
        return bytes.Length <= MaxReasonBytes ? bytes : bytes[..MaxReasonBytes];
    }

    /// <summary>What ngtcp2 and GnuTLS keep pointers to; lives as long as the connection.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct NativeBlock
    {
        public NetworkPath Path;
        public ConnectionReference Reference;
        public PacketInfo Info;
        public PacketInfo ReceivedInfo; // always "not ECN capable": no marks reach this layer
        public nint Accepted;
        public SocketAddress LocalAddress;
        public SocketAddress RemoteAddress;
        public VectorArray Vectors;
    }

    /// <summary>A <c>sockaddr_in</c> that stands for "the path".</summary>
    [StructLayout(LayoutKind.Sequential, Size = 16)]
    private struct SocketAddress
    {
        public ushort Family;
        public ushort Port;
        public uint Ip;
    }

    [InlineArray(MaxVectors)]
    private struct VectorArray
    {
        private Vec first;
    }
}
