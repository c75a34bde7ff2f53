namespace Florete.Hosting;

/// <summary>
/// Waits for a moment, again and again, with one timer: a <see cref="Task.Delay(TimeSpan)"/> for each wait, and its cancellation when something else came first, wake three threads more.
/// For one waiter.
/// </summary>
public sealed class Alarm : IDisposable
{
    private readonly ITimer timer;
    private volatile TaskCompletionSource rings = new();

    /// <param name="time">The clock.</param>
    public Alarm(TimeProvider time) => timer = time.CreateTimer(_ => rings.TrySetResult(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

    /// <summary>
    /// Completes when the time is over; earlier where the wait before ends at this very moment, so look again. The wait before does not complete any more. What awaits it goes on in the
    /// timer's own call.
    /// </summary>
    /// <param name="wait">Less than 49 days.</param>
    public Task After(TimeSpan wait)
    {
        var next = rings = new TaskCompletionSource();
        // Timers count whole milliseconds, and may be one early: less would be no wait at all, again and again until it is over.
        timer.Change(TimeSpan.FromMilliseconds(Math.Ceiling(Math.Max(0, wait.TotalMilliseconds)) + 1), Timeout.InfiniteTimeSpan);
        return next.Task;
    }

    public void Dispose() => timer.Dispose();
}
