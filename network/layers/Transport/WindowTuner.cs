using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// Grows what one stream may hold, of bytes to be read or of bytes to be acknowledged, while the other end keeps up and this window is what
/// holds the stream back: when half of it has passed within two round trips. A stalled stream keeps the small window, so that hundreds of
/// them cost little memory, and leave the shared budget to those that flow.
/// </summary>
internal sealed class WindowTuner(long startBytes, long maxBytes)
{
    // A reader that stalls has often put some into the buffers of a socket before: only beyond that it is known to read.
    private const long ProvenBytes = 2 * 1024 * 1024;

    private Instant since;
    private long totalBytes;
    private long passedBytes;

    /// <summary>The window now.</summary>
    public long Bytes { get; private set; } = startBytes;

    /// <summary>What it has grown by, out of the budget that the streams of a connection share.</summary>
    public long GrownBytes { get; private set; }

    /// <summary>By how many bytes to grow the window, 0 mostly; at most <paramref name="leftBytes"/>.</summary>
    public long Grow(long passed, Instant now, TimeSpan roundTrip, long leftBytes)
    {
        totalBytes += passed;
        passedBytes += passed;
        if (passedBytes < Bytes / 2) return 0;
        // On a local path a round trip is shorter than a scheduler's turn; 1 ms keeps the window from being the brake.
        var isBrake = now - since <= 2 * TimeSpan.FromTicks(Math.Max(roundTrip.Ticks, TimeSpan.TicksPerMillisecond));
        since = now;
        passedBytes = 0;
        var growth = Math.Min(Bytes, maxBytes - Bytes);
        if (!isBrake || totalBytes < ProvenBytes || growth > leftBytes) return 0;
        Bytes += growth;
        GrownBytes += growth;
        return growth;
    }
}
