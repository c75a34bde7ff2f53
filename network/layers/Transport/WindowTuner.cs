using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// Grows a stream's receive window while its reader keeps up and the window, not the reader, is what holds the sender back: when half a
/// window is consumed within two round trips. A stalled reader keeps the small window, so that hundreds of them cost little memory.
/// </summary>
internal sealed class WindowTuner(TransportOptions options)
{
    private Instant since;
    private long consumedBytes;

    /// <summary>The window now.</summary>
    public long Bytes { get; private set; } = options.StreamWindowBytes;

    /// <summary>By how many bytes to grow the window, 0 mostly; at most <paramref name="leftBytes"/>.</summary>
    public long Grow(long consumed, Instant now, TimeSpan roundTrip, long leftBytes)
    {
        consumedBytes += consumed;
        if (consumedBytes < Bytes / 2) return 0;
        // On a local path a round trip is shorter than a scheduler's turn; 1 ms keeps the window from being the brake.
        var isBrake = now - since <= 2 * TimeSpan.FromTicks(Math.Max(roundTrip.Ticks, TimeSpan.TicksPerMillisecond));
        since = now;
        consumedBytes = 0;
        var growth = Math.Min(Bytes, options.MaxStreamWindowBytes - Bytes);
        if (!isBrake || growth > leftBytes) return 0;
        Bytes += growth;
        return growth;
    }
}
