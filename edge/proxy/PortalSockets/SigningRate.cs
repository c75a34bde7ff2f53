using Florete.Runtime;

namespace Florete.Proxy.PortalSockets;

/// <summary>
/// How often the programs of one socket may have something signed: a signature costs flor about 0.1 ms of CPU. What comes too early waits a little, so that
/// a program is slowed down and not failed. No clock. Thread-safe.
/// </summary>
internal sealed class SigningRate
{
    /// <summary>So many at once, and so many a second.</summary>
    public const int PerSecond = 1000;

    /// <summary>Longer waits are refused: a program that asks so much does something wrong.</summary>
    public static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan Burst = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Interval = Burst / PerSecond;

    private readonly Lock gate = new();
    // When the next one would come if they came evenly (the generic cell rate algorithm, ITU-T I.371 annex A).
    private Instant expected;

    /// <summary>Makes room for one signature; false: the wait would be too long, and none was made.</summary>
    /// <param name="now">On any clock that does not go back.</param>
    /// <param name="wait">Zero: it may be made now.</param>
    public bool TryReserve(Instant now, out TimeSpan wait)
    {
        lock (gate)
        {
            if (expected < now) expected = now;
            wait = expected - now - Burst + Interval;
            if (wait > MaxWait) return false;
            if (wait < TimeSpan.Zero) wait = TimeSpan.Zero;
            expected += Interval;
            return true;
        }
    }
}
