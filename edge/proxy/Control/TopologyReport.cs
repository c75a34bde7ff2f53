using Florete.Identities;
using Florete.Layers;

namespace Florete.Proxy.Control;

/// <summary>The layer as this node's directory knows it at one moment.</summary>
/// <param name="Vertices">By name; also those to which no path leads now, until their records have aged out.</param>
internal sealed record TopologyReport(IReadOnlyList<TopologyVertexReport> Vertices)
{
    // What the control plane runs on every node whose bounds let it (docs/agent.md "Ready").
    private static readonly string[] ControlPlane = ["storage", "identity", "coordinator", "ncs"];

    public static TopologyReport Of(IReadOnlyList<DirectoryMember> members, IBounds bounds)
    {
        var advertised = members.SelectMany(static member => member.Adjacencies.Select(adjacency => (member.Vertex, adjacency.Neighbour))).ToHashSet();
        return new TopologyReport([.. members.Select(member => new TopologyVertexReport(
            member.Vertex.Path,
            member.IsReachable,
            // No later than now could be shown: an incarnation may run ahead of the clock, and a hostile one says what it likes.
            member.Incarnation < (ulong)DateTimeOffset.MaxValue.ToUnixTimeSeconds() ? DateTimeOffset.FromUnixTimeSeconds((long)member.Incarnation) : null,
            [.. member.Adjacencies.OrderBy(static adjacency => adjacency.Neighbour).Select(adjacency => new AdjacencyReport(
                adjacency.Neighbour.Path,
                advertised.Contains((adjacency.Neighbour, member.Vertex)) && bounds.MayLink(member.Vertex, adjacency.Neighbour).IsAllowed,
                adjacency.MetricMicroseconds,
                adjacency.LossPartsPerMillion,
                adjacency.CapacityBitsPerSecond is 0 or > long.MaxValue ? null : (long)adjacency.CapacityBitsPerSecond))],
            [.. member.Services.Select(static service => service.Path)],
            [.. Lacking(member, bounds)]))]);
    }

    private static IEnumerable<string> Lacking(DirectoryMember member, IBounds bounds) => ControlPlane
        .Select(name => SpiffeId.Of(member.Vertex.Cluster, IdentityKind.Service, name))
        .Where(service => !member.Services.Contains(service) && bounds.MayHost(member.Vertex, service).IsAllowed)
        .Select(static service => service.Path);
}

/// <param name="Name">Path of its identity: vertex/b.</param>
/// <param name="IsReachable">A path leads there now.</param>
/// <param name="Started">When its flor started, by its own clock; null: it says nothing of use.</param>
/// <param name="Links">As it advertises them.</param>
/// <param name="Services">Paths of what it publishes, or did when it was last heard.</param>
/// <param name="Lacking">Paths of the control plane's services that the bounds let it hold and that it does not publish.</param>
internal sealed record TopologyVertexReport(
    string Name, bool IsReachable, DateTimeOffset? Started, IReadOnlyList<AdjacencyReport> Links, IReadOnlyList<string> Services, IReadOnlyList<string> Lacking);

/// <param name="Neighbour">Path of the other end.</param>
/// <param name="IsUp">Both ends advertise it, and the bounds allow it.</param>
/// <param name="MetricMicroseconds">Cost in the direction to the neighbour.</param>
/// <param name="LossPartsPerMillion">In that direction.</param>
/// <param name="CapacityBitsPerSecond">In that direction; null: unknown.</param>
internal sealed record AdjacencyReport(string Neighbour, bool IsUp, long MetricMicroseconds, long LossPartsPerMillion, long? CapacityBitsPerSecond);
