using System.IO.Pipelines;
using Florete.Identities;
using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// A stream connection of the portal: one QUIC stream behind a header in each direction. The pipes belong to the user, everything else
/// to the loop.
/// </summary>
internal sealed class StreamConnection : PortalConnection, IDuplexPipe, IPromptStream, ITransportStream
{
    private readonly TransportConnection transport;
    private readonly QuicStream stream;
    private readonly StreamInput input;
    private readonly StreamOutput output;
    private readonly CancellationTokenSource closed = new();
    private readonly WindowTuner window, sending;
    private readonly Action pump;
    private readonly Action giveCredit;
    private PortalException? closeReason;
    private LoopPromise<PortalConnection>? promise;
    private HeaderReader answer;
    private long consumedBytes;
    private int isCreditPosted;
    private long receivedBytes;
    private long creditedBytes;
    private long headerBytesToAcknowledge;
    private bool isOpen;
    private bool isInputEnded;
    private bool isReaderGone;
    private bool isOutputEnded;
    private bool hasReturnedSending;

    private StreamConnection(TransportConnection transport, QuicStream stream)
    {
        this.transport = transport;
        this.stream = stream;
        var endpoint = transport.Endpoint;
        window = new WindowTuner(endpoint.Options.StreamWindowBytes, endpoint.Options.MaxStreamWindowBytes);
        sending = new WindowTuner(endpoint.Options.SendLimitBytes, endpoint.Options.MaxSendLimitBytes);
        pump = Pump;
        giveCredit = GiveCredit;
        input = new StreamInput(endpoint.Loop.UserScheduler, OnConsumed, _ => InTurn(OnReaderGone));
        output = new StreamOutput(endpoint.Loop, endpoint.Chunks, endpoint.Options.SendLimitBytes, () => InTurn(pump));
    }

    /// <summary>Asks for a connection on a new stream; <paramref name="promise"/> is kept when the target has answered.</summary>
    public static StreamConnection Call(TransportConnection transport, QuicStream stream, LoopPromise<PortalConnection> promise)
    {
        var connection = new StreamConnection(transport, stream) { promise = promise };
        stream.UserState = connection;
        transport.Use(connection);
        connection.SendHeader(StreamHeaders.Request(StreamKind.Stream));
        return connection;
    }

    /// <summary>Takes over a stream whose request header has been read, and asks the target's program.</summary>
    public static StreamConnection Arrived(TransportConnection transport, QuicStream stream)
    {
        var connection = new StreamConnection(transport, stream);
        transport.Use(connection);
        if (transport.Endpoint.FindPublished(transport.Local) is { } publication) publication.Offer(connection, connection.OnDecided);
        else connection.OnDecided(new PortalException(PortalError.NotFound, $"{transport.Local} is not published here (any more)."));
        return connection;
    }

    public override SpiffeId Local => transport.Local;

    public override SpiffeId Remote => transport.Remote;

    public override PeerVerification? RemoteProof => transport.Proof;

    public override SpiffeId RemoteVertex => transport.RemoteVertex;

    public override IDuplexPipe Stream => this;

    public override CancellationToken Closed => closed.Token;

    public override PortalException? CloseReason => closeReason;

    EventLoop IPromptStream.Loop => transport.Endpoint.Loop;

    bool IPromptStream.ResumesInTurn
    {
        get => input.ResumesInTurn;
        set => input.ResumesInTurn = output.ResumesInTurn = value;
    }

    PipeReader IDuplexPipe.Input => input;

    PipeWriter IDuplexPipe.Output => output;

    public override void Abort(PortalException reason) => InTurn(() =>
    {
        if (closed.IsCancellationRequested) return;
        stream.Reset((ulong)reason.Error);
        stream.StopSending((ulong)reason.Error);
        transport.WriteAtEndOfTurn();
        End(reason);
    });

    public override ValueTask DisposeAsync()
    {
        output.Complete();
        input.Complete();
        return ValueTask.CompletedTask;
    }

    public void OnData(ReadOnlySpan<byte> data, bool fin)
    {
        if (promise is not null && !TakeAnswer(ref data, fin)) return;
        receivedBytes += data.Length;
        if (isReaderGone || isInputEnded) Credit(data.Length);
        else if (data.Length > 0) input.Write(data);
        if (fin) EndInput();
        transport.FlushAtEndOfTurn(this);
    }

    public void FlushInput()
    {
        input.Flush();
        if (isInputEnded) input.End(null);
    }

    public void OnAcknowledged(long bytes)
    {
        var headers = Math.Min(bytes, headerBytesToAcknowledge);
        headerBytesToAcknowledge -= headers;
        if (bytes == headers) return;
        if (!hasReturnedSending) transport.OnSendGrown(sending.Grow(bytes, transport.Endpoint.Loop.Now, transport.SmoothedRoundTrip, transport.SendGrowthLeftBytes));
        if (output.OnAcknowledged(bytes - headers, Math.Min(sending.Bytes, transport.SendLimitBytes)) == 0 && isOutputEnded) ReturnSending();
    }

    public void OnReset(ulong code)
    {
        EndInput();
        var reason = new PortalException(StreamHeaders.ErrorOf(code), "The peer aborted the connection.");
        input.Flush();
        input.End(reason);
        // An abort ends both directions; an orderly end is a FIN.
        stream.Reset(code);
        End(reason);
    }

    public void OnStopSending()
    {
        isOutputEnded = true;
        output.StopReading();
    }

    public void OnClosed(PortalException? reason) => End(reason);

    // The answer of the target comes before the user's bytes; true once it has accepted.
    private bool TakeAnswer(ref ReadOnlySpan<byte> data, bool fin)
    {
        var state = answer.Take(data, out var header, out var rest);
        stream.Consume(data.Length - rest.Length);
        data = rest;
        if (state == HeaderState.Incomplete && !fin) return false;
        var refusal = state == HeaderState.Complete
            ? StreamHeaders.ReadResponse(header)
            : new PortalException(PortalError.ProtocolViolation, "The target's answer was cut short or too long.");
        if (refusal is null)
        {
            promise!.Set(this);
            promise = null;
            transport.Endpoint.Counters.Opened++;
            Open();
            return true;
        }
        stream.Consume(rest.Length);
        stream.Reset((ulong)refusal.Error);
        stream.StopSending((ulong)refusal.Error);
        End(refusal);
        return false;
    }

    private void OnDecided(PortalException? refusal)
    {
        if (closed.IsCancellationRequested) return;
        if (refusal is null)
        {
            transport.Endpoint.Counters.Accepted++;
            SendHeader(StreamHeaders.Accepted());
            Open();
            return;
        }
        transport.Endpoint.Counters.Failed++;
        SendHeader(StreamHeaders.Refused(refusal));
        stream.FinishWriting();
        stream.StopSending((ulong)refusal.Error);
        End(refusal);
    }

    private void SendHeader(ReadOnlySpan<byte> header)
    {
        headerBytesToAcknowledge += header.Length;
        transport.Enqueue(stream, header);
    }

    private void Open()
    {
        isOpen = true;
        Pump();
    }

    private void InTurn(Action action)
    {
        if (transport.Endpoint.Loop.IsInTurn) action();
        else transport.Endpoint.Loop.Post(action);
    }

    private void Pump()
    {
        if (!isOpen || isOutputEnded) return;
        StreamOutput.Piece piece;
        bool isEnd;
        while (output.TryTake(out piece, out isEnd))
        {
            stream.Enqueue(piece.Chunk, piece.Offset, piece.Length);
            piece.Chunk.Release();
        }
        if (isEnd)
        {
            isOutputEnded = true;
            if (output.WriterError is null) stream.FinishWriting();
            else stream.Reset((ulong)((output.WriterError as PortalException)?.Error ?? PortalError.Closed));
        }
        transport.WriteAtEndOfTurn();
    }

    private void OnConsumed(long bytes)
    {
        // Credit in quarters of the window: the writer is never out of credit for long, and the loop is not woken for every read.
        if (Interlocked.Add(ref consumedBytes, bytes) < window.Bytes / 4) return;
        if (Interlocked.Exchange(ref isCreditPosted, 1) == 0) InTurn(giveCredit);
    }

    private void GiveCredit()
    {
        Volatile.Write(ref isCreditPosted, 0);
        var bytes = Interlocked.Exchange(ref consumedBytes, 0);
        Credit(bytes);
        if (!isInputEnded) Widen(window.Grow(bytes, transport.Endpoint.Loop.Now, transport.SmoothedRoundTrip, transport.WindowGrowthLeftBytes));
        transport.WriteAtEndOfTurn();
    }

    private void OnReaderGone()
    {
        isReaderGone = true;
        Credit(receivedBytes - creditedBytes);
        if (isInputEnded) return;
        stream.StopSending((ulong)PortalError.Closed);
        transport.WriteAtEndOfTurn();
    }

    // The connection's window counts every byte once: read by the user, or thrown away.
    private void Credit(long bytes)
    {
        bytes = Math.Min(bytes, receivedBytes - creditedBytes);
        if (bytes <= 0) return;
        creditedBytes += bytes;
        stream.Consume(bytes);
    }

    private void EndInput()
    {
        // No more will come, so another stream may have what this one's window had grown by.
        if (!isInputEnded) transport.OnWindowGrown(-window.GrownBytes);
        isInputEnded = true;
    }

    private void ReturnSending()
    {
        if (!hasReturnedSending) transport.OnSendGrown(-sending.GrownBytes);
        hasReturnedSending = true;
    }

    private void Widen(long bytes)
    {
        transport.OnWindowGrown(bytes);
        stream.Widen(bytes);
    }

    private void End(PortalException? reason)
    {
        if (closed.IsCancellationRequested) return;
        closeReason = reason;
        promise?.Fail(reason ?? new PortalException(PortalError.Closed, "The connection was closed before the target answered."));
        promise = null;
        isOutputEnded = true;
        EndInput();
        ReturnSending();
        input.Flush();
        input.End(reason);
        output.StopReading();
        if (isReaderGone) Credit(receivedBytes - creditedBytes);
        transport.Forget(this);
        transport.Endpoint.Loop.UserScheduler.Schedule(static c => ((CancellationTokenSource)c!).Cancel(), closed);
    }
}
