namespace Florete.Runtime;

/// <summary>A one-shot timer of an <see cref="EventLoop"/>; setting it again moves it. Allocates only when made.</summary>
public sealed class LoopTimer
{
    private readonly TimerHeap heap;
    private readonly Action callback;

    internal LoopTimer(TimerHeap heap, Action callback)
    {
        this.heap = heap;
        this.callback = callback;
    }

    public Instant Deadline { get; internal set; } = Instant.Never;

    public bool IsSet => Position >= 0;

    /// <summary>How much before its deadline it may fire, in a turn that something else has begun: a turn of its own costs a wake of the processor.</summary>
    public TimeSpan Slack { get; internal set; }

    internal int Position { get; set; } = -1;

    internal long Order { get; set; }

    /// <summary>Sets or moves the deadline; <see cref="Instant.Never"/> cancels.</summary>
    /// <param name="deadline">When it fires at the latest.</param>
    /// <param name="slack">See <see cref="Slack"/>; less than the wait, or it fires again and again.</param>
    public void Set(Instant deadline, TimeSpan slack = default)
    {
        Slack = slack;
        if (deadline == Instant.Never) Cancel();
        else heap.Set(this, deadline);
    }

    public void Cancel() => heap.Remove(this);

    internal void Fire() => callback();
}

/// <summary>Binary heap of timers; equal deadlines fire in the order they were set, so that runs are reproducible.</summary>
internal sealed class TimerHeap
{
    private readonly List<LoopTimer> items = [];
    private long order;

    public Instant Next => items.Count == 0 ? Instant.Never : items[0].Deadline;

    /// <summary>The next one that fires in a turn at this time. Slack counts for the earliest alone: to look for others would cost more than they save.</summary>
    public LoopTimer? TakeDue(Instant now)
    {
        if (items.Count == 0 || items[0].Deadline - items[0].Slack > now) return null;
        var due = items[0];
        Remove(due);
        return due;
    }

    public void Set(LoopTimer timer, Instant deadline)
    {
        timer.Order = ++order;
        timer.Deadline = deadline;
        if (timer.Position < 0)
        {
            timer.Position = items.Count;
            items.Add(timer);
        }
        Down(Up(timer.Position));
    }

    public void Remove(LoopTimer timer)
    {
        var hole = timer.Position;
        if (hole < 0) return;
        var last = items[^1];
        items.RemoveAt(items.Count - 1);
        timer.Position = -1;
        timer.Deadline = Instant.Never;
        if (last == timer) return;
        Place(last, hole);
        Down(Up(hole));
    }

    private static bool Before(LoopTimer a, LoopTimer b) => a.Deadline != b.Deadline ? a.Deadline < b.Deadline : a.Order < b.Order;

    private int Up(int at)
    {
        var timer = items[at];
        while (at > 0 && Before(timer, items[(at - 1) / 2]))
        {
            Place(items[(at - 1) / 2], at);
            at = (at - 1) / 2;
        }
        Place(timer, at);
        return at;
    }

    private void Down(int at)
    {
        var timer = items[at];
        while (true)
        {
            var child = (2 * at) + 1;
            if (child >= items.Count) break;
            if (child + 1 < items.Count && Before(items[child + 1], items[child])) child++;
            if (!Before(items[child], timer)) break;
            Place(items[child], at);
            at = child;
        }
        Place(timer, at);
    }

    private void Place(LoopTimer timer, int at)
    {
        items[at] = timer;
        timer.Position = at;
    }
}
