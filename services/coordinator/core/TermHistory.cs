using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Coordination;

/// <summary>Counts the terms that begin: a group that changes faster than it can be coordinated is better left alone.</summary>
internal sealed class TermHistory
{
    public const int MostTerms = 10;

    public static readonly TimeSpan Window = TimeSpan.FromSeconds(60);
    public static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);

    // Of vertices that nobody claims for any more nothing is kept: at most so many.
    private const int MostVertices = 1024;

    private readonly Dictionary<string, ulong> newest = new(StringComparer.Ordinal);
    private readonly Queue<Instant> begun = new();
    private bool hasSeen;

    public Instant PausedUntil { get; private set; }

    public void See(VertexView view, Instant now)
    {
        if (view.Newest is { } epoch) Note(epoch, now);
        foreach (var candidate in view.Candidates)
        {
            if (candidate.State == StandState.Coordinator) Note(new Epoch(candidate.Counter, candidate.Vertex), now);
        }
        // What was there before this program is not news.
        if (!hasSeen) begun.Clear();
        hasSeen = true;
        while (begun.TryPeek(out var first) && now - first >= Window) begun.Dequeue();
        if (begun.Count < MostTerms) return;
        begun.Clear();
        PausedUntil = now + Pause;
    }

    private void Note(Epoch epoch, Instant now)
    {
        if (newest.TryGetValue(epoch.Coordinator, out var before) && before >= epoch.Counter) return;
        if (newest.Count >= MostVertices) newest.Clear();
        newest[epoch.Coordinator] = epoch.Counter;
        begun.Enqueue(now);
    }
}
