using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// Grows what one stream may hold, of bytes to be read or of bytes to be acknowledged, while the other end keeps up and this window is what
/// holds the stream back: when half of it has passed within two round trips. A stalled stream keeps the small window, so that hundreds of
/// them cost little memory.
/// </summary>
internal sealed class WindowTuner(long startBytes, long maxBytes)
{
    private Instant since;
    private long passedBytes;

    /// <summary>The window now.</summary>
    public long Bytes { get; private set; } = startBytes;

    /// <summary>What it has grown by, out of the budget that the streams of a connection share.</summary>
    public long GrownBytes { get; private set; }

    /// <summary>By how many bytes to grow the window, 0 mostly; at most <paramref name="leftBytes"/>.</summary>
    public long Grow(long passed, Instant now, TimeSpan roundTrip, long leftBytes)
    {
        passedBytes += passed;
        if (passedBytes < Bytes / 2) return 0;
        // On a local path a round trip is shorter than a scheduler's turn; 1 ms keeps the window from being the brake.
        var isBrake = now - since <= 2 * TimeSpan.FromTicks(Math.Max(roundTrip.Ticks, TimeSpan.TicksPerMillisecond));
        since = now;
        passedBytes = 0;
        var growth = Math.Min(Bytes, maxBytes - Bytes);
        if (!isBrake || growth > leftBytes) return 0;
        Bytes += growth;
        GrownBytes += growth;
        return growth;
    }
}
