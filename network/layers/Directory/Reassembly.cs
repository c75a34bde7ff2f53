namespace Florete.Layers;

/// <summary>Puts fragments together in a fixed number of slots; the oldest gives way.</summary>
internal sealed class Reassembly
{
    private const int Slots = 8;
    private const int SlotBytes = 5 * DirectoryLimits.FragmentBytes;

    private readonly Slot?[] slots = new Slot?[Slots];
    private long order;

    /// <summary>Adds a fragment; true with the whole object when it was the last that lacked. The result is valid until the next call.</summary>
    public bool TryAdd(in Fragment fragment, out ReadOnlySpan<byte> whole, out ushort ageSeconds)
    {
        whole = default;
        var slot = Find(fragment);
        slot.Used = ++order;
        slot.AgeSeconds = ageSeconds = Math.Min(slot.AgeSeconds, fragment.AgeSeconds);
        fragment.Part.CopyTo(slot.Bytes.AsSpan(fragment.Offset));
        slot.Missing &= (byte)~(1 << (fragment.Offset / DirectoryLimits.FragmentBytes));
        if (slot.Missing != 0) return false;
        slot.Hash = 0;
        slot.Total = 0;
        whole = slot.Bytes.AsSpan(0, fragment.TotalBytes);
        return true;
    }

    private Slot Find(in Fragment fragment)
    {
        var oldest = 0;
        for (var i = 0; i < Slots; i++)
        {
            var slot = slots[i];
            if (slot is not null && slot.Total == fragment.TotalBytes && slot.Hash == fragment.Hash && slot.What == fragment.What) return slot;
            if ((slot?.Used ?? 0) < (slots[oldest]?.Used ?? 0)) oldest = i;
        }
        var taken = slots[oldest] ??= new Slot();
        taken.What = fragment.What;
        taken.Hash = fragment.Hash;
        taken.Total = fragment.TotalBytes;
        taken.AgeSeconds = ushort.MaxValue;
        var parts = (fragment.TotalBytes + DirectoryLimits.FragmentBytes - 1) / DirectoryLimits.FragmentBytes;
        taken.Missing = (byte)((1 << parts) - 1);
        return taken;
    }

    private sealed class Slot
    {
        public byte[] Bytes { get; } = new byte[SlotBytes];

        public byte What { get; set; }

        public ulong Hash { get; set; }

        public int Total { get; set; }

        public ushort AgeSeconds { get; set; }

        public byte Missing { get; set; }

        public long Used { get; set; }
    }
}
