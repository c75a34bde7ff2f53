using System.Diagnostics;

namespace Florete.Storage.Api.Replication;

/// <summary>
/// What one replica may tell that is not valid: 100 versions at once, 20 more a second, as in the directory. Proving costs a tenth of a millisecond each, and nobody honest needs more: replicas
/// whose bounds are older tell each such version once. Thread-safe.
/// </summary>
internal sealed class FailureAllowance
{
    private const double Most = 100;
    private const double PerSecond = 20;

    // Of a flood the first is worth a line in the log, and then one in ten seconds.
    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(10);

    private readonly Lock gate = new();
    private double left = Most;
    private long refilledAt = Stopwatch.GetTimestamp();
    private long? loggedAt;

    public bool IsLeft
    {
        get
        {
            lock (gate)
            {
                Refill();
                return left > 0;
            }
        }
    }

    /// <summary>Takes failures into account; true: say so in the log.</summary>
    public bool Spend(int failures)
    {
        lock (gate)
        {
            Refill();
            left -= failures;
            if (loggedAt is { } at && Stopwatch.GetElapsedTime(at) < LogInterval) return false;
            loggedAt = Stopwatch.GetTimestamp();
            return true;
        }
    }

    private void Refill()
    {
        var now = Stopwatch.GetTimestamp();
        left = Math.Min(Most, left + (Stopwatch.GetElapsedTime(refilledAt, now).TotalSeconds * PerSecond));
        refilledAt = now;
    }
}
