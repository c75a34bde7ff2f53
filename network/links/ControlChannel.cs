using System.Buffers.Binary;
using Florete.Identities;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Links;

/// <summary>Messages of the control stream (docs/protocols/link-udp.md "Handshake").</summary>
internal enum ControlMessageType : byte
{
    Hello = 1,
    Key = 2,
    KeyReady = 3,
    Accepted = 4,
}

/// <summary>Who uses a <see cref="ControlChannel"/>.</summary>
internal interface IControlUser
{
    /// <summary>Both sides are proved; the dialler may send.</summary>
    void OnConfirmed(ControlChannel channel);

    /// <summary>A message; the body is valid inside the call only. False ends the channel: the neighbour broke the protocol.</summary>
    bool OnMessage(ControlChannel channel, ControlMessageType type, ReadOnlySpan<byte> body);

    /// <summary>The neighbour took bytes: there is room for more.</summary>
    void OnRoom(ControlChannel channel)
    {
    }

    /// <summary>It is over. Once.</summary>
    void OnClosed(ControlChannel channel, QuicClose close);
}

/// <summary>
/// One QUIC connection on the link's port and the one stream in it. To QUIC the path is constant; its packets go to <see cref="To"/>, which its
/// user moves. Written at the end of the turn. Disposes itself when nothing is left to say.
/// </summary>
internal sealed class ControlChannel : IQuicHandler, ITurnEnd
{
    public const int MaxBodyBytes = 1024;
    private const int PrefixBytes = 3;

    // The least that every path carries; the channel is not in a hurry.
    private const int PacketBytes = QuicOptions.LeastPacketBytes;

    // A rekey is two messages an hour; this is room for any burst of them.
    private const long MaxBufferedBytes = 64 * 1024;

    private readonly QuicPort port;
    private readonly LoopTimer timer;
    private readonly byte[] received = new byte[PrefixBytes + MaxBodyBytes];
    private int receivedBytes;
    private QuicConnection? quic;
    private QuicStream? stream;
    private bool isOver;

    public ControlChannel(QuicPort port, SpiffeId? local, UdpAddress to)
    {
        (this.port, Local, To) = (port, local, to);
        timer = port.Loop.CreateTimer(OnTimer);
    }

    public bool IsDialler { get; private set; }

    /// <summary>This side's identity; a server learns it from the SNI.</summary>
    public SpiffeId? Local { get; set; }

    /// <summary>What was proved of the neighbour; null until its certificate was verified.</summary>
    public PeerVerification? Peer { get; set; }

    /// <summary>Why this side refused the neighbour's certificate, if it did; for the error to the user.</summary>
    public string? Refusal { get; set; }

    /// <summary>Where packets go.</summary>
    public UdpAddress To { get; set; }

    /// <summary>Anything was received at all.</summary>
    public bool HasAnswer { get; private set; }

    public IControlUser? User { get; set; }

    public bool IsOpen => quic is { State: not QuicConnectionState.Closed };

    /// <summary>The other side showed no certificate: it joins, and forms no link.</summary>
    public bool IsPeerAnonymous => quic?.IsPeerAnonymous == true;

    /// <summary>Sent and not yet taken by the neighbour.</summary>
    public long BufferedBytes => stream?.BufferedBytes ?? 0;

    bool ITurnEnd.IsQueued { get; set; }

    public void Dial(QuicOptions options, QuicCredentials credentials, string serverName, Func<IReadOnlyList<byte[]>, string?> verify)
    {
        IsDialler = true;
        quic = QuicConnection.Connect(options, credentials, serverName, verify, this, port.Loop.Now);
        Drive();
    }

    /// <summary>False: the packet begins no connection.</summary>
    public bool Accept(
        QuicOptions options, Func<string, QuicCredentials?> select, Func<IReadOnlyList<byte[]>, string?> verify, ReadOnlySpan<byte> initial, QuicRetryProof? retry)
    {
        HasAnswer = true;
        quic = QuicConnection.Accept(options, select, verify, this, initial, port.Loop.Now, null, retry);
        if (quic is null) return false;
        Drive();
        return true;
    }

    public void Receive(ReadOnlySpan<byte> packet)
    {
        if (isOver || quic is null) return;
        HasAnswer = true;
        quic.Receive(packet, port.Loop.Now);
        Drive();
    }

    /// <summary>Queues a message; closes the channel when the neighbour does not take what was sent before.</summary>
    public void Send(ControlMessageType type, ReadOnlySpan<byte> body)
    {
        if (!IsOpen) return;
        stream ??= quic!.OpenStream();
        if (stream is null || stream.BufferedBytes > MaxBufferedBytes)
        {
            Close(GoodbyeReason.ProtocolBroken, "The neighbour does not take messages.");
            return;
        }
        var chunk = port.Chunks.Rent();
        chunk.Span[0] = (byte)type;
        BinaryPrimitives.WriteUInt16BigEndian(chunk.Span[1..], (ushort)body.Length);
        body.CopyTo(chunk.Span[PrefixBytes..]);
        stream.Enqueue(chunk, 0, PrefixBytes + body.Length);
        chunk.Release();
        Drive();
    }

    /// <summary>Ends the connection; the neighbour is told why.</summary>
    public void Close(GoodbyeReason reason, string text)
    {
        if (!IsOpen) return;
        quic!.Close((ulong)reason, text);
        Drive();
    }

    /// <summary>Ends it without a word.</summary>
    public void Drop()
    {
        if (isOver) return;
        isOver = true;
        timer.Cancel();
        quic?.Dispose();
        port.Remove(this);
    }

    void ITurnEnd.OnTurnEnd()
    {
        if (isOver || quic is null) return;
        port.Write(quic, To);
        if (quic.IsFinished) Drop();
        else timer.Set(quic.Deadline);
    }

    void IQuicHandler.OnConnectionIdAdded(QuicConnection connection, ConnectionId id) => port.Add(id, this);

    void IQuicHandler.OnConnectionIdRetired(QuicConnection connection, ConnectionId id) => port.Remove(id, this);

    void IQuicHandler.OnConfirmed(QuicConnection connection)
    {
        if (IsDialler) stream = connection.OpenStream();
        User?.OnConfirmed(this);
    }

    void IQuicHandler.OnClosed(QuicConnection connection, QuicClose close)
    {
        Drive();
        User?.OnClosed(this, close);
    }

    void IQuicHandler.OnStreamOpened(QuicStream opened)
    {
        if (IsDialler || stream is not null) Close(GoodbyeReason.ProtocolBroken, "A link's control channel has one stream, opened by the dialler.");
        else stream = opened;
    }

    void IQuicHandler.OnStreamData(QuicStream from, ReadOnlySpan<byte> data, bool fin)
    {
        from.Consume(data.Length);
        if (from != stream) return;
        while (!data.IsEmpty && IsOpen)
        {
            var taken = Math.Min(data.Length, Wanted() - receivedBytes);
            data[..taken].CopyTo(received.AsSpan(receivedBytes));
            receivedBytes += taken;
            data = data[taken..];
            if (receivedBytes < PrefixBytes) continue;
            if (Wanted() > received.Length)
            {
                Close(GoodbyeReason.ProtocolBroken, $"A control message is longer than {MaxBodyBytes} bytes.");
                return;
            }
            if (receivedBytes < Wanted()) continue;
            var body = received.AsSpan(PrefixBytes, receivedBytes - PrefixBytes);
            receivedBytes = 0;
            // From 128 on, types of later versions that may be ignored.
            if (received[0] >= 128) continue;
            if (User is null || !User.OnMessage(this, (ControlMessageType)received[0], body)) Close(GoodbyeReason.ProtocolBroken, $"Message {received[0]} is not expected here, or malformed.");
        }
        if (fin && IsOpen) Close(GoodbyeReason.ProtocolBroken, "The control stream ended.");
    }

    void IQuicHandler.OnStreamAcked(QuicStream from, long bytes) => User?.OnRoom(this);

    void IQuicHandler.OnStreamReset(QuicStream from, ulong code) => Close(GoodbyeReason.ProtocolBroken, "The control stream was reset.");

    void IQuicHandler.OnStopSending(QuicStream from) => Close(GoodbyeReason.ProtocolBroken, "The control stream was reset.");

    void IQuicHandler.OnStreamClosed(QuicStream from, ulong? code)
    {
    }

    // Bytes of the message that is being received, as far as is known.
    private int Wanted() => receivedBytes < PrefixBytes ? PrefixBytes : PrefixBytes + BinaryPrimitives.ReadUInt16BigEndian(received.AsSpan(1));

    private void OnTimer()
    {
        if (isOver || quic is null) return;
        quic.HandleExpiry(port.Loop.Now);
        Drive();
    }

    private void Drive() => port.Loop.AtEndOfTurn(this);
}
