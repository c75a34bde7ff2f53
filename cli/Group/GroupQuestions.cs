using Florete.Agent.Contracts;

namespace Florete.Cli.Group;

/// <summary>Answers the operator's questions from what one node knows.</summary>
internal static class GroupQuestions
{
    public static NodesReport Nodes(GroupSnapshot from)
    {
        var links = Links(from).Links.Where(static link => link.State == States.Up).SelectMany(static link => new[] { (link.Ends[0], link.Ends[1]), (link.Ends[1], link.Ends[0]) })
            .ToLookup(static pair => pair.Item1, static pair => pair.Item2);
        var roles = (from.Status.Coordination?.Candidates ?? []).ToDictionary(static one => GroupSnapshot.NameOf(one.Vertex), static one => one.State);
        return new NodesReport(from.Status.Cluster, from.Node, [.. from.Topology.Vertices.Select(vertex =>
        {
            var name = GroupSnapshot.NameOf(vertex.Name);
            var (state, reason) = StateOf(vertex, from.Node);
            return new NodeLine(name, state, reason, [.. links[name].Order(StringComparer.Ordinal)], vertex.Services, roles.GetValueOrDefault(name), vertex.Started);
        })]);
    }

    // docs/operating.md "Ready".
    private static (string State, string? Reason) StateOf(FlorVertex vertex, string asked) => vertex switch
    {
        { IsReachable: false } => (States.Unreachable, $"No path leads there from {asked}; what is said of it is what it said last."),
        { Lacking.Count: > 0 } => (States.NotReady, $"It does not publish {string.Join(", ", vertex.Lacking)}."),
        _ => (States.Ready, null),
    };

    public static LinksReport Links(GroupSnapshot from)
    {
        var reachable = from.Topology.Vertices.Where(static vertex => vertex.IsReachable).Select(static vertex => vertex.Name).ToHashSet();
        var known = from.Topology.Vertices.SelectMany(static vertex => vertex.Links.Select(link => (From: vertex.Name, Link: link)))
            .GroupBy(static one => string.CompareOrdinal(one.From, one.Link.Neighbour) < 0 ? (one.From, one.Link.Neighbour) : (one.Link.Neighbour, one.From))
            .ToDictionary(static group => group.Key, static group => group.OrderBy(static one => one.From, StringComparer.Ordinal).ToArray());
        // Those of this node that are wanted and advertised by nobody: only it knows of them, and why they are not there.
        var own = from.Status.Links.Where(static link => link.State != "up")
            .ToDictionary(link => string.CompareOrdinal(from.Status.Node, link.Neighbour) < 0 ? (from.Status.Node, link.Neighbour) : (link.Neighbour, from.Status.Node));
        return new LinksReport(from.Status.Cluster, from.Node, [.. known.Keys.Union(own.Keys).OrderBy(static ends => ends.Item1, StringComparer.Ordinal).ThenBy(static ends => ends.Item2, StringComparer.Ordinal).Select(ends =>
        {
            var said = known.GetValueOrDefault(ends) ?? [];
            var isUp = said.Any(static one => one.Link.IsUp);
            var state = !isUp ? States.Down : reachable.Contains(ends.Item1) || reachable.Contains(ends.Item2) ? States.Up : States.Unknown;
            var reason = state switch
            {
                States.Up => null,
                States.Unknown => "No path leads to either end.",
                _ => own.GetValueOrDefault(ends)?.Reason ?? (said.Length == 1 ? $"Only {GroupSnapshot.NameOf(said[0].From)} says that it has it." : null),
            };
            return new LinkLine(
                [GroupSnapshot.NameOf(ends.Item1), GroupSnapshot.NameOf(ends.Item2)], state, reason,
                [.. said.Select(static one => new LinkDirection(
                    GroupSnapshot.NameOf(one.From), GroupSnapshot.NameOf(one.Link.Neighbour), one.Link.MetricMicroseconds, one.Link.LossPartsPerMillion, one.Link.CapacityBitsPerSecond))]);
        })]);
    }

    public static ServicesReport Services(GroupSnapshot from) => new(from.Status.Cluster, from.Node, [.. from.Status.Services.Select(static service => new ServiceLine(
        service.Name, service.Vertices.Count, [.. service.Vertices.Select(GroupSnapshot.NameOf)], [.. (service.OutOfReach ?? []).Select(GroupSnapshot.NameOf)]))]);

    public static IdentitiesReport Identities(GroupSnapshot from) => new(from.Status.Cluster, from.Node, [.. from.Status.Identities.Select(identity => new IdentityLine(
        identity.Name,
        identity.Revoked is not null ? States.Revoked : identity.NotAfter <= from.At ? States.Expired : States.Valid,
        identity.Revoked,
        identity.NotAfter))]);

    public static ClusterReport Cluster(GroupSnapshot from, IReadOnlyList<WorkloadStatus>? workloads)
    {
        var nodes = Nodes(from).Nodes;
        int Count(string state) => nodes.Count(node => node.State == state);
        IEnumerable<string> problems =
        [
            .. from.Problems,
            .. from.Status.Coordination?.Problem is { } problem ? [problem] : Array.Empty<string>(),
            .. nodes.Where(static node => node.State != States.Ready).Select(static node => $"Node {node.Name} is {node.State}: {node.Reason}"),
            .. (workloads ?? []).Where(static one => one.Phase != WorkloadPhase.Ready).Select(static one => $"{one.Name} on this node is {one.Phase.ToString().ToLowerInvariant()}: {one.Reason} Its log is {one.LogFile}"),
        ];
        return new ClusterReport(
            from.Status.Cluster, from.Node, from.Status.BoundsVersion, from.Status.Started, Coordination(from.Status.Coordination),
            new NodeCounts(nodes.Count, Count(States.Ready), Count(States.NotReady), Count(States.Unreachable)),
            workloads?.Select(static one => new WorkloadLine(one.Name, one.Phase.ToString(), one.Reason.Length > 0 ? one.Reason : null, one.ProcessId, one.Restarts)).ToArray(),
            [.. problems]);
    }

    private static CoordinationLine? Coordination(FlorCoordination? known) => known is null ? null : new CoordinationLine(
        known.Mode, known.Epoch is { } epoch ? GroupSnapshot.NameOf(epoch.Coordinator) : null, known.Epoch?.Counter,
        [.. (known.Candidates ?? []).Select(static one => GroupSnapshot.NameOf(one.Vertex))]);
}

/// <summary>The words of states, the same in tables and in JSON.</summary>
internal static class States
{
    public const string Ready = "Ready", NotReady = "NotReady", Unreachable = "Unreachable";
    public const string Up = "Up", Down = "Down", Unknown = "Unknown";
    public const string Valid = "Valid", Expired = "Expired", Revoked = "Revoked";

    /// <summary>A name of Spectre.Console's colours; null: as the rest.</summary>
    public static string? ColourOf(string word) => word switch
    {
        Ready or Up or Valid => "green",
        NotReady or Unknown or "Starting" or "Waiting" or "Failing" or "Stopping" => "yellow",
        Unreachable or Down or Expired or Revoked or "Ended" => "red",
        _ => null,
    };
}
