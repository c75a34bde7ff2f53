using System.Security.Cryptography;
using Florete.Identities;
using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// A datagram connection of the portal. Its QUIC stream carries the request, the answer and keys, and ends with it; the datagrams
/// themselves go beside QUIC (docs/protocols/transport.md "Datagrams"). Loop-affine but for what <see cref="PortalConnection"/> lets be called from anywhere.
/// </summary>
internal sealed class DatagramConnection : PortalConnection, ITransportStream
{
    // A dozen key frames; more is a peer that makes us answer and takes no answers.
    private const int MaxBufferedBytes = 512;

    private readonly TransportConnection transport;
    private readonly QuicStream stream;
    private readonly SealedFlow flow;
    private readonly CancellationTokenSource closed = new();
    private LoopPromise<PortalConnection>? promise;
    private PortalException? closeReason;
    private HeaderReader frames;
    private bool isAnswered;
    private bool isEnded;

    private DatagramConnection(TransportConnection transport, QuicStream stream)
    {
        (this.transport, this.stream) = (transport, stream);
        flow = new SealedFlow(transport, transport.Endpoint.Options.DatagramRekeyLimits, SendKey);
        stream.UserState = this;
        transport.Use(this);
    }

    public override SpiffeId Local => transport.Local;

    public override SpiffeId Remote => transport.Remote;

    public override PeerVerification? RemoteProof => transport.Proof;

    public override SpiffeId RemoteVertex => transport.RemoteVertex;

    public override DatagramFlow Datagrams => flow;

    public override CancellationToken Closed => closed.Token;

    public override PortalException? CloseReason => closeReason;

    /// <summary>
    /// Asks for a connection on a new stream; <paramref name="promise"/> is kept when the target has answered and both directions have keys. Null: a limit
    /// is reached, the promise is broken.
    /// </summary>
    public static DatagramConnection? Call(TransportConnection transport, QuicStream stream, LoopPromise<PortalConnection> promise)
    {
        if (Refusal(transport) is { } refusal)
        {
            stream.Reset((ulong)refusal.Error);
            promise.Fail(refusal);
            return null;
        }
        var connection = new DatagramConnection(transport, stream) { promise = promise };
        transport.Enqueue(stream, StreamHeaders.Request(StreamKind.Datagrams));
        connection.SendKey();
        return connection;
    }

    /// <summary>Takes over a stream whose request header has been read, and asks the target's program. Null and the reason: not here.</summary>
    public static DatagramConnection? Arrived(TransportConnection transport, QuicStream stream, out PortalException? refusal)
    {
        refusal = Refusal(transport);
        if (refusal is not null) return null;
        var connection = new DatagramConnection(transport, stream);
        if (transport.Endpoint.FindPublished(transport.Local) is { } publication) publication.Offer(connection, connection.OnDecided);
        else connection.OnDecided(new PortalException(PortalError.NotFound, $"{transport.Local} is not published here (any more)."));
        return connection;
    }

    public override void Abort(PortalException reason) => InTurn(() =>
    {
        if (isEnded) return;
        Reset(reason);
        End(reason);
    });

    public override ValueTask DisposeAsync()
    {
        InTurn(() =>
        {
            if (isEnded) return;
            Finish();
            End(null);
        });
        return ValueTask.CompletedTask;
    }

    public void OnData(ReadOnlySpan<byte> data, bool fin)
    {
        stream.Consume(data.Length);
        while (!isEnded && !data.IsEmpty)
        {
            var state = frames.Take(data, out var frame, out data);
            if (state == HeaderState.Incomplete) break;
            if (state == HeaderState.Malformed) Violate("a key frame is too long");
            else if (transport.IsCaller && !isAnswered) TakeAnswer(frame);
            else TakeFrame(frame[0], frame[StreamHeaders.HeadBytes..]);
        }
        if (!fin || isEnded) return;
        Finish();
        End(null);
    }

    public void FlushInput()
    {
    }

    public void OnAcknowledged(long bytes)
    {
    }

    public void OnReset(ulong code)
    {
        if (isEnded) return;
        stream.Reset(code);
        End(new PortalException(StreamHeaders.ErrorOf(code), "The peer aborted the connection."));
    }

    public void OnStopSending()
    {
        // The peer's own direction ends too, with a reason; that one counts.
    }

    public void OnClosed(PortalException? reason) => End(reason);

    private static PortalException? Refusal(TransportConnection transport)
    {
        var options = transport.Endpoint.Options;
        if (transport.Endpoint.Datagrams.Count >= options.MaxDatagramConnections)
            return new PortalException(PortalError.LimitReached, $"{transport.Endpoint.Forwarding.Self} has {options.MaxDatagramConnections} datagram connections, as many as it may.");
        return transport.DatagramUsers >= options.MaxDatagramConnectionsPerPair
            ? new PortalException(PortalError.LimitReached, $"{transport.Local} and {transport.Remote} have {options.MaxDatagramConnectionsPerPair} datagram connections, as many as they may.")
            : null;
    }

    private void OnDecided(PortalException? refusal)
    {
        if (isEnded) return;
        if (refusal is not null)
        {
            transport.Endpoint.Counters.Failed++;
            transport.Enqueue(stream, StreamHeaders.Refused(refusal));
            Finish();
            stream.StopSending((ulong)refusal.Error);
            End(refusal);
            return;
        }
        transport.Endpoint.Counters.Accepted++;
        isAnswered = true;
        transport.Enqueue(stream, StreamHeaders.Accepted());
        SendKey();
        if (flow.PeerEpoch is { } epoch) transport.Enqueue(stream, KeyFrame.Ready(epoch));
        flow.Open();
    }

    private void TakeAnswer(ReadOnlySpan<byte> header)
    {
        isAnswered = true;
        if (StreamHeaders.ReadResponse(header) is not { } refusal) return;
        stream.Reset((ulong)refusal.Error);
        End(refusal);
    }

    private void TakeFrame(byte type, ReadOnlySpan<byte> value)
    {
        switch (type)
        {
            case KeyFrame.Key:
                if (!KeyFrame.TryReadKey(value, out var index, out var epoch, out var key) || !flow.InstallKey(index, epoch, key!))
                {
                    Violate("a key is malformed or out of turn");
                    return;
                }
                // The target says so with its acceptance: before that the caller must not send.
                if (isAnswered) transport.Enqueue(stream, KeyFrame.Ready(epoch));
                if (stream.BufferedBytes > MaxBufferedBytes) Violate("the peer takes no answers");
                break;
            case KeyFrame.KeyReady when value.Length == 1:
                if (!flow.ConfirmKey(value[0])) Violate("a key is called ready that was not sent");
                break;
            case < KeyFrame.CriticalBit:
                return;
            default:
                Violate($"a frame of type {type} and {value.Length} bytes makes no sense here");
                return;
        }
        if (!isEnded && promise is not null && flow.IsKeyed) Succeed();
    }

    private void Succeed()
    {
        transport.Endpoint.Counters.Opened++;
        flow.Open();
        promise!.Set(this);
        promise = null;
    }

    private void SendKey()
    {
        Span<byte> frame = stackalloc byte[KeyFrame.KeyBytes];
        var epoch = flow.PrepareKey(KeyFrame.WriteKeyHead(frame, flow.Index));
        KeyFrame.WriteEpoch(frame, epoch);
        transport.Enqueue(stream, frame);
        CryptographicOperations.ZeroMemory(frame);
    }

    private void Violate(string what)
    {
        var reason = new PortalException(PortalError.ProtocolViolation, $"The datagram connection was ended: {what}.");
        Reset(reason);
        End(reason);
    }

    private void Finish()
    {
        stream.FinishWriting();
        transport.WriteAtEndOfTurn();
    }

    private void Reset(PortalException reason)
    {
        stream.Reset((ulong)reason.Error);
        stream.StopSending((ulong)reason.Error);
        transport.WriteAtEndOfTurn();
    }

    private void InTurn(Action action)
    {
        if (transport.Endpoint.Loop.IsInTurn) action();
        else transport.Endpoint.Loop.Post(action);
    }

    private void End(PortalException? reason)
    {
        if (isEnded) return;
        isEnded = true;
        closeReason = reason;
        promise?.Fail(reason ?? new PortalException(PortalError.Closed, "The connection was closed before the target answered."));
        promise = null;
        flow.Dispose();
        transport.Forget(this);
        transport.Endpoint.Loop.UserScheduler.Schedule(static c => ((CancellationTokenSource)c!).Cancel(), closed);
    }
}
