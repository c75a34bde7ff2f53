using System.Text.Json.Serialization;

namespace Florete.Cli.Group;

// What `-o json` prints; the names of the fields stay (docs/operating.md). Times are ISO 8601, sizes have their unit in the name, and what is not known is left out.

/// <param name="Cluster">Its name.</param>
/// <param name="AskedAt">The node whose directory answers.</param>
/// <param name="Nodes">By name.</param>
internal sealed record NodesReport(string Cluster, string AskedAt, IReadOnlyList<NodeLine> Nodes);

/// <param name="Name">Of the node.</param>
/// <param name="State">Ready, NotReady or Unreachable.</param>
/// <param name="Reason">Why it is not Ready.</param>
/// <param name="Links">Its neighbours over links that are up.</param>
/// <param name="Services">Paths of what it publishes, or did when it was last heard.</param>
/// <param name="Coordination">coordinator or candidate; left out: neither.</param>
/// <param name="Started">When its flor started, by its own clock.</param>
internal sealed record NodeLine(
    string Name, string State, string? Reason, IReadOnlyList<string> Links, IReadOnlyList<string> Services, string? Coordination, DateTimeOffset? Started);

internal sealed record LinksReport(string Cluster, string AskedAt, IReadOnlyList<LinkLine> Links);

/// <param name="Ends">Two nodes, by name.</param>
/// <param name="State">Up: both ends say so. Down: at most one does. Unknown: no path leads to either, so it is as they last said.</param>
/// <param name="Reason">Why it is not Up.</param>
/// <param name="Directions">As the node that each begins at advertises it.</param>
internal sealed record LinkLine(IReadOnlyList<string> Ends, string State, string? Reason, IReadOnlyList<LinkDirection> Directions);

internal sealed record LinkDirection(string From, string To, long MetricMicroseconds, long LossPartsPerMillion, long? CapacityBitsPerSecond);

internal sealed record ServicesReport(string Cluster, string AskedAt, IReadOnlyList<ServiceLine> Services);

/// <param name="Name">Path of the identity.</param>
/// <param name="Instances">Where it can be reached: how many.</param>
/// <param name="Nodes">Where.</param>
/// <param name="OutOfReach">Where it is published and no path leads now.</param>
internal sealed record ServiceLine(string Name, int Instances, IReadOnlyList<string> Nodes, IReadOnlyList<string> OutOfReach);

internal sealed record IdentitiesReport(string Cluster, string Node, IReadOnlyList<IdentityLine> Identities);

/// <param name="Name">Path of the identity.</param>
/// <param name="State">Valid, Expired or Revoked.</param>
/// <param name="Reason">Why it is revoked.</param>
/// <param name="NotAfter">Of its SVID.</param>
internal sealed record IdentityLine(string Name, string State, string? Reason, DateTimeOffset NotAfter);

/// <param name="Cluster">Its name.</param>
/// <param name="Node">This node.</param>
/// <param name="BoundsVersion">Of the bounds that it obeys.</param>
/// <param name="Started">When the flor of this node started.</param>
/// <param name="Coordination">Left out: this flor knows no coordination.</param>
/// <param name="Nodes">Counts.</param>
/// <param name="Workloads">What the agent of this node runs; left out: no agent answers.</param>
/// <param name="Problems">Sentences; none: all is well as far as this node knows.</param>
internal sealed record ClusterReport(
    string Cluster, string Node, long BoundsVersion, DateTimeOffset Started, CoordinationLine? Coordination, NodeCounts Nodes, IReadOnlyList<WorkloadLine>? Workloads,
    IReadOnlyList<string> Problems);

/// <param name="Mode">none: nobody may coordinate; uncoordinated: no coordinator can be reached; coordinated.</param>
/// <param name="Coordinator">The node that has the newest term.</param>
/// <param name="Epoch">Counter of that term.</param>
/// <param name="Candidates">Nodes that stand for election and can be reached.</param>
internal sealed record CoordinationLine(string Mode, string? Coordinator, long? Epoch, IReadOnlyList<string> Candidates);

internal sealed record NodeCounts(int Known, int Ready, int NotReady, int Unreachable);

/// <param name="Name">Of the workload.</param>
/// <param name="State">Waiting, Starting, Ready, Failing, Stopping or Ended.</param>
/// <param name="Reason">Why it is not Ready.</param>
/// <param name="ProcessId">Left out: none runs.</param>
/// <param name="Restarts">By this agent.</param>
internal sealed record WorkloadLine(string Name, string State, string? Reason, int? ProcessId, int Restarts);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(NodesReport))]
[JsonSerializable(typeof(LinksReport))]
[JsonSerializable(typeof(ServicesReport))]
[JsonSerializable(typeof(IdentitiesReport))]
[JsonSerializable(typeof(ClusterReport))]
internal sealed partial class GroupJson : JsonSerializerContext;
