using System.Buffers;
using System.IO.Pipelines;
using Florete.Portals;

namespace Florete.AspNetCore;

/// <summary>
/// The sending side of a connection, with the manners that Kestrel expects of a transport: a flush never fails, it says that nobody reads any more; memory
/// may be had in any size and at any time, even after the end.
/// </summary>
/// <param name="inner">Of the connection.</param>
/// <param name="onGone">Told when the peer takes no more.</param>
internal sealed class PortalOutput(PipeWriter inner, Action onGone) : PipeWriter
{
    // What a connection's own memory gives at least; larger wishes are met from the heap and copied.
    private const int MaxSizeHint = 4096;

    private byte[]? aside;
    private bool isAside;
    private volatile bool isGone;

    public override bool CanGetUnflushedBytes => inner.CanGetUnflushedBytes;

    public override long UnflushedBytes => isGone ? 0 : inner.UnflushedBytes;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        isAside = isGone || sizeHint > MaxSizeHint;
        try
        {
            if (!isAside) return inner.GetMemory(sizeHint);
        }
        catch (InvalidOperationException)
        {
            // Completed: HTTP/2 says goodbye (GOAWAY) to callers that have gone, too; that goes nowhere.
            isAside = isGone = true;
            onGone();
        }
        if (aside is null || aside.Length < sizeHint) aside = new byte[Math.Max(sizeHint, MaxSizeHint)];
        return aside;
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        if (!isAside) inner.Advance(bytes);
        else if (!isGone) inner.Write(aside.AsSpan(0, bytes));
    }

    public override void CancelPendingFlush() => inner.CancelPendingFlush();

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        aside = null;
        if (isGone) return new ValueTask<FlushResult>(Gone());
        try
        {
            var flush = inner.FlushAsync(cancellationToken);
            return flush.IsCompletedSuccessfully ? new ValueTask<FlushResult>(Seen(flush.Result)) : WaitAsync(flush);
        }
        catch (Exception e) when (IsEnd(e))
        {
            return new ValueTask<FlushResult>(Gone());
        }
    }

    public override void Complete(Exception? exception = null)
    {
        isGone = true;
        try
        {
            inner.Complete(exception);
        }
        catch (Exception e) when (IsEnd(e))
        {
            onGone();
        }
    }

    public override async ValueTask CompleteAsync(Exception? exception = null)
    {
        isGone = true;
        try
        {
            await inner.CompleteAsync(exception).ConfigureAwait(false);
        }
        catch (Exception e) when (IsEnd(e))
        {
            onGone();
        }
    }

    private static bool IsEnd(Exception e) => e is PortalException or IOException or InvalidOperationException;

    private async ValueTask<FlushResult> WaitAsync(ValueTask<FlushResult> flush)
    {
        try
        {
            return Seen(await flush.ConfigureAwait(false));
        }
        catch (Exception e) when (IsEnd(e))
        {
            return Gone();
        }
    }

    private FlushResult Seen(FlushResult result)
    {
        if (result.IsCompleted) onGone();
        return result;
    }

    private FlushResult Gone()
    {
        isGone = true;
        onGone();
        return new FlushResult(isCanceled: false, isCompleted: true);
    }
}
