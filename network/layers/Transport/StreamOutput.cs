using System.IO.Pipelines;
using System.Threading.Tasks.Sources;
using Florete.Quic;

namespace Florete.Layers;

/// <summary>
/// The sending half of a stream: the user writes into pinned chunks, which QUIC sends from without a copy and releases when the peer has
/// acknowledged them. A flush waits while more than the limit is unacknowledged. One writer, as with every pipe.
/// </summary>
internal sealed class StreamOutput : PipeWriter, IValueTaskSource<FlushResult>
{
    // Below this a fresh chunk is better for the writer than the rest of the old one: sockets are read in large pieces.
    private const int UsefulBytes = 8 * 1024;

    private readonly Lock gate = new();
    private readonly SendChunkPool chunks;
    private readonly Action onFlushed;
    private readonly Queue<Piece> flushed = new();
    private ManualResetValueTaskSourceCore<FlushResult> waiter;
    private CancellationTokenRegistration cancellation;
    private SendChunk? tail;
    private int tailWritten;
    private int tailFlushed;
    private long unacknowledgedBytes;
    private long limitBytes;
    private bool isWaiting;
    private bool isNotified;
    private bool isWriterCompleted;
    private bool isReaderCompleted;
    private bool isFlushCancelled;
    private bool isLent;

    /// <param name="chunks">Where memory comes from.</param>
    /// <param name="runContinuationsAsynchronously">False only in virtual time.</param>
    /// <param name="limitBytes">Unacknowledged bytes above which a flush waits.</param>
    /// <param name="onFlushed">Told, on the writer's thread, that <see cref="TryTake"/> has something or the writer has completed.</param>
    public StreamOutput(SendChunkPool chunks, bool runContinuationsAsynchronously, long limitBytes, Action onFlushed)
    {
        this.chunks = chunks;
        this.limitBytes = limitBytes;
        this.onFlushed = onFlushed;
        waiter.RunContinuationsAsynchronously = runContinuationsAsynchronously;
    }

    /// <summary>The error with which the writer completed, if it did so with one.</summary>
    public Exception? WriterError { get; private set; }

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => tailWritten - tailFlushed;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        ObjectDisposedException.ThrowIf(isWriterCompleted, this);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(sizeHint, SendChunkPool.DefaultChunkBytes);
        lock (gate)
        {
            if (tail is not null && SendChunkPool.DefaultChunkBytes - tailWritten < Math.Max(sizeHint, UsefulBytes)) Seal();
            tail ??= chunks.Rent();
            isLent = true;
            return tail.Memory[tailWritten..];
        }
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        lock (gate)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bytes, (uint)(SendChunkPool.DefaultChunkBytes - tailWritten));
            tailWritten += bytes;
            isLent = false;
        }
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<FlushResult>(cancellationToken);
        bool notify;
        ValueTask<FlushResult> result;
        lock (gate)
        {
            QueueTail();
            notify = flushed.Count > 0 && !isNotified;
            isNotified |= notify;
            if (isReaderCompleted || isFlushCancelled || unacknowledgedBytes < limitBytes)
            {
                result = new ValueTask<FlushResult>(new FlushResult(isFlushCancelled, isReaderCompleted));
                isFlushCancelled = false;
            }
            else
            {
                waiter.Reset();
                isWaiting = true;
                result = new ValueTask<FlushResult>(this, waiter.Version);
            }
        }
        if (notify) onFlushed();
        if (!result.IsCompleted && cancellationToken.CanBeCanceled)
            cancellation = cancellationToken.UnsafeRegister(static output => ((StreamOutput)output!).CancelPendingFlush(), this);
        return result;
    }

    public override void CancelPendingFlush()
    {
        lock (gate)
        {
            isFlushCancelled = true;
            if (!isWaiting) return;
        }
        Wake();
    }

    public override void Complete(Exception? exception = null)
    {
        lock (gate)
        {
            if (isWriterCompleted) return;
            if (exception is null) QueueTail();
            tail?.Release();
            tail = null;
            WriterError = exception;
            isWriterCompleted = true;
            if (isNotified) return;
            isNotified = true;
        }
        onFlushed();
    }

    /// <summary>Takes the next piece to send, with one reference to its chunk; in turns only. False: nothing more now.</summary>
    public bool TryTake(out Piece piece, out bool isEnd)
    {
        lock (gate)
        {
            isEnd = false;
            if (flushed.TryDequeue(out piece)) return true;
            isNotified = false;
            isEnd = isWriterCompleted;
            return false;
        }
    }

    /// <summary>The peer has acknowledged bytes, and may send with a new limit; in turns only.</summary>
    public void OnAcknowledged(long bytes, long newLimitBytes)
    {
        lock (gate)
        {
            unacknowledgedBytes -= bytes;
            limitBytes = newLimitBytes;
            // An idle stream holds no memory.
            if (unacknowledgedBytes == 0 && !isLent && tail is not null && tailWritten == tailFlushed) Seal();
            // Half: a writer that is woken for every acknowledgement would write in small pieces.
            if (!isWaiting || unacknowledgedBytes > limitBytes / 2) return;
        }
        Wake();
    }

    /// <summary>The peer takes no more: drops what is queued, and every flush from now on says so. In turns only.</summary>
    public void StopReading()
    {
        lock (gate)
        {
            isReaderCompleted = true;
            while (flushed.TryDequeue(out var piece)) piece.Chunk.Release();
            if (!isWaiting) return;
        }
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

    private void Wake()
    {
        FlushResult result;
        lock (gate)
        {
            if (!isWaiting) return;
            isWaiting = false;
            result = new FlushResult(isFlushCancelled, isReaderCompleted);
            isFlushCancelled = false;
        }
        waiter.SetResult(result);
    }

    // Callers hold the gate.
    private void QueueTail()
    {
        var bytes = tailWritten - tailFlushed;
        if (tail is null || bytes == 0) return;
        if (!isReaderCompleted)
        {
            tail.AddReference();
            flushed.Enqueue(new Piece(tail, tailFlushed, bytes));
            unacknowledgedBytes += bytes;
        }
        tailFlushed = tailWritten;
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
