using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Florete.Links;

/// <summary>
/// Datagrams to one address that leave in one system call: all of the first one's length, only the last may be shorter (so that
/// the kernel can cut them: UDP GSO). Each is a copied header and a body that stays where it is, in pinned memory, until it is sent.
/// Reused; allocates nothing after it was made.
/// </summary>
public sealed unsafe class DatagramBatch
{
    /// <summary>Linux's UDP_MAX_SEGMENTS before 6.10.</summary>
    public const int MaxDatagrams = 64;

    /// <summary>The largest IPv4 UDP payload is 65 507, the largest IPv6 one 65 487 without jumbograms.</summary>
    public const int MaxBytes = 65_487;

    private const int HeaderRoom = 32;
    private readonly byte[] headers = GC.AllocateArray<byte>(MaxDatagrams * HeaderRoom, pinned: true);
    private readonly Piece[] pieces = GC.AllocateArray<Piece>(MaxDatagrams * 2, pinned: true);
    private bool isClosed;

    public UdpAddress To { get; private set; }

    /// <summary>Datagrams in the batch.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of the first datagram; 0 when the batch is empty.</summary>
    public int DatagramBytes { get; private set; }

    /// <summary>Bytes of all datagrams.</summary>
    public int TotalBytes { get; private set; }

    /// <summary>Pieces of memory in order: two for each datagram, header and body; laid out as the kernel's struct iovec.</summary>
    internal ReadOnlySpan<Piece> Pieces => pieces.AsSpan(0, Count * 2);

    public void Clear(UdpAddress to)
    {
        To = to;
        Count = 0;
        DatagramBytes = 0;
        TotalBytes = 0;
        isClosed = false;
    }

    /// <summary>The same datagrams, to another address.</summary>
    public void Redirect(UdpAddress to) => To = to;

    /// <summary>Adds a datagram; false when it does not fit this batch any more (send it first).</summary>
    /// <param name="header">Up to 32 bytes, copied.</param>
    /// <param name="body">In pinned memory that stays valid until the batch was sent.</param>
    public bool TryAdd(ReadOnlySpan<byte> header, ReadOnlySpan<byte> body)
    {
        var bytes = header.Length + body.Length;
        if (Count > 0 && (isClosed || Count == MaxDatagrams || bytes > DatagramBytes || TotalBytes + bytes > MaxBytes)) return false;
        if (Count == 0) DatagramBytes = bytes;
        else isClosed = bytes < DatagramBytes;
        var room = headers.AsSpan(Count * HeaderRoom, HeaderRoom);
        header.CopyTo(room);
        pieces[Count * 2] = new Piece(Unsafe.AsPointer(ref MemoryMarshal.GetReference(room)), header.Length);
        pieces[(Count * 2) + 1] = new Piece(Unsafe.AsPointer(ref MemoryMarshal.GetReference(body)), body.Length);
        Count++;
        TotalBytes += bytes;
        return true;
    }

    /// <summary>Copies one datagram to <paramref name="destination"/>; returns its length.</summary>
    public int Copy(int index, Span<byte> destination)
    {
        var header = pieces[index * 2].Span;
        var body = pieces[(index * 2) + 1].Span;
        header.CopyTo(destination);
        body.CopyTo(destination[header.Length..]);
        return header.Length + body.Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal readonly struct Piece(void* memory, nint bytes)
    {
        private readonly void* memory = memory;
        private readonly nint bytes = bytes;

        public ReadOnlySpan<byte> Span => new(memory, (int)bytes);
    }
}
