using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace Florete.Quic;

/// <summary>
/// Pinned memory for bytes to be sent. The renter holds one reference; each <see cref="QuicStream.Enqueue"/> takes another, which ends when the peer
/// has acknowledged the bytes. Bytes that were enqueued must not change. With the last reference it goes back to its pool.
/// </summary>
public sealed unsafe class SendChunk
{
    private readonly byte[] memory;
    private readonly SendChunkPool pool;
    private int references;

    internal SendChunk(SendChunkPool pool, int bytes)
    {
        this.pool = pool;
        memory = GC.AllocateUninitializedArray<byte>(bytes, pinned: true);
        Pointer = (byte*)Unsafe.AsPointer(ref memory[0]);
    }

    public int CapacityBytes => memory.Length;

    public Span<byte> Span => memory;

    public Memory<byte> Memory => memory;

    internal byte* Pointer { get; }

    public void AddReference()
    {
        if (Interlocked.Increment(ref references) <= 1) throw new InvalidOperationException("A send chunk was used after its last reference ended.");
    }

    /// <summary>Ends one reference. Thread-safe.</summary>
    public void Release()
    {
        var left = Interlocked.Decrement(ref references);
        if (left == 0) pool.Return(this);
        else if (left < 0) throw new InvalidOperationException("A send chunk was released more often than it was referenced.");
    }

    internal void Reuse() => references = 1;
}

/// <summary>Send chunks of one size. Thread-safe, without a lock: a loop returns chunks and must never wait for a writer. Keeps a bounded number of idle chunks; more are left to the garbage collector.</summary>
public sealed class SendChunkPool
{
    /// <summary>64 KiB: four packets of the large size, one read of a fast local socket.</summary>
    public const int DefaultChunkBytes = 64 * 1024;

    private readonly ConcurrentQueue<SendChunk> free = new();
    private readonly int chunkBytes;
    private readonly int keptChunks;
    private int count;
    private int rented;

    public SendChunkPool(int chunkBytes = DefaultChunkBytes, int keptChunks = 64)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(chunkBytes, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(chunkBytes, 1 << 24);
        ArgumentOutOfRangeException.ThrowIfNegative(keptChunks);
        (this.chunkBytes, this.keptChunks) = (chunkBytes, keptChunks);
    }

    /// <summary>Chunks with references now; a growing figure is a leak.</summary>
    public int Rented => Volatile.Read(ref rented);

    /// <summary>A chunk with one reference, the caller's. Its content is not cleared.</summary>
    public SendChunk Rent()
    {
        Interlocked.Increment(ref rented);
        if (free.TryDequeue(out var chunk)) Interlocked.Decrement(ref count);
        else chunk = new SendChunk(this, chunkBytes);
        chunk.Reuse();
        return chunk;
    }

    internal void Return(SendChunk chunk)
    {
        Interlocked.Decrement(ref rented);
        if (Interlocked.Increment(ref count) <= keptChunks) free.Enqueue(chunk);
        else Interlocked.Decrement(ref count);
    }
}
