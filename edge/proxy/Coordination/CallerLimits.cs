using Florete.Identities;

namespace Florete.Proxy.Coordination;

/// <summary>How many streams there may be, and how often a caller may have decisions checked. Thread-safe.</summary>
internal sealed class CallerLimits(TimeProvider clock)
{
    public const int MaxStreams = 64, MaxStreamsOfCaller = 8;

    public const int DecisionsAtOnce = 20, DecisionsPerSecond = 5;

    // A caller is forgotten when it could ask for all at once again; whoever would be one more is refused.
    private const int MaxRemembered = 1024;

    private readonly Lock gate = new();
    private readonly Dictionary<SpiffeId, int> streams = [];
    private readonly Dictionary<SpiffeId, (double Left, long At)> decisions = [];
    private int open;

    public bool TryOpen(SpiffeId caller)
    {
        lock (gate)
        {
            var own = streams.GetValueOrDefault(caller);
            if (open >= MaxStreams || own >= MaxStreamsOfCaller) return false;
            streams[caller] = own + 1;
            open++;
            return true;
        }
    }

    public void Close(SpiffeId caller)
    {
        lock (gate)
        {
            open--;
            if (--streams[caller] == 0) streams.Remove(caller);
        }
    }

    public bool TryDecide(SpiffeId caller)
    {
        lock (gate)
        {
            var now = clock.GetTimestamp();
            if (!decisions.ContainsKey(caller) && decisions.Count >= MaxRemembered)
            {
                foreach (var full in decisions.Where(d => Left(d.Value, now) >= DecisionsAtOnce).Select(static d => d.Key).ToArray()) decisions.Remove(full);
                if (decisions.Count >= MaxRemembered) return false;
            }
            var left = decisions.TryGetValue(caller, out var known) ? Left(known, now) : DecisionsAtOnce;
            decisions[caller] = (left < 1 ? left : left - 1, now);
            return left >= 1;
        }
    }

    private double Left((double Left, long At) known, long now) =>
        Math.Min(DecisionsAtOnce, known.Left + (clock.GetElapsedTime(known.At, now).TotalSeconds * DecisionsPerSecond));
}
