// Linux only: epoll(7) and eventfd(2).
using System.Collections.Concurrent;
using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Florete.Runtime;

internal sealed unsafe partial class EpollWaiter : IWaiter
{
    private const int EventFdNonBlock = 0x800, EventFdCloexec = 0x80000, EpollCloexec = 0x80000;
    private const int Add = 1, Delete = 2, Modify = 3;
    private const uint In = 1, Out = 4, Error = 8, HungUp = 0x10, PeerHungUp = 0x2000, OneShot = 1u << 30;
    private const int MaxEvents = 64;
    private const int Interrupted = 4;

    private readonly int epoll = Check(epoll_create1(EpollCloexec));
    private readonly int wake = Check(eventfd(0, EventFdNonBlock | EventFdCloexec));
    // Without a lock: the loop looks things up while other threads come and go.
    private readonly ConcurrentDictionary<int, Action<bool, bool>> watched = new();

    // struct epoll_event is packed to 12 bytes on x64 and padded to 16 elsewhere (bits/epoll.h).
    private static readonly int EventBytes = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;
    private readonly byte[] events = GC.AllocateArray<byte>(MaxEvents * EventBytes, pinned: true);
    private int ready;

    public EpollWaiter() => Control(Add, wake, In);

    public IDisposable Watch(int descriptor, Action onReadable)
    {
        watched[descriptor] = (_, _) => onReadable();
        Control(Add, descriptor, In);
        return new Registration(this, descriptor);
    }

    /// <summary>Watches a descriptor that is reported once for each <see cref="Demand"/>: whether it is readable, whether it is writable.</summary>
    public void WatchOnDemand(int descriptor, Action<bool, bool> onReady)
    {
        watched[descriptor] = onReady;
        Control(Add, descriptor, OneShot);
    }

    public void Demand(int descriptor, bool readable, bool writable) =>
        Control(Modify, descriptor, (readable ? In | PeerHungUp : 0) | (writable ? Out : 0) | OneShot);

    public void Forget(int descriptor)
    {
        if (watched.TryRemove(descriptor, out _)) Control(Delete, descriptor, 0);
    }

    public void Wait(TimeSpan atMost)
    {
        TimeSpec limit = default;
        if (atMost > TimeSpan.Zero)
        {
            limit.Seconds = atMost.Ticks / TimeSpan.TicksPerSecond;
            limit.Nanoseconds = atMost.Ticks % TimeSpan.TicksPerSecond * 100;
        }
        fixed (byte* first = events)
        {
            ready = epoll_pwait2(epoll, first, MaxEvents, atMost == Timeout.InfiniteTimeSpan ? null : &limit, null);
        }
        if (ready >= 0) return;
        if (Marshal.GetLastPInvokeError() != Interrupted) throw new Win32Exception();
        ready = 0;
    }

    public void Wake()
    {
        ulong one = 1;
        _ = write(wake, &one, sizeof(ulong));
    }

    public void Dispatch(ThreadLoop loop)
    {
        for (var i = 0; i < ready; i++)
        {
            var descriptor = BitConverter.ToInt32(events, (i * EventBytes) + EventBytes - 8);
            if (descriptor == wake)
            {
                ulong count;
                _ = read(wake, &count, sizeof(ulong));
                continue;
            }
            if (!watched.TryGetValue(descriptor, out var onReady)) continue;
            var what = BitConverter.ToUInt32(events, i * EventBytes);
            // Reading and writing tell what has ended, and how.
            var hasEnded = (what & (Error | HungUp)) != 0;
            loop.Dispatch(onReady, hasEnded || (what & (In | PeerHungUp)) != 0, hasEnded || (what & Out) != 0);
        }
    }

    public void Dispose()
    {
        _ = close(epoll);
        _ = close(wake);
    }

    private static int Check(int result) => result >= 0 ? result : throw new Win32Exception();

    private void Control(int operation, int descriptor, uint what)
    {
        var e = stackalloc byte[16];
        *(uint*)e = what;
        *(int*)(e + EventBytes - 8) = descriptor;
        Check(epoll_ctl(epoll, operation, descriptor, e));
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_ctl(int epoll, int operation, int descriptor, void* e);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_pwait2(int epoll, void* events, int count, TimeSpec* timeout, void* signals);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int eventfd(uint initial, int flags);

    [LibraryImport("libc")]
    private static partial nint write(int descriptor, void* from, nint bytes);

    [LibraryImport("libc")]
    private static partial nint read(int descriptor, void* to, nint bytes);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);

    private sealed class Registration(EpollWaiter waiter, int descriptor) : IDisposable
    {
        public void Dispose() => waiter.Forget(descriptor);
    }

    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
