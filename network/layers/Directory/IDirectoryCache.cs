namespace Florete.Layers;

/// <summary>What a vertex must not forget about itself.</summary>
/// <param name="Incarnation">Of its last life; 0: never lived.</param>
/// <param name="SegmentIndex">Number of the candidate that it claims as node segment.</param>
public readonly record struct VertexState(ulong Incarnation, ushort SegmentIndex);

/// <param name="AgeSeconds">Remaining age when saved; 65 535: does not age.</param>
/// <param name="Bytes">The signed record.</param>
public readonly record struct CachedRecord(ushort AgeSeconds, ReadOnlyMemory<byte> Bytes);

/// <summary>The records and encoded certificate chains of a directory, when it was saved.</summary>
public sealed record DirectorySnapshot(DateTimeOffset Saved, IReadOnlyList<ReadOnlyMemory<byte>> Chains, IReadOnlyList<CachedRecord> Records);

/// <summary>
/// Where a directory survives a restart, so that a node boots without a network. Called in turns of the loop; what takes long must not block.
/// The content is not trusted: it passes the same checks as what neighbours send.
/// </summary>
public interface IDirectoryCache
{
    /// <summary>The state that <see cref="SaveVertex"/> saved last; the default if there is none.</summary>
    VertexState LoadVertex();

    /// <summary>Saves; when it returns the state survives a crash of the machine.</summary>
    /// <exception cref="IOException">It cannot be saved.</exception>
    void SaveVertex(VertexState state);

    /// <summary>The last snapshot, or null.</summary>
    DirectorySnapshot? LoadSnapshot();

    /// <summary>Saves in the background, replacing the last one; it may be left out while another is being saved.</summary>
    void SaveSnapshot(DirectorySnapshot snapshot);
}

/// <summary>A cache in memory, for tests and for vertices without a disk.</summary>
public sealed class MemoryDirectoryCache : IDirectoryCache
{
    public VertexState Vertex { get; private set; }

    public DirectorySnapshot? Snapshot { get; private set; }

    public VertexState LoadVertex() => Vertex;

    public void SaveVertex(VertexState state) => Vertex = state;

    public DirectorySnapshot? LoadSnapshot() => Snapshot;

    public void SaveSnapshot(DirectorySnapshot snapshot) => Snapshot = snapshot;
}
