using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Layers;

/// <content>Streams: whose they are, and news about them.</content>
internal sealed partial class TransportConnection
{
    private readonly Queue<LoopPromise<QuicStream>> waitingForStream = new();

    /// <summary>Opens a stream, waiting while the peer allows no more of them.</summary>
    public void OpenStream(LoopPromise<QuicStream> promise)
    {
        if (failure is not null) promise.Fail(failure);
        else if (waitingForStream.Count == 0 && Quic.OpenStream() is { } stream) promise.Set(stream);
        else if (waitingForStream.Count < Endpoint.Options.MaxStreams) waitingForStream.Enqueue(promise);
        else promise.Fail(new PortalException(PortalError.LimitReached, $"Too many connections from {Local} to {Remote} wait to be opened."));
    }

    void IQuicHandler.OnStreamsAvailable(QuicConnection connection)
    {
        while (waitingForStream.TryPeek(out var promise))
        {
            if (promise.Task.IsCompleted)
            {
                waitingForStream.Dequeue();
                continue;
            }
            if (Quic.OpenStream() is not { } stream) return;
            waitingForStream.Dequeue();
            promise.Set(stream);
        }
    }

    void IQuicHandler.OnStreamOpened(QuicStream stream) => stream.UserState = new ArrivingStream(this, stream);

    void IQuicHandler.OnStreamData(QuicStream stream, ReadOnlySpan<byte> data, bool fin)
    {
        if (stream.UserState is ITransportStream user) user.OnData(data, fin);
        else stream.Consume(data.Length);
    }

    void IQuicHandler.OnStreamAcked(QuicStream stream, long bytes) => (stream.UserState as ITransportStream)?.OnAcknowledged(bytes);

    void IQuicHandler.OnStreamReset(QuicStream stream, ulong code) => (stream.UserState as ITransportStream)?.OnReset(code);

    void IQuicHandler.OnStopSending(QuicStream stream) => (stream.UserState as ITransportStream)?.OnStopSending();

    void IQuicHandler.OnStreamClosed(QuicStream stream, ulong? code) => (stream.UserState as ITransportStream)?.OnClosed(null);

    private void FailWaitingForStream(PortalException reason)
    {
        while (waitingForStream.TryDequeue(out var promise)) promise.Fail(reason);
    }
}
