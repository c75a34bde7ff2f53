using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// A wire between two interfaces that loses, delays, repeats and reorders frames. It stands in for `tc netem`, which many kernels of
/// small virtual machines are built without, and draws its dice from a seed.
/// </summary>
/// <remarks>One thread owns all state; <see cref="Impairment"/> is swapped whole. Frames carry their virtio header through, because a
/// veth end leaves checksums to be filled in by whoever needs them.</remarks>
public sealed unsafe class Wire : IDisposable
{
    private const int LargestFrame = 10 + 65_550;
    private const int BatchPerSide = 64;

    private readonly Side[] sides;
    private readonly Thread thread;
    private volatile Impairment impairment;
    private volatile bool stopped;
    private long passed;
    private long lost;

    /// <summary>Joins two devices of one namespace, both up and without addresses.</summary>
    public Wire(NetworkNamespace network, string left, string right, Impairment? impairment = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        this.impairment = impairment ?? Impairment.None;
        var fds = network.Enter(() => new[] { Native.OpenPacketSocket(left, true), Native.OpenPacketSocket(right, true) });
        sides = [new Side(fds[0], fds[1], 1), new Side(fds[1], fds[0], 2)];
        thread = new Thread(Run) { IsBackground = true, Name = "wire" };
        thread.Start();
    }

    public Impairment Impairment
    {
        get => impairment;
        set => impairment = value;
    }

    /// <summary>Frames that reached the other end, copies included.</summary>
    public long Passed => Interlocked.Read(ref passed);

    /// <summary>Frames lost by chance or for want of room.</summary>
    public long Lost => Interlocked.Read(ref lost);

    public void Dispose()
    {
        stopped = true;
        thread.Join();
        foreach (var side in sides)
        {
            _ = Native.Close(side.In);
        }
    }

    private void Run()
    {
        var buffer = (byte*)NativeMemory.Alloc(LargestFrame);
        var polled = stackalloc Native.Pollfd[2];
        try
        {
            while (!stopped)
            {
                // 20 ms is only the time that Dispose may take.
                var wait = TimeSpan.FromMilliseconds(20);
                var now = Stopwatch.GetTimestamp();
                for (var i = 0; i < 2; i++)
                {
                    polled[i] = new Native.Pollfd { Fd = sides[i].In, Events = Native.Pollin };
                    if (sides[i].Waiting.TryPeek(out _, out var due))
                    {
                        var left = due.Ticks > now ? Stopwatch.GetElapsedTime(now, due.Ticks) : TimeSpan.Zero;
                        wait = left < wait ? left : wait;
                    }
                }

                var timeout = new Native.Timespec { Nanoseconds = (long)(wait.TotalMicroseconds * 1000) };
                _ = Native.Ppoll(polled, 2, &timeout, null);
                foreach (var side in sides)
                {
                    Receive(side, buffer);
                    Release(side);
                }
            }
        }
        finally
        {
            NativeMemory.Free(buffer);
        }
    }

    private void Receive(Side side, byte* buffer)
    {
        var how = impairment;
        for (var i = 0; i < BatchPerSide; i++)
        {
            var length = (int)Native.Recv(side.In, buffer, LargestFrame, Native.MsgDontwait);
            if (length <= 0)
            {
                return;
            }

            if (side.Dice(how.Seed).NextDouble() < how.Loss)
            {
                _ = Interlocked.Increment(ref lost);
                continue;
            }

            var copies = side.Dice(how.Seed).NextDouble() < how.Duplication ? 2 : 1;
            for (var copy = 0; copy < copies; copy++)
            {
                Schedule(side, new ReadOnlySpan<byte>(buffer, length), how);
            }
        }
    }

    private void Schedule(Side side, ReadOnlySpan<byte> frame, Impairment how)
    {
        if (how.Delay == TimeSpan.Zero && how.Rate == 0)
        {
            fixed (byte* start = frame)
            {
                Send(side, start, frame.Length);
            }

            return;
        }

        if (side.Waiting.Count >= how.Queue)
        {
            _ = Interlocked.Increment(ref lost);
            return;
        }

        var dice = side.Dice(how.Seed);
        var now = Stopwatch.GetTimestamp();
        if (how.Reordering > 0 && dice.NextDouble() < how.Reordering)
        {
            side.Enqueue(frame, now);
            return;
        }

        var leaves = now;
        if (how.Rate > 0)
        {
            side.Free = Math.Max(side.Free, now) + (long)(frame.Length * 8.0 / how.Rate * Stopwatch.Frequency);
            leaves = side.Free;
        }

        var delay = how.Delay + (((dice.NextDouble() * 2) - 1) * how.Jitter);
        side.Enqueue(frame, leaves + (long)(delay.TotalSeconds * Stopwatch.Frequency));
    }

    private void Release(Side side)
    {
        while (side.Waiting.TryPeek(out var frame, out var due) && due.Ticks <= Stopwatch.GetTimestamp())
        {
            _ = side.Waiting.Dequeue();
            fixed (byte* start = frame)
            {
                Send(side, start, frame.Length);
            }
        }
    }

    private void Send(Side side, byte* start, int length)
    {
        _ = Native.Send(side.Out, start, (nuint)length, 0) >= 0 ? Interlocked.Increment(ref passed) : Interlocked.Increment(ref lost);
    }

    /// <summary>One direction: read from <see cref="In"/>, write to <see cref="Out"/>.</summary>
    private sealed class Side(int input, int output, int number)
    {
        private Random? dice;
        private long sequence;

        public int In { get; } = input;

        public int Out { get; } = output;

        /// <summary>Frames by the time they leave; the sequence keeps the order of equals.</summary>
        public PriorityQueue<byte[], (long Ticks, long Sequence)> Waiting { get; } = new();

        /// <summary>When the rate limit lets the next frame go.</summary>
        public long Free { get; set; }

        public Random Dice(int seed) => dice ??= new Random((seed * 2) + number);

        public void Enqueue(ReadOnlySpan<byte> frame, long due) => Waiting.Enqueue(frame.ToArray(), (due, sequence++));
    }
}
