using Florete.Identities;

namespace Florete.Layers;

/// <summary>A vertex of the layer as its records say, whether a path leads there or not.</summary>
/// <param name="Vertex">Who.</param>
/// <param name="IsReachable">A path leads there now.</param>
/// <param name="Incarnation">Of its record: by its own clock the second of its start, or a little more.</param>
/// <param name="Adjacencies">Its links as it advertises them itself; the other end may say otherwise.</param>
/// <param name="Services">What it publishes, or did when it was last heard.</param>
public sealed record DirectoryMember(
    SpiffeId Vertex, bool IsReachable, ulong Incarnation, IReadOnlyList<TopologyAdjacency> Adjacencies, IReadOnlyList<SpiffeId> Services);

public sealed partial class Directory
{
    /// <summary>
    /// Every vertex whose record is held. One that has gone is among them until its record has aged out: what is missing is what an operator
    /// asks for.
    /// </summary>
    public IReadOnlyList<DirectoryMember> Members() =>
    [
        .. store.Origins.Where(static origin => origin.VertexRecord is { IsWithdrawn: false }).OrderBy(static origin => origin.Id).Select(origin => new DirectoryMember(
            origin.Id,
            reachable.Contains(origin.Id),
            origin.VertexRecord!.Version.Incarnation,
            origin.VertexRecord.Body!.Adjacencies,
            [.. origin.Services.Values.Where(record => !record.IsWithdrawn && record.Version.Incarnation == origin.VertexRecord.Version.Incarnation).Select(static record => record.Signer).Order()])),
    ];
}
