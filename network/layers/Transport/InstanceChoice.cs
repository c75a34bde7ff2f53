using Florete.Identities;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>One place where a target can be reached.</summary>
/// <param name="Vertex">The vertex that publishes it.</param>
/// <param name="PathMicroseconds">Metric of the path to it.</param>
/// <param name="Connections">What this vertex has open to the target there.</param>
internal readonly record struct Instance(SpiffeId Vertex, long PathMicroseconds, int Connections);

/// <summary>
/// In which order a target's instances are asked: the near one first, unless it has more than its share already, and last those that have lately not
/// answered (docs/protocols/transport.md "Instances"). Loop-affine.
/// </summary>
/// <param name="self">The vertex that chooses.</param>
internal sealed class InstanceChoice(SpiffeId self)
{
    /// <summary>Added to every path: between near instances, load decides and not a microsecond.</summary>
    public const long BaseMicroseconds = 500;

    /// <summary>How long an instance that did not answer is asked last; doubled each time in a row.</summary>
    public static readonly TimeSpan LeastAvoidance = TimeSpan.FromSeconds(5);

    public static readonly TimeSpan MostAvoidance = TimeSpan.FromSeconds(60);

    // An entry is made only by asking, and is forgotten when it has no effect: more are kept only of as many failing instances in a minute.
    private const int MaxEntries = 1024;

    private readonly Dictionary<(SpiffeId Target, SpiffeId Vertex), Entry> entries = [];

    /// <summary>How long the next instance waits for the answer of this one.</summary>
    public static TimeSpan Patience(long pathMicroseconds)
    {
        const long Least = 500_000;
        const long Most = 1_000_000;
        // A handshake and a question take three round trips; the metric is half of one.
        return TimeSpan.FromMicroseconds(Math.Clamp(Least + (6 * pathMicroseconds), Least, Most));
    }

    public SpiffeId[] Order(SpiffeId target, IEnumerable<Instance> instances, Instant now) => [.. instances
        .Select(i => (i.Vertex, Entry: entries.GetValueOrDefault((target, i.Vertex)), Instance: i))
        .OrderBy(c => c.Entry is { } entry && entry.AvoidedUntil > now)
        .ThenBy(static c => (c.Instance.PathMicroseconds + BaseMicroseconds) * (1L + c.Instance.Connections + (c.Entry?.Asking ?? 0)))
        .ThenBy(c => Preference(target, c.Vertex))
        .Select(static c => c.Vertex)];

    /// <summary>The instance is being asked: as good as a connection to it, until <see cref="Settled"/>.</summary>
    public void Asked(SpiffeId target, SpiffeId vertex)
    {
        if (!entries.TryGetValue((target, vertex), out var entry)) entries.Add((target, vertex), entry = new Entry());
        entry.Asking++;
    }

    public void Settled(SpiffeId target, SpiffeId vertex, Instant now)
    {
        if (!entries.TryGetValue((target, vertex), out var entry)) return;
        entry.Asking--;
        if (entry.IsIdle(now) && entry.Failures == 0) entries.Remove((target, vertex));
        else if (entries.Count > MaxEntries) ForgetIdle(now);
    }

    /// <summary>It took a connection.</summary>
    public void Answered(SpiffeId target, SpiffeId vertex)
    {
        if (entries.TryGetValue((target, vertex), out var entry)) (entry.Failures, entry.AvoidedUntil) = (0, default);
    }

    /// <summary>It did not answer, or could not take a connection. While it is avoided, failing again makes it no worse.</summary>
    public void Failed(SpiffeId target, SpiffeId vertex, Instant now)
    {
        if (!entries.TryGetValue((target, vertex), out var entry) || entry.AvoidedUntil > now) return;
        var avoidance = LeastAvoidance * (1 << Math.Min(entry.Failures, 10));
        entry.Failures++;
        entry.AvoidedUntil = now + (avoidance < MostAvoidance ? avoidance : MostAvoidance);
    }

    private void ForgetIdle(Instant now)
    {
        foreach (var (key, entry) in entries)
        {
            if (entry.IsIdle(now)) entries.Remove(key);
        }
    }

    // Callers at different vertices begin at different ones of equal instances, and each always at the same (FNV-1a, its
    // bits mixed as MurmurHash3 does, for names that differ in their last letter only; nothing depends on its strength).
    private uint Preference(SpiffeId target, SpiffeId vertex)
    {
        var hash = 2166136261u;
        foreach (var c in $"{self} {target} {vertex}") hash = (hash ^ c) * 16777619u;
        hash = (hash ^ (hash >> 16)) * 0x85ebca6b;
        hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
        return hash ^ (hash >> 16);
    }

    private sealed class Entry
    {
        public int Asking { get; set; }

        public int Failures { get; set; }

        public Instant AvoidedUntil { get; set; }

        public bool IsIdle(Instant now) => Asking == 0 && AvoidedUntil <= now;
    }
}
