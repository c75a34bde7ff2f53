using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// The sending half of a stream: the user writes into pinned chunks, which QUIC sends from without a copy and releases when the peer has
/// acknowledged them. A flush waits while more than the limit is unacknowledged. One writer, as with every pipe, and the loop at the other end.
/// </summary>
/// <remarks>
/// Without a lock: on a busy machine a writer that is suspended inside of one holds up the loop, and with it all streams and the links' signs of
/// life, for a tenth of a second and more.
/// </remarks>
internal sealed class StreamOutput : PipeWriter, IValueTaskSource<FlushResult>
{
    // Below this a fresh chunk is better for the writer than the rest of the old one: sockets are read in large pieces.
    private const int UsefulBytes = 8 * 1024;

    private readonly EventLoop loop;
    private readonly SendChunkPool chunks;
    private readonly Action onFlushed;
    private readonly ConcurrentQueue<Piece> flushed = new();
    private ManualResetValueTaskSourceCore<FlushResult> waiter;
    private CancellationTokenRegistration cancellation;

    // The writer's own. Between a flush and the next write the tail is parked, where the loop may take it from an idle stream.
    private SendChunk? tail;
    private int tailWritten;
    private int tailFlushed;

    private SendChunk? parked;
    private long unacknowledgedBytes;
    private long limitBytes;
    private int isWaiting;
    private int isNotified;
    private int isFlushCancelled;
    private volatile bool isWriterCompleted;
    private volatile bool isReaderCompleted;

    /// <param name="loop">Which sends, and tells what was acknowledged.</param>
    /// <param name="chunks">Where memory comes from.</param>
    /// <param name="limitBytes">Unacknowledged bytes above which a flush waits.</param>
    /// <param name="onFlushed">Told, on the writer's thread, that <see cref="TryTake"/> has something or the writer has completed.</param>
    public StreamOutput(EventLoop loop, SendChunkPool chunks, long limitBytes, Action onFlushed)
    {
        this.loop = loop;
        this.chunks = chunks;
        this.limitBytes = limitBytes;
        this.onFlushed = onFlushed;
    }

    /// <summary>See <see cref="Portals.IPromptStream.ResumesInTurn"/>.</summary>
    public bool ResumesInTurn { get; set; }

    /// <summary>The error with which the writer completed, if it did so with one.</summary>
    public Exception? WriterError { get; private set; }

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => tailWritten - tailFlushed;

    private bool IsBelowLimit => Interlocked.Read(ref unacknowledgedBytes) < Interlocked.Read(ref limitBytes);

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        ObjectDisposedException.ThrowIf(isWriterCompleted, this);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(sizeHint, SendChunkPool.DefaultChunkBytes);
        TakeTail();
        if (tail is not null && SendChunkPool.DefaultChunkBytes - tailWritten < Math.Max(sizeHint, UsefulBytes)) Seal();
        tail ??= chunks.Rent();
        return tail.Memory[tailWritten..];
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bytes, (uint)(SendChunkPool.DefaultChunkBytes - tailWritten));
        tailWritten += bytes;
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<FlushResult>(cancellationToken);
        QueueTail();
        ParkTail();
        // Before the loop is told: it may acknowledge at once.
        var result = WaitBelowLimit();
        if (!flushed.IsEmpty) Notify();
        if (!result.IsCompleted && cancellationToken.CanBeCanceled)
            cancellation = cancellationToken.UnsafeRegister(static output => ((StreamOutput)output!).CancelPendingFlush(), this);
        return result;
    }

    public override void CancelPendingFlush()
    {
        Volatile.Write(ref isFlushCancelled, 1);
        Wake();
    }

    public override void Complete(Exception? exception = null)
    {
        if (isWriterCompleted) return;
        TakeTail();
        if (exception is null) QueueTail();
        tail?.Release();
        tail = null;
        WriterError = exception;
        isWriterCompleted = true;
        Notify();
    }

    /// <summary>Takes the next piece to send, with one reference to its chunk; in turns only. False: nothing more now.</summary>
    public bool TryTake(out Piece piece, out bool isEnd)
    {
        isEnd = false;
        if (flushed.TryDequeue(out piece)) return true;
        Interlocked.Exchange(ref isNotified, 0);
        // What the writer has queued before it saw that, it has not told of.
        if (flushed.TryDequeue(out piece)) return true;
        isEnd = isWriterCompleted && flushed.IsEmpty;
        return false;
    }

    /// <summary>The peer has acknowledged bytes, and the writer may have a new limit; what is left unacknowledged. In turns only.</summary>
    public long OnAcknowledged(long bytes, long newLimitBytes)
    {
        Interlocked.Exchange(ref limitBytes, newLimitBytes);
        var left = Interlocked.Add(ref unacknowledgedBytes, -bytes);
        // An idle stream holds no memory.
        if (left == 0) Interlocked.Exchange(ref parked, null)?.Release();
        // Half: a writer that is woken for every acknowledgement would write in small pieces.
        if (left <= newLimitBytes / 2) Wake();
        return left;
    }

    /// <summary>The peer takes no more: drops what is queued, and every flush from now on says so. In turns only.</summary>
    public void StopReading()
    {
        isReaderCompleted = true;
        DropQueued();
        Wake();
    }

    FlushResult IValueTaskSource<FlushResult>.GetResult(short token)
    {
        cancellation.Dispose();
        return waiter.GetResult(token);
    }

    ValueTaskSourceStatus IValueTaskSource<FlushResult>.GetStatus(short token) => waiter.GetStatus(token);

    void IValueTaskSource<FlushResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        waiter.OnCompleted(continuation, state, token, flags);

    private ValueTask<FlushResult> WaitBelowLimit()
    {
        if (MayGoOn()) return new ValueTask<FlushResult>(Result());
        waiter.Reset();
        var version = waiter.Version;
        Interlocked.Exchange(ref isWaiting, 1);
        // Acknowledged or ended in between: whoever takes the flag answers.
        if (MayGoOn() && Interlocked.Exchange(ref isWaiting, 0) == 1) return new ValueTask<FlushResult>(Result());
        return new ValueTask<FlushResult>(this, version);
    }

    private bool MayGoOn() => IsBelowLimit || isReaderCompleted || Volatile.Read(ref isFlushCancelled) == 1;

    private FlushResult Result() => new(isCanceled: Interlocked.Exchange(ref isFlushCancelled, 0) == 1, isCompleted: isReaderCompleted);

    private void Wake()
    {
        if (Interlocked.Exchange(ref isWaiting, 0) != 1) return;
        // Never here: this may be the middle of a packet.
        (ResumesInTurn ? loop : loop.UserScheduler).Schedule(static o => ((StreamOutput)o!).waiter.SetResult(((StreamOutput)o!).Result()), this);
    }

    private void Notify()
    {
        if (Interlocked.Exchange(ref isNotified, 1) == 0) onFlushed();
    }

    private void TakeTail()
    {
        if (tail is not null) return;
        tail = Interlocked.Exchange(ref parked, null);
        if (tail is null) tailWritten = tailFlushed = 0;
    }

    private void ParkTail()
    {
        if (tail is null) return;
        Volatile.Write(ref parked, tail);
        tail = null;
        // The last acknowledgement may have come before: then nobody else would take it.
        if (Interlocked.Read(ref unacknowledgedBytes) == 0) Interlocked.Exchange(ref parked, null)?.Release();
    }

    private void QueueTail()
    {
        var bytes = tailWritten - tailFlushed;
        if (tail is null || bytes == 0) return;
        tail.AddReference();
        Interlocked.Add(ref unacknowledgedBytes, bytes);
        flushed.Enqueue(new Piece(tail, tailFlushed, bytes));
        tailFlushed = tailWritten;
        // Queued while the loop dropped what was queued.
        if (isReaderCompleted) DropQueued();
    }

    private void DropQueued()
    {
        while (flushed.TryDequeue(out var piece)) piece.Chunk.Release();
    }

    private void Seal()
    {
        QueueTail();
        tail!.Release();
        tail = null;
        tailWritten = tailFlushed = 0;
    }

    /// <summary>Flushed bytes in a chunk.</summary>
    internal readonly record struct Piece(SendChunk Chunk, int Offset, int Length);
}
