using System.Threading.Tasks.Sources;

namespace Florete.Runtime;

/// <summary>
/// Tells, in turns of a loop, that a descriptor has become readable, or has ended. One waiter at a time. Dispose it before the descriptor is closed:
/// who waits then, or later, gets an <see cref="ObjectDisposedException"/>.
/// </summary>
public sealed class ReadableSignal : IValueTaskSource, IDisposable
{
    private readonly Lock gate = new();
    private readonly EpollWaiter epoll;
    private readonly int descriptor;
    private ManualResetValueTaskSourceCore<bool> core;
    private int isWaiting;
    private bool isDisposed;

    internal ReadableSignal(EpollWaiter epoll, int descriptor)
    {
        (this.epoll, this.descriptor) = (epoll, descriptor);
        epoll.WatchOnDemand(descriptor, OnReadable);
    }

    /// <summary>Completes in a turn of the loop.</summary>
    public ValueTask WaitAsync()
    {
        core.Reset();
        var version = core.Version;
        lock (gate)
        {
            if (isDisposed) return ValueTask.FromException(Gone());
            Volatile.Write(ref isWaiting, 1);
            epoll.Demand(descriptor);
        }
        return new ValueTask(this, version);
    }

    public void Dispose()
    {
        lock (gate)
        {
            if (isDisposed) return;
            isDisposed = true;
            epoll.Forget(descriptor);
        }
        if (Interlocked.Exchange(ref isWaiting, 0) == 1) core.SetException(Gone());
    }

    void IValueTaskSource.GetResult(short token) => core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => core.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        core.OnCompleted(continuation, state, token, flags);

    private static ObjectDisposedException Gone() => new(nameof(ReadableSignal));

    private void OnReadable()
    {
        if (Interlocked.Exchange(ref isWaiting, 0) == 1) core.SetResult(true);
    }
}
