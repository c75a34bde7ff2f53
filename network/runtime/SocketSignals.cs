using System.Threading.Tasks.Sources;

namespace Florete.Runtime;

/// <summary>
/// Tells, in turns of a loop, that a socket has become readable or writable, or has ended (which is both). One waiter at a time for each. Dispose it
/// before the descriptor is closed: who waits then, or later, gets an <see cref="ObjectDisposedException"/>.
/// </summary>
public sealed class SocketSignals : IDisposable
{
    private readonly Lock gate = new();
    private readonly EpollWaiter epoll;
    private readonly int descriptor;
    private readonly Waiter readable, writable;
    private bool isDisposed;

    internal SocketSignals(EpollWaiter epoll, int descriptor)
    {
        (this.epoll, this.descriptor) = (epoll, descriptor);
        (readable, writable) = (new Waiter(), new Waiter());
        epoll.WatchOnDemand(descriptor, OnReady);
    }

    /// <summary>Completes in a turn of the loop.</summary>
    public ValueTask ReadableAsync() => WaitAsync(readable);

    /// <summary>Completes in a turn of the loop.</summary>
    public ValueTask WritableAsync() => WaitAsync(writable);

    public void Dispose()
    {
        bool wasReading, wasWriting;
        lock (gate)
        {
            if (isDisposed) return;
            isDisposed = true;
            epoll.Forget(descriptor);
            (wasReading, wasWriting) = (readable.Take(), writable.Take());
        }
        if (wasReading) readable.Fail(Gone());
        if (wasWriting) writable.Fail(Gone());
    }

    private static ObjectDisposedException Gone() => new(nameof(SocketSignals));

    private ValueTask WaitAsync(Waiter waiter)
    {
        lock (gate)
        {
            if (isDisposed) return ValueTask.FromException(Gone());
            var wait = waiter.Start();
            epoll.Demand(descriptor, readable.IsWaiting, writable.IsWaiting);
            return wait;
        }
    }

    private void OnReady(bool isReadable, bool isWritable)
    {
        lock (gate)
        {
            // Forgotten between the kernel's report and this turn.
            if (isDisposed) return;
            isReadable = isReadable && readable.Take();
            isWritable = isWritable && writable.Take();
            // Once reported, the kernel reports nothing more of the descriptor: the other one still waits.
            if (readable.IsWaiting || writable.IsWaiting) epoll.Demand(descriptor, readable.IsWaiting, writable.IsWaiting);
        }
        if (isReadable) readable.Complete();
        if (isWritable) writable.Complete();
    }

    private sealed class Waiter : IValueTaskSource
    {
        private ManualResetValueTaskSourceCore<bool> core;

        public bool IsWaiting { get; private set; }

        public ValueTask Start()
        {
            if (IsWaiting) throw new InvalidOperationException("Somebody waits for this already.");
            core.Reset();
            IsWaiting = true;
            return new ValueTask(this, core.Version);
        }

        /// <summary>True for the one who has to complete it.</summary>
        public bool Take()
        {
            var was = IsWaiting;
            IsWaiting = false;
            return was;
        }

        public void Complete() => core.SetResult(true);

        public void Fail(Exception error) => core.SetException(error);

        void IValueTaskSource.GetResult(short token) => core.GetResult(token);

        ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => core.GetStatus(token);

        void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            core.OnCompleted(continuation, state, token, flags);
    }
}
