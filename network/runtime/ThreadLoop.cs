using System.Diagnostics;

namespace Florete.Runtime;

/// <summary>
/// A loop with a thread of its own that sleeps in the kernel until a socket is readable, a timer is due or work is posted.
/// On Linux it watches file descriptors by epoll; elsewhere sockets post what they received.
/// </summary>
public sealed class ThreadLoop : EventLoop, IAsyncDisposable
{
    private readonly IWaiter waiter = OperatingSystem.IsLinux() ? new EpollWaiter() : new SemaphoreWaiter();
    private readonly Thread thread;
    private readonly TaskCompletionSource stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool stopping;
    private int sleeping;

    public ThreadLoop(string name, TimeProvider? wallClock = null)
    {
        WallClock = wallClock ?? TimeProvider.System;
        Now = Clock();
        thread = new Thread(Run) { IsBackground = true, Name = name };
        thread.Start();
    }

    public override TimeProvider WallClock { get; }

    public override System.IO.Pipelines.PipeScheduler UserScheduler => System.IO.Pipelines.PipeScheduler.ThreadPool;

    /// <summary>True where <see cref="Watch"/> works.</summary>
    public bool CanWatch => waiter is EpollWaiter;

    /// <summary>Calls back in a turn whenever the descriptor is readable (level-triggered). Dispose the result before closing the descriptor.</summary>
    /// <exception cref="PlatformNotSupportedException">Not on Linux.</exception>
    public IDisposable Watch(int descriptor, Action onReadable) => waiter is EpollWaiter epoll
        ? epoll.Watch(descriptor, onReadable)
        : throw new PlatformNotSupportedException("Watching descriptors needs Linux.");

    /// <summary>For a socket that is read and written without blocking, in turns of this loop.</summary>
    /// <exception cref="PlatformNotSupportedException">Not on Linux.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The descriptor is closed, or the system allows no more watches.</exception>
    public SocketSignals SignalsOf(int descriptor) => waiter is EpollWaiter epoll
        ? new SocketSignals(epoll, descriptor)
        : throw new PlatformNotSupportedException("Watching descriptors needs Linux.");

    /// <summary>Ends the thread after its turn; work posted later does not run.</summary>
    public async ValueTask DisposeAsync()
    {
        stopping = true;
        waiter.Wake();
        await stopped.Task;
        waiter.Dispose();
    }

    private protected override void Wake()
    {
        // A sleeping thread needs one wake-up call, however many post to it before it runs.
        if (Interlocked.Exchange(ref sleeping, 0) == 1) waiter.Wake();
    }

    private static Instant Clock() => new(Stopwatch.GetTimestamp() * (1_000_000_000L / Stopwatch.Frequency));

    private void Run()
    {
        if (OperatingSystem.IsLinux()) LoopPriority.Raise();
        try
        {
            while (!stopping)
            {
                var wait = TimeSpan.Zero;
                Volatile.Write(ref sleeping, 1);
                Interlocked.MemoryBarrier();
                if (!HasPosted && !HasEndOfTurnWork)
                {
                    var next = NextTimer;
                    wait = next == Instant.Never ? Timeout.InfiniteTimeSpan : next - Clock();
                    if (wait < TimeSpan.Zero && wait != Timeout.InfiniteTimeSpan) wait = TimeSpan.Zero;
                }
                waiter.Wait(wait);
                Volatile.Write(ref sleeping, 0);
                Now = Clock();
                Enter(out var outer);
                waiter.Dispatch(this);
                RunTurn();
                Leave(outer);
            }
        }
        finally
        {
            stopped.SetResult();
        }
    }

    internal void Dispatch(Action<bool, bool> onReady, bool isReadable, bool isWritable)
    {
        try
        {
            onReady(isReadable, isWritable);
        }
        catch (Exception e) when (HasFaultHandler)
        {
            Fault(e);
        }
    }
}

/// <summary>How a loop thread sleeps and is woken.</summary>
internal interface IWaiter : IDisposable
{
    void Wait(TimeSpan atMost);

    void Wake();

    void Dispatch(ThreadLoop loop);
}

internal sealed class SemaphoreWaiter : IWaiter
{
    private readonly SemaphoreSlim signal = new(0);

    public void Wait(TimeSpan atMost) => signal.Wait(atMost);

    public void Wake() => signal.Release();

    public void Dispatch(ThreadLoop loop)
    {
    }

    public void Dispose() => signal.Dispose();
}
