using Florete.Identities;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>A record that passed every check; immutable.</summary>
internal sealed class DirectoryRecord
{
    public required byte[] Bytes { get; init; }

    public required ulong Key { get; init; }

    public required RecordVersion Version { get; init; }

    public required RecordKind Kind { get; init; }

    public required RecordFlags Flags { get; init; }

    public required SpiffeId Signer { get; init; }

    /// <summary>The vertex whose quota it counts against: the signer of a vertex record, the subject of a service record; else null.</summary>
    public required SpiffeId? Vertex { get; init; }

    public required CertificateChain Chain { get; init; }

    /// <summary>When it is purged; <see cref="Instant.Never"/> if it does not age.</summary>
    public required Instant Deadline { get; init; }

    /// <summary>Content of a vertex record.</summary>
    public VertexBody? Body { get; init; }

    /// <summary>Content of a revocation.</summary>
    public Revocation? Revocation { get; init; }

    public bool IsWithdrawn => (Flags & RecordFlags.Withdrawn) != 0;

    /// <summary>Place in its bucket of the store.</summary>
    internal int BucketIndex { get; set; }
}
