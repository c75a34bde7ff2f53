using Florete.Quic.Native;

namespace Florete.Quic;

/// <summary>
/// The bytes of one stream between Enqueue and their acknowledgement: a ring of pieces of chunks, of which a prefix was given to ngtcp2. ngtcp2
/// reads that prefix again when it retransmits, so a piece stays until the acknowledged offset passes its end.
/// </summary>
internal sealed class SendQueue
{
    private Piece[] ring = new Piece[4];
    private int head;
    private int count;
    private int sentPieces; // pieces wholly given to ngtcp2
    private int sentInPiece; // bytes of the next piece that were given too
    private int ackedInPiece; // bytes of the first piece that were acknowledged

    private record struct Piece(SendChunk Chunk, int Offset, int Length);

    /// <summary>Bytes held, sent or not.</summary>
    public long HeldBytes { get; private set; }

    /// <summary>Bytes not yet given to ngtcp2.</summary>
    public long UnsentBytes { get; private set; }

    public void Add(SendChunk chunk, int offset, int length)
    {
        HeldBytes += length;
        UnsentBytes += length;
        if (count > 0)
        {
            ref var last = ref ring[(head + count - 1) & (ring.Length - 1)];
            if (last.Chunk == chunk && last.Offset + last.Length == offset)
            {
                // A piece that was wholly sent becomes a partly sent one.
                if (sentPieces == count) (sentPieces, sentInPiece) = (count - 1, last.Length);
                last.Length += length;
                return;
            }
        }
        chunk.AddReference();
        if (count == ring.Length) Grow();
        ring[(head + count++) & (ring.Length - 1)] = new Piece(chunk, offset, length);
    }

    /// <summary>Fills <paramref name="vectors"/> with unsent bytes, about <paramref name="wanted"/> of them; returns how many vectors, and the bytes.</summary>
    public unsafe int Gather(Span<Vec> vectors, long wanted, out long bytes)
    {
        bytes = 0;
        var filled = 0;
        var skip = sentInPiece;
        for (var i = sentPieces; i < count && filled < vectors.Length && bytes < wanted; i++)
        {
            ref var piece = ref ring[(head + i) & (ring.Length - 1)];
            vectors[filled++] = new Vec { Base = piece.Chunk.Pointer + piece.Offset + skip, Length = (nuint)(piece.Length - skip) };
            bytes += piece.Length - skip;
            skip = 0;
        }
        return filled;
    }

    /// <summary>ngtcp2 took these bytes.</summary>
    public void Sent(long bytes)
    {
        UnsentBytes -= bytes;
        while (bytes > 0)
        {
            var left = ring[(head + sentPieces) & (ring.Length - 1)].Length - sentInPiece;
            if (bytes < left)
            {
                sentInPiece += (int)bytes;
                return;
            }
            bytes -= left;
            sentPieces++;
            sentInPiece = 0;
        }
    }

    /// <summary>The peer has these bytes; never more than were sent.</summary>
    public void Acked(long bytes)
    {
        HeldBytes -= bytes;
        while (bytes > 0)
        {
            var piece = ring[head];
            var left = piece.Length - ackedInPiece;
            if (bytes < left)
            {
                ackedInPiece += (int)bytes;
                return;
            }
            bytes -= left;
            // A last piece that later grows was not wholly sent yet; it stays.
            ackedInPiece = 0;
            ring[head] = default;
            head = (head + 1) & (ring.Length - 1);
            count--;
            sentPieces--;
            piece.Chunk.Release();
        }
    }

    /// <summary>Drops the pieces of which nothing was sent.</summary>
    public void DropUnsent()
    {
        var keep = sentPieces + (sentInPiece > 0 ? 1 : 0);
        while (count > keep)
        {
            ref var piece = ref ring[(head + --count) & (ring.Length - 1)];
            HeldBytes -= piece.Length;
            piece.Chunk.Release();
            piece = default;
        }
        UnsentBytes = 0;
    }

    /// <summary>Drops everything; ngtcp2 must not hold the stream any more.</summary>
    public void Clear()
    {
        for (; count > 0; count--)
        {
            ring[head].Chunk.Release();
            ring[head] = default;
            head = (head + 1) & (ring.Length - 1);
        }
        (sentPieces, sentInPiece, ackedInPiece, HeldBytes, UnsentBytes) = (0, 0, 0, 0, 0);
    }

    private void Grow()
    {
        var larger = new Piece[ring.Length * 2];
        for (var i = 0; i < count; i++) larger[i] = ring[(head + i) & (ring.Length - 1)];
        (ring, head) = (larger, 0);
    }
}
