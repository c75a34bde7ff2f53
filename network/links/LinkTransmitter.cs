using System.Security.Cryptography;
using Florete.Runtime;
using Florete.Sealing;

namespace Florete.Links;

/// <summary>
/// The sending half of a link: queues → counter → sealed in place → segments → batches. Drains at the end of the turn. What is in a batch
/// stays where it is until the kernel has it; nothing is copied.
/// </summary>
internal sealed class LinkTransmitter : ITurnEnd
{
    // Salts need not be secret from who sees the packets, only unguessable for who does not: one random draw for many SDUs.
    private const int SaltsPerDraw = 64;

    private readonly LinkPort port;
    private readonly SealerPhases sealing;
    private readonly TrafficQueues queues;
    private readonly Liveness liveness;
    private readonly MtuSearch mtu;
    private readonly DatagramBatch batch = new();
    private readonly PacketBuffer[] inBatch = new PacketBuffer[DatagramBatch.MaxDatagrams];
    private readonly byte[] header = new byte[SegmentHeader.Bytes];
    private readonly uint[] salts = new uint[SaltsPerDraw];
    private int inBatchCount;
    private int nextSalt = SaltsPerDraw;
    private PacketBuffer? current;
    private SegmentCut cut;
    private int nextSegment;
    private bool isBlocked;
    private bool isClosed;

    public LinkTransmitter(LinkPort port, SealerPhases sealing, TrafficQueues queues, Liveness liveness, MtuSearch mtu, UdpAddress to, uint peerIndex)
    {
        (this.port, this.sealing, this.queues, this.liveness, this.mtu) = (port, sealing, queues, liveness, mtu);
        (To, PeerIndex) = (to, peerIndex);
        batch.Clear(to);
    }

    /// <summary>The validated address of the neighbour.</summary>
    public UdpAddress To { get; set; }

    public uint PeerIndex { get; }

    public Instant LastSent { get; private set; }

    /// <summary>Called when a send has failed: more are due soon, to see whether the medium is gone.</summary>
    public Action? OnUnreachable { get; set; }

    public long SentDatagrams { get; private set; }

    public long SentBytes { get; private set; }

    bool ITurnEnd.IsQueued { get; set; }

    /// <summary>Takes the packet, or drops and counts it.</summary>
    public void Send(PacketBuffer packet, byte lane)
    {
        if (isClosed || packet.Length > LinkSizes.MaxSduBytes)
        {
            if (!isClosed) queues.Dropped[lane]++;
            packet.Return();
            return;
        }
        if (queues.Enqueue(lane, packet)) port.Loop.AtEndOfTurn(this);
    }

    /// <summary>Sends one message of the link alone and at once, to an address that need not be validated.</summary>
    public void SendNow(PacketBuffer packet, UdpAddress to)
    {
        if (sealing.Current is { } sealer && !isClosed)
        {
            var single = port.SingleBatch;
            // Not the common header: an SDU may be waiting half-sent with it.
            Span<byte> own = stackalloc byte[SegmentHeader.Bytes];
            Seal(sealer, packet, Lanes.Link, own);
            single.Clear(to);
            single.TryAdd(own, packet.Span);
            Account(port.Socket.Send(single), single);
        }
        packet.Return();
    }

    /// <summary>The socket can take more.</summary>
    public void OnWritable()
    {
        isBlocked = false;
        Flush();
    }

    void ITurnEnd.OnTurnEnd() => Flush();

    public void Close()
    {
        isClosed = true;
        queues.Clear();
        current?.Return();
        current = null;
        ReturnSent();
    }

    private void Flush()
    {
        if (isClosed || sealing.Current is not { } sealer) return;
        while (!isBlocked)
        {
            if (current is null && !TakeNext(sealer)) break;
            while (nextSegment < cut.Count)
            {
                SegmentHeader.WritePlace(header, nextSegment, cut.Count);
                if (batch.TryAdd(header, current!.Span.Slice(nextSegment * cut.Size, cut.Size))) nextSegment++;
                else if (!Transmit()) return;
            }
            inBatch[inBatchCount++] = current!;
            current = null;
        }
        if (batch.Count > 0 && !isBlocked) Transmit();
    }

    private bool TakeNext(Sealer sealer)
    {
        current = queues.Dequeue(out var lane);
        if (current is null) return false;
        Seal(sealer, current, lane, header);
        // Messages of the link are never cut: an MTU probe is larger than what is known to pass.
        cut = SegmentCut.Of(current.Length, lane == Lanes.Link ? int.MaxValue / 2 : mtu.DatagramBytes - SegmentHeader.Bytes);
        header[3] = (byte)cut.Padding;
        current.Append(cut.Padding).Clear();
        nextSegment = 0;
        return true;
    }

    // Associated data is the header as it will be, with index 0. Count and padding follow from the length, which the tag covers.
    private void Seal(Sealer sealer, PacketBuffer packet, byte lane, Span<byte> destination)
    {
        var counter = sealer.Next(lane);
        new SegmentHeader(sealer.Epoch, 0, 1, 0, PeerIndex, counter, NextSalt()).Write(destination);
        sealer.Seal(packet, counter, destination, port.Loop.Now);
    }

    private uint NextSalt()
    {
        if (nextSalt == SaltsPerDraw)
        {
            RandomNumberGenerator.Fill(System.Runtime.InteropServices.MemoryMarshal.AsBytes(salts.AsSpan()));
            nextSalt = 0;
        }
        return salts[nextSalt++];
    }

    private bool Transmit()
    {
        batch.Redirect(To);
        var result = port.Socket.Send(batch);
        if (result == SendResult.Blocked)
        {
            isBlocked = true;
            port.OnBlocked(this);
            return false;
        }
        Account(result, batch);
        if (result == SendResult.TooLarge) mtu.OnTooLarge(batch.DatagramBytes, port.Loop.Now);
        ReturnSent();
        batch.Clear(To);
        return true;
    }

    private void Account(SendResult result, DatagramBatch sent)
    {
        liveness.OnSent(result, port.Loop.Now);
        LastSent = port.Loop.Now;
        if (result == SendResult.Unreachable) OnUnreachable?.Invoke();
        if (result != SendResult.Sent) return;
        SentDatagrams += sent.Count;
        SentBytes += sent.TotalBytes;
    }

    private void ReturnSent()
    {
        for (var i = 0; i < inBatchCount; i++)
        {
            inBatch[i].Return();
            inBatch[i] = null!;
        }
        inBatchCount = 0;
    }
}
