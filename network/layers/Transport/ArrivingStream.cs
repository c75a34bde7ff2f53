using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>A stream that the peer has opened, until its request header tells what it is; then it hands the stream over.</summary>
internal sealed class ArrivingStream : ITransportStream
{
    private readonly TransportConnection transport;
    private readonly QuicStream stream;
    private readonly LoopTimer timer;
    private HeaderReader header;

    public ArrivingStream(TransportConnection transport, QuicStream stream)
    {
        this.transport = transport;
        this.stream = stream;
        timer = transport.Endpoint.Loop.CreateTimer(() => Refuse(new PortalException(PortalError.TimedOut, "No request header came in time.")));
        timer.Set(transport.Endpoint.Loop.Now + transport.Endpoint.Options.AnswerTimeout);
    }

    public void OnData(ReadOnlySpan<byte> data, bool fin)
    {
        var state = header.Take(data, out var request, out var rest);
        stream.Consume(data.Length - rest.Length);
        if (state == HeaderState.Incomplete && !fin) return;
        timer.Cancel();
        var problem = "the request header is cut short or too long";
        if (state != HeaderState.Complete || StreamHeaders.ReadRequest(request, out problem) is not { } kind)
        {
            stream.Consume(rest.Length);
            Refuse(new PortalException(PortalError.ProtocolViolation, $"The stream was refused: {problem}."));
            return;
        }
        PortalException? refusal = null;
        ITransportStream? user = kind switch
        {
            StreamKind.Control => new ControlStream(transport, stream),
            StreamKind.Datagrams => DatagramConnection.Arrived(transport, stream, out refusal),
            _ => StreamConnection.Arrived(transport, stream),
        };
        if (user is null)
        {
            stream.Consume(rest.Length);
            Refuse(refusal!);
            return;
        }
        stream.UserState = user;
        user.OnData(rest, fin);
    }

    public void FlushInput()
    {
    }

    public void OnAcknowledged(long bytes)
    {
    }

    public void OnReset(ulong code)
    {
        timer.Cancel();
        stream.Reset(code);
    }

    public void OnStopSending()
    {
    }

    public void OnClosed(PortalException? reason) => timer.Cancel();

    private void Refuse(PortalException refusal)
    {
        transport.Enqueue(stream, StreamHeaders.Refused(refusal));
        stream.FinishWriting();
        stream.StopSending((ulong)refusal.Error);
        transport.WriteAtEndOfTurn();
    }
}

/// <summary>The control stream at the target: frames of secrets and vouching.</summary>
internal sealed class ControlStream(TransportConnection transport, QuicStream stream) : ITransportStream
{
    private HeaderReader frames;

    public void OnData(ReadOnlySpan<byte> data, bool fin)
    {
        stream.Consume(data.Length);
        while (!data.IsEmpty)
        {
            var state = frames.Take(data, out var frame, out data);
            if (state == HeaderState.Malformed) transport.Close(PortalError.ProtocolViolation, "A control frame is too long.");
            if (state != HeaderState.Complete) return;
            transport.OnControlFrame(frame[0], frame[StreamHeaders.HeadBytes..]);
        }
    }

    public void FlushInput()
    {
    }

    public void OnAcknowledged(long bytes)
    {
    }

    public void OnReset(ulong code)
    {
    }

    public void OnStopSending()
    {
    }

    public void OnClosed(PortalException? reason)
    {
    }
}
