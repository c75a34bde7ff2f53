using System.Globalization;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Coordination.Tests;

/// <summary>
/// Nodes with a vertex and a coordinator program each, in virtual time: records flood with delays, groups are cut and healed, programs are frozen, killed and started, vertices too. The program is
/// the real one (<see cref="Coordinator"/>); the vertex is as docs/protocols/coordination.md describes it. The same seed is the same run.
/// </summary>
internal sealed class Simulation
{
    private readonly PriorityQueue<Action, (long At, long Order)> queue = new();
    private readonly List<string>? trace;
    private long order;

    public Simulation(int seed, int nodes, int named, bool traced = false)
    {
        Random = new Random(seed);
        trace = traced ? [] : null;
        Nodes = [.. Enumerable.Range(0, nodes).Select(i => new SimulatedNode(this, i, i < named))];
        foreach (var node in Nodes) node.Start();
    }

    public Random Random { get; }

    public Instant Now { get; private set; } = new(1_000_000_000);

    public IReadOnlyList<SimulatedNode> Nodes { get; }

    /// <summary>Every claim that a vertex took.</summary>
    public HashSet<Epoch> Claims { get; } = [];

    public string TraceText => string.Join('\n', trace ?? []);

    public void After(double milliseconds, Action action) => queue.Enqueue(action, ((Now + TimeSpan.FromMilliseconds(milliseconds)).Nanoseconds, order++));

    public void At(Instant at, Action action) => queue.Enqueue(action, (at.Nanoseconds, order++));

    public void Trace(string what) => trace?.Add(string.Create(CultureInfo.InvariantCulture, $"{Now.Nanoseconds / 1e6:F1} {what}"));

    public double Delay(int most) => 1 + (Random.NextDouble() * most);

    public void Run(double seconds)
    {
        var end = Now + TimeSpan.FromSeconds(seconds);
        var atOnce = 0;
        while (queue.TryPeek(out _, out var due) && due.At <= end.Nanoseconds)
        {
            atOnce = due.At > Now.Nanoseconds ? 0 : atOnce + 1;
            if (atOnce > 10_000) throw new InvalidOperationException("Time stands still.");
            Now = new Instant(due.At);
            queue.Dequeue()();
        }
        Now = end;
    }

    /// <summary>Until it holds; seconds that it took, or null: not within the limit.</summary>
    public double? RunUntil(Func<bool> holds, double limitSeconds)
    {
        var begin = Now;
        while (!holds())
        {
            if (Now - begin > TimeSpan.FromSeconds(limitSeconds)) return null;
            Run(0.01);
        }
        return (Now - begin).TotalSeconds;
    }

    /// <summary>Which nodes can reach each other, by a number for each; vertices notice some time later.</summary>
    public void Cut(IReadOnlyList<int> groups)
    {
        Trace($"groups {string.Join(' ', groups)}");
        for (var i = 0; i < Nodes.Count; i++) Nodes[i].Group = groups[i];
        foreach (var node in Nodes)
        {
            After(Delay(300), node.LookAround);
        }
    }

    /// <summary>Which group has not just the coordinators that it should have; null: none.</summary>
    public string? ElectionProblem()
    {
        foreach (var members in Groups())
        {
            var (coordinators, candidates) = (members.Count(static n => n.Program?.Term is not null), members.Count(static n => n.IsNamed && n.IsRunning));
            if (coordinators != Math.Min(candidates, 1)) return $"the group of {members[0].Name} with {members.Count} vertices and {candidates} candidates has {coordinators} coordinators";
        }
        return null;
    }

    /// <summary>Which vertex does not have what its group's coordinator has decided; null: none.</summary>
    public string? DecisionProblem()
    {
        if (ElectionProblem() is { } problem) return problem;
        foreach (var members in Groups())
        {
            if (members.FirstOrDefault(static n => n.Program?.Term is not null)?.Program!.Term is not { } term) continue;
            if (members.Find(m => m.Accepted?.Epoch != term) is { } without) return $"{without.Name} has accepted {without.Accepted?.Epoch.ToString() ?? "nothing"}, and the term of its group is {term}";
            if (members.Find(m => m.Newest != term) is { } other) return $"{other.Name} knows {other.Newest}, and the term of its group is {term}";
        }
        return null;
    }

    private IEnumerable<List<SimulatedNode>> Groups() => Nodes.Where(static n => n.IsUp).GroupBy(static n => n.Group).Select(static g => g.ToList());
}
