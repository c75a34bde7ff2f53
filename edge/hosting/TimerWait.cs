namespace Florete.Hosting;

/// <summary>Waits for a moment by a timer.</summary>
public static class TimerWait
{
    /// <summary>
    /// A wait after which so much time has surely passed. Timers count whole milliseconds, and may be one early: what is left would be no wait at all, again and again
    /// until it is over.
    /// </summary>
    public static TimeSpan Past(TimeSpan due) => TimeSpan.FromMilliseconds(Math.Ceiling(due.TotalMilliseconds) + 1);
}
