using System.Security.Cryptography;
using Florete.Portals;
using Florete.Runtime;
using Florete.Sealing;

namespace Florete.Layers;

/// <summary>
/// The datagrams of one connection: sealed for the peer alone, handed to the forwarding engine, whose links have the queues; and back.
/// Loop-affine. Allocates nothing per datagram.
/// </summary>
internal sealed class SealedFlow : DatagramFlow, IDisposable
{
    /// <summary>One for each traffic class: they overtake each other on the way.</summary>
    private const int Lanes = 3;

    // A burst of the user's (a directory exchange, say) while a key is under way for a round trip.
    private const int MaxHeldPackets = 64;

    private readonly TransportConnection transport;
    private readonly DatagramReceiver receiver;
    private readonly Action keyDue;
    private readonly SealerPhases sealing;
    private readonly OpenerPhases opening = new(Lanes);
    private readonly Queue<(PacketBuffer Packet, TrafficClass Class)> held = new();
    private readonly uint flowLabel = (uint)RandomNumberGenerator.GetInt32(1 << 20);
    private PathQuality? path;
    private FlowQuality told;
    private uint peerIndex;
    private bool isOpen;
    private bool isClosed;

    /// <param name="transport">Whose peer the datagrams are for.</param>
    /// <param name="limits">When a sending key has done enough.</param>
    /// <param name="keyDue">The key in use has done enough: carry the next one.</param>
    public SealedFlow(TransportConnection transport, RekeyLimits limits, Action keyDue)
    {
        (this.transport, this.keyDue) = (transport, keyDue);
        sealing = new SealerPhases(Lanes, limits);
        receiver = transport.Endpoint.Datagrams;
        Index = receiver.Add(this);
        path = transport.Endpoint.Forwarding.QualityTo(transport.RemoteVertex);
        told = Quality;
    }

    /// <summary>What the peer puts into its datagrams.</summary>
    public uint Index { get; }

    /// <summary>Both directions have keys: what is sent now, arrives.</summary>
    public bool IsKeyed => sealing.Current is not null && PeerEpoch is not null;

    /// <summary>Newest epoch of the peer's keys; null before the first.</summary>
    public byte? PeerEpoch => opening.NewestEpoch;

    public override EventLoop Loop => transport.Endpoint.Loop;

    public override PacketPool Pool => transport.Endpoint.Pool;

    public override int MaxDatagramBytes => Fitting(path?.MaxDatagramBytes, LayerSizes.MaxHeaderBytes);

    public override int UnsegmentedDatagramBytes => Fitting(path?.UnsegmentedDatagramBytes, path?.HeaderBytes ?? LayerSizes.BaseHeaderBytes);

    public override FlowQuality Quality => new(
        transport.SmoothedRoundTrip is var roundTrip && roundTrip > TimeSpan.Zero ? roundTrip : null,
        (path?.LossPartsPerMillion ?? 0) / 1e6,
        path is { CapacityBitsPerSecond: > 0 } known ? (long)Math.Min(known.CapacityBitsPerSecond, long.MaxValue) : null);

    public override FlowTally? Tally
    {
        get
        {
            var (received, missing) = opening.Tally;
            return new FlowTally(received, missing);
        }
    }

    public override void Send(PacketBuffer packet, TrafficClass trafficClass)
    {
        if (isClosed || packet.Length > MaxDatagramBytes)
        {
            Drop(packet);
            return;
        }
        var now = Loop.Now;
        if (sealing.IsDue(now)) keyDue();
        if (sealing.Current is { } sealer && !sealer.IsExhausted(now)) Transmit(packet, trafficClass, sealer, now);
        else if (held.Count < MaxHeldPackets) held.Enqueue((packet, trafficClass));
        else Drop(packet);
    }

    /// <summary>From now on datagrams go up.</summary>
    public void Open() => isOpen = true;

    /// <summary>Makes the next sending key: writes it and returns its epoch.</summary>
    public byte PrepareKey(Span<byte> encoded) => sealing.Prepare(encoded);

    /// <summary>The peer has the key of this epoch; false: that is none it was sent.</summary>
    public bool ConfirmKey(byte epoch)
    {
        if (!sealing.Confirm(epoch)) return false;
        var now = Loop.Now;
        // Ready may be said again, of a key that is used up.
        while (!sealing.Current!.IsExhausted(now) && held.TryDequeue(out var waiting)) Transmit(waiting.Packet, waiting.Class, sealing.Current, now);
        return true;
    }

    /// <summary>Installs a key of the peer; false: it breaks the protocol.</summary>
    public bool InstallKey(uint index, byte epoch, SealingKey key)
    {
        // What carries keys does not break while the connection lives, so none comes twice.
        if ((peerIndex != 0 && peerIndex != index) || epoch == PeerEpoch)
        {
            key.Dispose();
            return false;
        }
        peerIndex = index;
        return opening.TryInstall(epoch, key, Loop.Now);
    }

    /// <summary>A datagram with this flow's index; takes ownership.</summary>
    public void Receive(PacketBuffer packet, in DatagramHeader header)
    {
        var now = Loop.Now;
        opening.Expire(now);
        var result = opening.Check(header.Epoch, header.Counter);
        if (result == OpenResult.Opened)
        {
            Span<byte> associated = stackalloc byte[DatagramHeader.Bytes];
            packet.Span[..DatagramHeader.Bytes].CopyTo(associated);
            packet.TrimStart(DatagramHeader.Bytes);
            result = opening.Open(packet, header.Epoch, header.Counter, associated, now);
        }
        if (result != OpenResult.Opened)
        {
            receiver.Counters.CountRefused(result);
            packet.Return();
        }
        else if (isOpen && Sink is { } sink)
        {
            receiver.Counters.Delivered++;
            sink.OnDatagram(packet);
        }
        else
        {
            receiver.Counters.Unread++;
            packet.Return();
        }
    }

    public void OnPathsChanged()
    {
        var before = (MaxDatagramBytes, UnsegmentedDatagramBytes);
        // While no path stands (a repair is being computed) what was known of it is the best guess.
        path = transport.Endpoint.Forwarding.QualityTo(transport.RemoteVertex) ?? path;
        var now = Quality;
        if (now.Loss == told.Loss && now.CapacityBitsPerSecond == told.CapacityBitsPerSecond && before == (MaxDatagramBytes, UnsegmentedDatagramBytes)) return;
        told = now;
        Sink?.OnQualityChanged();
    }

    public void Dispose()
    {
        if (isClosed) return;
        isClosed = true;
        receiver.Remove(this);
        while (held.TryDequeue(out var waiting)) Drop(waiting.Packet);
        sealing.Dispose();
        opening.Dispose();
    }

    private static int Fitting(int? linkBytes, int headerBytes) =>
        Math.Min((linkBytes ?? int.MaxValue) - headerBytes, LayerSizes.LargePayloadBytes) - DatagramHeader.OverheadBytes;

    private void Transmit(PacketBuffer packet, TrafficClass trafficClass, Sealer sealer, Instant now)
    {
        var counter = sealer.Next((byte)trafficClass);
        Span<byte> header = stackalloc byte[DatagramHeader.Bytes];
        new DatagramHeader(peerIndex, sealer.Epoch, counter).Write(header);
        sealer.Seal(packet, counter, header, now);
        header.CopyTo(packet.Prepend(DatagramHeader.Bytes));
        // Control is the layer's own.
        var carried = trafficClass == TrafficClass.Bulk ? TrafficClass.Bulk : TrafficClass.Interactive;
        if (transport.Endpoint.Forwarding.Send(packet, PayloadType.SealedDatagram, transport.RemoteVertex, flowLabel, carried) == SendResult.Sent) receiver.Counters.Sent++;
        else receiver.Counters.Unsent++;
    }

    private void Drop(PacketBuffer packet)
    {
        receiver.Counters.Unsent++;
        packet.Return();
    }
}
