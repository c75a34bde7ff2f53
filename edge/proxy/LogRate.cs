namespace Florete.Proxy;

/// <summary>Lets through a few lines a second of what others can cause as often as they like, and counts the rest. Thread-safe.</summary>
internal sealed class LogRate(int linesPerSecond = 5, TimeProvider? clock = null)
{
    private readonly TimeProvider clock = clock ?? TimeProvider.System;
    private readonly Lock gate = new();
    private long second = long.MinValue;
    private int lines;
    private long suppressed;

    /// <summary>May a line be written? If so, how many were not since the last.</summary>
    public bool TryTake(out long suppressedBefore)
    {
        lock (gate)
        {
            var now = clock.GetTimestamp() / clock.TimestampFrequency;
            if (now != second) (second, lines) = (now, 0);
            suppressedBefore = suppressed;
            if (lines >= linesPerSecond)
            {
                suppressed++;
                return false;
            }
            lines++;
            suppressed = 0;
            return true;
        }
    }
}
