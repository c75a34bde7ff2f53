namespace Florete.Runtime;

/// <summary>
/// One packet in pinned, pooled memory with room on both sides, so that every layer pushes and pops its header in place. It has one
/// owner; passing it to a method that says so passes the ownership. It belongs to one loop.
/// </summary>
public sealed class PacketBuffer
{
    /// <summary>Room for the largest SDU of a link (12 segments of 1432 bytes), its headroom and an authentication tag.</summary>
    public const int CapacityBytes = 18 * 1024;

    /// <summary>Bytes kept free before the payload for the headers of the layers below.</summary>
    public const int HeadroomBytes = 512;

    private readonly byte[] memory = GC.AllocateUninitializedArray<byte>(CapacityBytes, pinned: true);
    private readonly PacketPool pool;
    private int offset;

    internal PacketBuffer(PacketPool pool) => this.pool = pool;

    public int Length { get; private set; }

    /// <summary>The packet.</summary>
    public Span<byte> Span => memory.AsSpan(offset, Length);

    /// <summary>Bytes that <see cref="Append"/> can still take.</summary>
    public int TailroomBytes => memory.Length - offset - Length;

    /// <summary>Bytes that <see cref="Prepend"/> can still take.</summary>
    public int HeadroomLeftBytes => offset;

    internal bool IsRented { get; set; }

    /// <summary>Grows the packet at its front and returns the new bytes, uninitialized.</summary>
    public Span<byte> Prepend(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bytes, (uint)offset);
        offset -= bytes;
        Length += bytes;
        return memory.AsSpan(offset, bytes);
    }

    /// <summary>Grows the packet at its end and returns the new bytes, uninitialized.</summary>
    public Span<byte> Append(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bytes, (uint)TailroomBytes);
        Length += bytes;
        return memory.AsSpan(offset + Length - bytes, bytes);
    }

    /// <summary>Drops bytes from the front.</summary>
    public void TrimStart(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bytes, (uint)Length);
        offset += bytes;
        Length -= bytes;
    }

    /// <summary>Drops bytes from the end.</summary>
    public void TrimEnd(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bytes, (uint)Length);
        Length -= bytes;
    }

    /// <summary>Makes the packet empty again, with full headroom.</summary>
    public void Clear()
    {
        offset = HeadroomBytes;
        Length = 0;
    }

    /// <summary>Gives the buffer back; the caller must not touch it afterwards.</summary>
    public void Return() => pool.Return(this);
}

/// <summary>The packet buffers of one loop. Not thread-safe. Keeps at most <see cref="KeptBuffers"/> idle ones.</summary>
public sealed class PacketPool
{
    private const int KeptBuffers = 512;
    private readonly Stack<PacketBuffer> free = new(64);

    /// <summary>Buffers that are with an owner now; a growing figure is a leak.</summary>
    public int Rented { get; private set; }

    /// <summary>An empty packet with full headroom; the caller owns it.</summary>
    public PacketBuffer Rent()
    {
        if (!free.TryPop(out var buffer)) buffer = new PacketBuffer(this);
        buffer.IsRented = true;
        buffer.Clear();
        Rented++;
        return buffer;
    }

    internal void Return(PacketBuffer buffer)
    {
        if (!buffer.IsRented) throw new InvalidOperationException("A packet buffer was returned twice.");
        buffer.IsRented = false;
        Rented--;
        if (free.Count < KeptBuffers) free.Push(buffer);
    }
}
