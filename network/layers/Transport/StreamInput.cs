using System.Buffers;
using System.IO.Pipelines;

namespace Florete.Layers;

/// <summary>
/// The receiving half of a stream: the loop writes what arrived, the user reads. What the user consumes becomes flow-control credit, so
/// the peer can never make more than one window of bytes wait here. One reader, as with every pipe.
/// </summary>
internal sealed class StreamInput : PipeReader
{
    // A large packet fills about half of a segment; the user sends whole segments to its socket in one call.
    private const int SegmentBytes = 32 * 1024;

    private readonly Pipe pipe;
    private readonly ReaderScheduler scheduler;
    private readonly Action<long> onConsumed;
    private readonly Action<Exception?> onReaderCompleted;
    private ReadOnlySequence<byte> lastRead;
    private bool isWriterCompleted;
    private int isReaderCompleted;

    /// <param name="readerScheduler">Where the reader goes on after waiting.</param>
    /// <param name="onConsumed">Told, on the reader's thread, how many bytes were consumed.</param>
    /// <param name="onReaderCompleted">Told once, on the reader's thread, that the user reads no more.</param>
    public StreamInput(PipeScheduler readerScheduler, Action<long> onConsumed, Action<Exception?> onReaderCompleted)
    {
        scheduler = new ReaderScheduler(readerScheduler);
        pipe = new Pipe(new PipeOptions(
            readerScheduler: scheduler, pauseWriterThreshold: 0, resumeWriterThreshold: 0, minimumSegmentSize: SegmentBytes));
        this.onConsumed = onConsumed;
        this.onReaderCompleted = onReaderCompleted;
    }

    /// <summary>See <see cref="Portals.IPromptStream.ResumesInTurn"/>.</summary>
    public bool ResumesInTurn { get; set; }

    /// <summary>Copies arrived bytes; visible to the reader after <see cref="Flush"/>. In turns only.</summary>
    public void Write(ReadOnlySpan<byte> data)
    {
        if (isWriterCompleted) return;
        pipe.Writer.Write(data);
    }

    /// <summary>Shows what was written to the reader; once per turn, so that it wakes once for many packets.</summary>
    public void Flush()
    {
        if (isWriterCompleted) return;
        scheduler.IsInTurn = ResumesInTurn;
        // Completes at once: the pipe has no threshold of its own, the flow-control window is its bound.
        var flush = pipe.Writer.FlushAsync();
        System.Diagnostics.Debug.Assert(flush.IsCompleted, "the pipe has no threshold");
        scheduler.IsInTurn = false;
    }

    /// <summary>Ends the stream for the reader: in order, or with an error. In turns only.</summary>
    public void End(Exception? error)
    {
        if (isWriterCompleted) return;
        isWriterCompleted = true;
        pipe.Writer.Complete(error);
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        var bytes = lastRead.Slice(0, consumed).Length;
        lastRead = default;
        pipe.Reader.AdvanceTo(consumed, examined);
        if (bytes > 0) onConsumed(bytes);
    }

    public override void CancelPendingRead() => pipe.Reader.CancelPendingRead();

    public override void Complete(Exception? exception = null)
    {
        if (Interlocked.Exchange(ref isReaderCompleted, 1) != 0) return;
        // Without the error: the pipe would throw it at its writer, the loop, in the middle of a packet of everybody's connection.
        pipe.Reader.Complete();
        onReaderCompleted(exception);
    }

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        var read = pipe.Reader.ReadAsync(cancellationToken);
        return read.IsCompletedSuccessfully ? new ValueTask<ReadResult>(Remember(read.Result)) : Wait(read);
    }

    public override bool TryRead(out ReadResult result)
    {
        if (!pipe.Reader.TryRead(out result)) return false;
        Remember(result);
        return true;
    }

    [System.Runtime.CompilerServices.AsyncMethodBuilder(typeof(System.Runtime.CompilerServices.PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<ReadResult> Wait(ValueTask<ReadResult> read) => Remember(await read.ConfigureAwait(false));

    private sealed class ReaderScheduler(PipeScheduler elsewhere) : PipeScheduler
    {
        // Set by the loop around a flush; another thread that schedules meanwhile may see it, and then goes on where it is, which is right too.
        public volatile bool IsInTurn;

        public override void Schedule(Action<object?> action, object? state)
        {
            if (IsInTurn) action(state);
            else elsewhere.Schedule(action, state);
        }
    }

    private ReadResult Remember(ReadResult result)
    {
        lastRead = result.Buffer;
        return result;
    }
}
