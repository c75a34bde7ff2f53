using System.Text.Json.Serialization;

namespace Florete.Cli.Group;

/// <summary>Of what flor answers (docs/protocols/control-socket.md), the part that the operator's view is made of.</summary>
internal sealed record FlorAnswer(FlorStatus? Status, FlorTopology? Topology, IReadOnlyList<string>? Problems);

internal sealed record FlorStatus(
    string Node, string Cluster, DateTimeOffset Started, long BoundsVersion, IReadOnlyList<FlorIdentity> Identities, IReadOnlyList<FlorLink> Links,
    IReadOnlyList<FlorService> Services, FlorCoordination? Coordination);

internal sealed record FlorCoordination(string Mode, FlorEpoch? Epoch, IReadOnlyList<FlorCandidate>? Candidates, string? Problem);

internal sealed record FlorEpoch(long Counter, string Coordinator);

internal sealed record FlorCandidate(string Vertex, string State);

internal sealed record FlorIdentity(string Name, DateTimeOffset NotAfter, string? Revoked);

internal sealed record FlorLink(string Neighbour, string State, string? Reason);

internal sealed record FlorService(string Name, IReadOnlyList<string> Vertices, IReadOnlyList<string>? OutOfReach);

internal sealed record FlorTopology(IReadOnlyList<FlorVertex> Vertices);

internal sealed record FlorVertex(
    string Name, bool IsReachable, DateTimeOffset? Started, IReadOnlyList<FlorAdjacency> Links, IReadOnlyList<string> Services, IReadOnlyList<string> Lacking);

internal sealed record FlorAdjacency(string Neighbour, bool IsUp, long MetricMicroseconds, long LossPartsPerMillion, long? CapacityBitsPerSecond);

/// <summary>Generated, so that a command that is typed often starts at once.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(FlorAnswer))]
internal sealed partial class FlorAnswerJson : JsonSerializerContext;
