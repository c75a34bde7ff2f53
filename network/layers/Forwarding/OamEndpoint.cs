using System.Security.Cryptography;
using System.Text;
using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>Asks and answers OAM messages (docs/protocols/oam.md) for one vertex. Loop-affine.</summary>
internal sealed class OamEndpoint(ForwardingEngine engine, EventLoop loop, PacketPool pool, ForwardingOptions options) : ILocalReceiver
{
    private const int MaxOutstanding = 256;
    private const int MaxSilentHops = 5;
    private readonly byte[] identity = Encoding.ASCII.GetBytes(engine.Self.ToString());
    private readonly AnswerRate errors = new(options.ErrorAnswersPerSecond);
    private readonly AnswerRate replies = new(options.EchoRepliesPerSecond);
    private readonly Dictionary<ulong, Probe> outstanding = [];

    public event Action<PacketRefusal>? Refused;

    public int Outstanding => outstanding.Count;

    public void OnPacket(PacketBuffer payload, in PacketHeader header)
    {
        if (!OamMessage.TryParse(payload.Span, out var message)) engine.Counters.Drop(DropReason.Malformed);
        else if (message.Kind == OamKind.EchoRequest) Reply(payload.Span, message, header);
        else TakeAnswer(payload.Span, message, header);
        payload.Return();
    }

    /// <summary>Tells the maker of a packet that it was dropped here. The packet begins with its stack and stays the caller's.</summary>
    public void AnswerRefused(ReadOnlySpan<byte> packet, int entries, DropReason reason)
    {
        var bottom = LabelStack.At(packet, entries - 1);
        var flow = LabelStack.At(packet, entries - 2).Label;
        var type = (PayloadType)packet[entries * LabelStackEntry.Bytes];
        ulong correlator = 0;
        if (type == PayloadType.Oam)
        {
            if (!OamMessage.TryParse(packet[((entries * LabelStackEntry.Bytes) + 1)..], out var refused) || refused.IsError) return;
            if (refused.Kind == OamKind.EchoRequest) correlator = refused.Correlator;
        }
        if (!engine.TryResolve(bottom.Label, out var maker) || !errors.TryTake(loop.Now)) return;
        var top = LabelStack.At(packet, 0);
        var (kind, code) = reason switch
        {
            DropReason.TimeToLive => (OamKind.TimeExceeded, UnreachableCode.None),
            DropReason.NoRoute => (OamKind.Unreachable, UnreachableCode.NoRoute),
            DropReason.NoRepair => (OamKind.Unreachable, UnreachableCode.NoRepair),
            DropReason.TooManySegments => (OamKind.Unreachable, UnreachableCode.TooManySegments),
            DropReason.TooLarge => (OamKind.Unreachable, UnreachableCode.TooLarge),
            _ => (OamKind.Unreachable, UnreachableCode.None),
        };
        Send(new OamMessage(kind, code, correlator, top.Label, flow.Value, type, (byte)identity.Length), [], maker, flow.Value, LabelStack.ClassOf(top));
    }

    public async Task<TraceHop> PingAsync(SpiffeId vertex, int dataBytes, TimeSpan timeout, uint flowLabel, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)dataBytes, (uint)(LayerSizes.LargePayloadBytes - OamMessage.FixedBytes - identity.Length), nameof(dataBytes));
        return await AskAsync(vertex, LayerSizes.InitialTimeToLive, dataBytes, timeout, flowLabel, cancellationToken);
    }

    public async Task<IReadOnlyList<TraceHop>> TraceAsync(SpiffeId vertex, int maxHops, TimeSpan timeout, uint flowLabel, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxHops, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxHops, LayerSizes.InitialTimeToLive);
        var hops = new List<TraceHop>();
        for (int hop = 1, silent = 0; hop <= maxHops && silent < MaxSilentHops; hop++)
        {
            var answer = await AskAsync(vertex, (byte)hop, 0, timeout, flowLabel, cancellationToken);
            hops.Add(answer);
            if (answer.Outcome is ProbeOutcome.Reached or ProbeOutcome.Unreachable) break;
            silent = answer.Outcome == ProbeOutcome.TimedOut ? silent + 1 : 0;
        }
        return hops;
    }

    private async Task<TraceHop> AskAsync(
        SpiffeId vertex, byte timeToLive, int dataBytes, TimeSpan timeout, uint flowLabel, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (outstanding.Count >= MaxOutstanding)
        {
            throw new PortalException(PortalError.LimitReached, $"{MaxOutstanding} echo requests are without an answer; try again when they have timed out.");
        }
        var correlator = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));
        var probe = new Probe(vertex, timeToLive, loop.Now, new LoopPromise<TraceHop>(loop));
        outstanding.Add(correlator, probe);
        var timer = loop.CreateTimer(() => probe.Answer.Set(new TraceHop(timeToLive, ProbeOutcome.TimedOut, null, null)));
        timer.Set(loop.Now + timeout);
        try
        {
            var message = new OamMessage(OamKind.EchoRequest, 0, correlator, default, 0, 0, (byte)identity.Length);
            // Zeros: the pool's memory holds what others sent.
            var sent = Send(message, new byte[dataBytes], vertex, flowLabel, TrafficClass.Interactive, timeToLive);
            if (sent != SendResult.Sent)
            {
                var code = sent == SendResult.TooLarge ? UnreachableCode.TooLarge : UnreachableCode.NoRoute;
                return new TraceHop(timeToLive, ProbeOutcome.Unreachable, engine.Self, TimeSpan.Zero, code);
            }
            return await probe.Answer.CancelledBy(cancellationToken).Task;
        }
        finally
        {
            timer.Cancel();
            outstanding.Remove(correlator);
        }
    }

    private void Reply(ReadOnlySpan<byte> request, in OamMessage message, in PacketHeader header)
    {
        if (!engine.TryResolve(header.Backward, out var asker) || !replies.TryTake(loop.Now)) return;
        var reply = new OamMessage(OamKind.EchoReply, 0, message.Correlator, default, 0, 0, (byte)identity.Length);
        Send(reply, request[(OamMessage.FixedBytes + message.IdentityBytes)..], asker, header.FlowLabel, header.Class);
    }

    private void TakeAnswer(ReadOnlySpan<byte> answer, in OamMessage message, in PacketHeader header)
    {
        var text = Encoding.ASCII.GetString(answer.Slice(OamMessage.FixedBytes, message.IdentityBytes));
        if (!SpiffeId.TryParse(text, out var vertex, out _) || (engine.TryResolve(header.Backward, out var maker) && maker != vertex))
        {
            engine.Counters.Drop(DropReason.Malformed);
            return;
        }
        if (message.Correlator == 0 && message.IsError)
        {
            Refused?.Invoke(new PacketRefusal(
                message.RefusedType, message.RefusedFlowLabel, message.RefusedLabel, vertex, message.Kind == OamKind.TimeExceeded, message.Code));
            return;
        }
        if (!outstanding.TryGetValue(message.Correlator, out var probe)) return;
        if (message.Kind == OamKind.EchoReply && vertex != probe.Target) return;
        var outcome = message.Kind switch
        {
            OamKind.EchoReply => ProbeOutcome.Reached,
            OamKind.TimeExceeded => ProbeOutcome.Passed,
            _ => ProbeOutcome.Unreachable,
        };
        probe.Answer.Set(new TraceHop(probe.TimeToLive, outcome, vertex, loop.Now - probe.SentAt, message.Code));
    }

    private SendResult Send(
        in OamMessage message, ReadOnlySpan<byte> data, SpiffeId to, uint flowLabel, TrafficClass trafficClass, byte timeToLive = LayerSizes.InitialTimeToLive)
    {
        var packet = pool.Rent();
        if (OamMessage.FixedBytes + identity.Length + data.Length > packet.TailroomBytes)
        {
            packet.Return();
            return SendResult.TooLarge;
        }
        message.Write(packet.Append(OamMessage.FixedBytes));
        identity.CopyTo(packet.Append(identity.Length));
        data.CopyTo(packet.Append(data.Length));
        // Control is for what holds the layer together; whoever asks for answers must not crowd that out.
        var carried = trafficClass == TrafficClass.Control ? TrafficClass.Interactive : trafficClass;
        // A probe shows the way that connections take; answers come by the best one, since they may be about what is decided here.
        return message.Kind == OamKind.EchoRequest
            ? engine.Send(packet, PayloadType.Oam, to, flowLabel, carried, timeToLive)
            : engine.Send(packet, PayloadType.Oam, to, [], flowLabel, carried, timeToLive);
    }

    private sealed record Probe(SpiffeId Target, byte TimeToLive, Instant SentAt, LoopPromise<TraceHop> Answer);
}
