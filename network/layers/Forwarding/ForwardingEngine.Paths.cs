using Florete.Identities;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// Paths: what is computed from the topology, when it is installed, and what happens at once when an adjacency goes. The vertex beside
/// a failure keeps its repairs for a while: the vertices further off must have new next hops first, else they and it would send
/// packets to each other (micro-loops, RFC 8333). Everything else is installed at once.
/// </summary>
public sealed partial class ForwardingEngine
{
    private readonly Computation computation;
    private readonly LoopTimer holdTimer;
    private readonly LoopTimer computeTimer;
    private readonly HashSet<SpiffeId> lost = [];
    private Topology? pending;
    private Instant computedAt = new(long.MinValue / 2);

    /// <summary>Repairs are in use and new next hops wait (RFC 8333).</summary>
    public bool IsHolding => holdTimer.IsSet;

    /// <summary>Takes a newer topology; next hops and repairs follow at the end of the turn, or a little later if news is frequent.</summary>
    public void Update(Topology topology)
    {
        pending = topology;
        if (IsHolding)
        {
            if (FailureNews.IsOnlyAbout(lost, Self, table.Topology, topology))
            {
                ApplyDecided();
                return;
            }
            CancelHold();
        }
        ScheduleComputation();
    }

    /// <summary>Begins to use an adjacency.</summary>
    /// <exception cref="ArgumentException">Its flow belongs to another loop, or its segment to another neighbour.</exception>
    public void AddAdjacency(Adjacency adjacency)
    {
        if (adjacency.Flow.Loop != loop) throw new ArgumentException($"The adjacency to {adjacency.Neighbour} is on another loop.", nameof(adjacency));
        if (adjacencySegments.TryGetValue(adjacency.Segment.Value, out var owner) && owner != adjacency.Neighbour && HasAdjacency(owner, adjacency.Segment))
        {
            throw new ArgumentException($"Adjacency segment {adjacency.Segment} is in use for {owner}.", nameof(adjacency));
        }
        var links = LinksTo(adjacency.Neighbour);
        if (links.All.Contains(adjacency)) return;
        adjacencySegments[adjacency.Segment.Value] = adjacency.Neighbour;
        adjacency.Engine = this;
        links.All.Add(adjacency);
        links.ChooseBest();
        // Good news does not wait: what was held back describes the layer with the link lost, and the next topology has it again.
        if (lost.Remove(adjacency.Neighbour) && IsHolding) CancelHold();
        ApplyDecided();
        PathsChanged?.Invoke();
    }

    /// <summary>Stops using an adjacency. If it was the last to its neighbour, packets take their repairs from now on.</summary>
    public void RemoveAdjacency(Adjacency adjacency)
    {
        if (!neighbours.TryGetValue(adjacency.Neighbour, out var links) || !links.All.Remove(adjacency)) return;
        adjacency.Engine = null;
        links.ChooseBest();
        if (links.Best is null && table.Graph.IndexOf(adjacency.Neighbour) >= 0)
        {
            // A second failure is not the one that the repairs were computed for: then new next hops are the better choice (RFC 8333 §4).
            var isFirst = !IsHolding;
            lost.Add(adjacency.Neighbour);
            if (isFirst && computation.HasRepairs && options.RepairHold > TimeSpan.Zero) holdTimer.Set(loop.Now + options.RepairHold);
            else if (!isFirst) EndHold();
        }
        ApplyDecided();
        PathsChanged?.Invoke();
        LinksLost?.Invoke();
    }

    /// <summary>The metric of an adjacency has changed: with several to one neighbour another may be the best now.</summary>
    public void OnMetricChanged(Adjacency adjacency)
    {
        if (neighbours.TryGetValue(adjacency.Neighbour, out var links)) links.ChooseBest();
    }

    private bool HasAdjacency(SpiffeId neighbour, Label label) =>
        neighbours.TryGetValue(neighbour, out var links) && links.All.Exists(a => a.Segment == label);

    private NeighbourLinks LinksTo(SpiffeId neighbour)
    {
        if (!neighbours.TryGetValue(neighbour, out var links)) neighbours.Add(neighbour, links = new NeighbourLinks(neighbour));
        return links;
    }

    private void CancelHold()
    {
        holdTimer.Cancel();
        lost.Clear();
        if (pending is not null) ScheduleComputation();
        else ApplyDecided();
    }

    private void EndHold() => CancelHold();

    private void ScheduleComputation()
    {
        var due = computedAt + options.ComputeInterval;
        if (due <= loop.Now) loop.AtEndOfTurn(computation);
        else if (!computeTimer.IsSet) computeTimer.Set(due);
    }

    private void Compute()
    {
        if (pending is not { } topology || IsHolding) return;
        pending = null;
        lost.Clear();
        computedAt = loop.Now;
        computeTimer.Cancel();
        var isLoss = FailureNews.HasLoss(table.Topology, topology);
        table = RouteTable.Compute(topology, Self, LinksTo);
        ApplyDecided();
        ForgetUnused();
        computation.StartRepairs();
        PathsChanged?.Invoke();
        if (isLoss) LinksLost?.Invoke();
    }

    /// <summary>Forgets neighbours and adjacency segments that neither stand nor are advertised.</summary>
    private void ForgetUnused()
    {
        var advertised = table.Topology.Find(Self)?.Adjacencies ?? [];
        foreach (var (label, neighbour) in adjacencySegments)
        {
            if (HasAdjacency(neighbour, new Label(label)) || advertised.Any(a => a.Segment.Value == label)) continue;
            adjacencySegments.Remove(label);
        }
        foreach (var (id, links) in neighbours)
        {
            if (links.All.Count == 0 && !advertised.Any(a => a.Neighbour == id)) neighbours.Remove(id);
        }
    }

    /// <summary>
    /// Computes next hops at the end of a turn, so that several pieces of news cost one computation, and repairs after them; in a large
    /// layer one neighbour's repairs a turn, so that packets do not wait for all.
    /// </summary>
    private sealed class Computation(ForwardingEngine engine) : ITurnEnd
    {
        // Vertices × neighbours: about a millisecond of shortest paths.
        private const int SmallWork = 2_000;
        private RepairPlanner? planner;

        public bool IsQueued { get; set; }

        /// <summary>The repairs for the installed next hops are complete.</summary>
        public bool HasRepairs { get; private set; }

        public void OnTurnEnd() => engine.Compute();

        public void StartRepairs()
        {
            HasRepairs = false;
            planner = null;
            if (engine.table.Paths is null) return;
            planner = new RepairPlanner(engine.table, engine.LinksTo);
            Continue(planner);
        }

        private void Continue(RepairPlanner current)
        {
            var budget = SmallWork;
            while (!current.IsDone && budget > 0)
            {
                current.Step();
                budget -= engine.table.Graph.Count;
            }
            if (current.IsDone)
            {
                planner = null;
                HasRepairs = true;
                return;
            }
            engine.loop.Post(() =>
            {
                // Newer next hops have begun plans of their own.
                if (planner == current) Continue(current);
            });
        }
    }
}
