using System.Numerics;
using Florete.Runtime;
using Florete.Sealing;

namespace Florete.Links;

/// <summary>
/// The reassembly slots of a link: segments are copied once, into the packet that goes up. A fixed number; the oldest gives way. Owns the
/// packets of incomplete SDUs.
/// </summary>
internal sealed class Reassembler(PacketPool pool, DatagramCounters counters)
{
    // The segments of an SDU come together; 32 covers reordering across the batches of all lanes and epochs. 32 × 18 KB for a busy link.
    public const int SlotCount = 32;
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly Slot[] slots = NewSlots();
    private int latest;
    private int used;
    private long order;

    /// <summary>Segments that never came, of SDUs that came in part.</summary>
    public long MissingSegments { get; private set; }

    /// <summary>SDUs that came in part.</summary>
    public long IncompleteSdus { get; private set; }

    /// <summary>
    /// Takes a segment of an SDU of several. Returns the whole sealed SDU when this was the last missing one; its segments are then the caller's to count.
    /// Otherwise the segment waits (counted as pending) or is dropped and counted. <paramref name="advanced"/>: it was new.
    /// </summary>
    public PacketBuffer? Add(in SegmentHeader header, in SegmentCut cut, ReadOnlySpan<byte> payload, Instant now, out bool advanced)
    {
        advanced = false;
        var slot = Find(header);
        if (slot is null)
        {
            slot = Take();
            slot.Begin(header, cut, pool.Rent(), now, ++order);
            used++;
        }
        else if (slot.Cut != cut)
        {
            counters.Count(DatagramFate.Malformed);
            return null;
        }
        var bit = (ushort)(1 << header.Index);
        if ((slot.Present & bit) != 0)
        {
            counters.Count(DatagramFate.DuplicateSegment);
            return null;
        }
        payload.CopyTo(slot.Packet!.Span[(header.Index * cut.Size)..]);
        slot.Present |= bit;
        counters.Pending++;
        advanced = true;
        if (slot.Present != (1 << cut.Count) - 1) return null;
        counters.Pending -= cut.Count;
        used--;
        var whole = slot.Release();
        whole.TrimEnd(cut.Padding);
        return whole;
    }

    /// <summary>Drops what has waited too long.</summary>
    public void Expire(Instant now)
    {
        if (used == 0) return;
        foreach (var slot in slots)
        {
            if (slot.Packet is not null && now - slot.Began >= Patience) Evict(slot);
        }
    }

    public void Clear()
    {
        foreach (var slot in slots)
        {
            if (slot.Packet is not null) Evict(slot);
        }
    }

    private static Slot[] NewSlots()
    {
        var slots = new Slot[SlotCount];
        for (var i = 0; i < SlotCount; i++) slots[i] = new Slot();
        return slots;
    }

    private Slot? Find(in SegmentHeader header)
    {
        if (used == 0) return null;
        if (slots[latest].Holds(header)) return slots[latest];
        for (var i = 0; i < SlotCount; i++)
        {
            if (!slots[i].Holds(header)) continue;
            latest = i;
            return slots[i];
        }
        return null;
    }

    private Slot Take()
    {
        var oldest = 0;
        for (var i = 0; i < SlotCount; i++)
        {
            if (slots[i].Packet is null)
            {
                latest = i;
                return slots[i];
            }
            if (slots[i].Order < slots[oldest].Order) oldest = i;
        }
        latest = oldest;
        Evict(slots[oldest]);
        return slots[oldest];
    }

    private void Evict(Slot slot)
    {
        var present = BitOperations.PopCount(slot.Present);
        counters.Count(DatagramFate.Incomplete, present);
        counters.Pending -= present;
        MissingSegments += slot.Cut.Count - present;
        IncompleteSdus++;
        used--;
        slot.Release().Return();
    }

    private sealed class Slot
    {
        private PacketCounter counter;
        private uint salt;
        private byte epoch;

        public PacketBuffer? Packet { get; private set; }

        public SegmentCut Cut { get; private set; }

        public ushort Present { get; set; }

        public Instant Began { get; private set; }

        public long Order { get; private set; }

        public bool Holds(in SegmentHeader header) =>
            Packet is not null && counter == header.Counter && salt == header.Salt && epoch == header.Epoch;

        public void Begin(in SegmentHeader header, in SegmentCut cut, PacketBuffer packet, Instant now, long order)
        {
            (counter, salt, epoch, Cut, Packet, Present, Began) = (header.Counter, header.Salt, header.Epoch, cut, packet, 0, now);
            Order = order;
            packet.Append(cut.PaddedBytes);
        }

        public PacketBuffer Release()
        {
            var packet = Packet!;
            Packet = null;
            return packet;
        }
    }
}
