using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Florete.Identities;

namespace Florete.Storage.Contracts;

/// <summary>What a version says of itself; bits of its second byte.</summary>
[Flags]
public enum VersionFlags
{
    None = 0,

    /// <summary>The unit is deleted; there is no body.</summary>
    Tombstone = 1,

    /// <summary>It replaced the version that it names by compare-and-swap.</summary>
    CompareAndSwap = 2,
}

/// <summary>
/// One value of one unit, or its deletion, signed by its author (docs/protocols/storage.md). Immutable. A value of this type is well-formed; nothing is
/// said of its signature, nor of whether its author may.
/// </summary>
public sealed class DocumentVersion
{
    public const int SignatureBytes = 64;

    private readonly ReadOnlyMemory<byte> bytes;
    private readonly int bodyAt;

    internal DocumentVersion(ReadOnlyMemory<byte> bytes, in VersionFields fields)
    {
        this.bytes = bytes;
        bodyAt = fields.BodyAt;
        Id = VersionId.Of(bytes.Span);
        Flags = fields.Flags;
        Stamp = fields.Stamp;
        Replica = fields.Replica;
        Key = fields.Key;
        Seen = fields.Seen;
        Author = fields.Author;
        Chain = fields.Chain;
    }

    public VersionId Id { get; }

    public VersionFlags Flags { get; }

    public bool IsTombstone => (Flags & VersionFlags.Tombstone) != 0;

    /// <summary>By the clock of <see cref="Replica"/>; greater than every stamp of <see cref="Seen"/>.</summary>
    public Stamp Stamp { get; }

    /// <summary>The replica that accepted it, or shall.</summary>
    public ReplicaName Replica { get; }

    public DocumentKey Key { get; }

    /// <summary>What its author knew of the unit.</summary>
    public SeenVector Seen { get; }

    public SpiffeId Author { get; }

    /// <summary>The author's certificate chain.</summary>
    public ChainHash Chain { get; }

    /// <summary>All of it, as it is stored and sent.</summary>
    public ReadOnlyMemory<byte> Bytes => bytes;

    /// <summary>What is signed: all but the signature.</summary>
    public ReadOnlyMemory<byte> Content => bytes[..^SignatureBytes];

    /// <summary>One JSON value, byte for byte as it was written; empty in a tombstone.</summary>
    public ReadOnlyMemory<byte> Body => bytes[bodyAt..^SignatureBytes];

    /// <summary>IEEE P1363.</summary>
    public ReadOnlyMemory<byte> Signature => bytes[^SignatureBytes..];

    /// <summary>Reads a version. It keeps <paramref name="bytes"/>: they must not change any more.</summary>
    /// <returns>False if it is not exactly one well-formed version; <paramref name="problem"/> says why.</returns>
    public static bool TryParse(ReadOnlyMemory<byte> bytes, [NotNullWhen(true)] out DocumentVersion? version, [NotNullWhen(false)] out string? problem)
    {
        version = null;
        if (!VersionFields.TryRead(bytes.Span, out var fields, out problem)) return false;
        version = new DocumentVersion(bytes, fields);
        return true;
    }

    /// <summary>Reads what was checked before it was stored: the body is not looked at again. Null if it cannot have been.</summary>
    internal static DocumentVersion? Restore(ReadOnlyMemory<byte> bytes) =>
        VersionFields.TryRead(bytes.Span, out var fields, out _, checkBody: false) ? new DocumentVersion(bytes, fields) : null;

    /// <summary>Did the author of this version know the other one, of the same unit?</summary>
    public bool Dominates(DocumentVersion other) => Seen[other.Replica] >= other.Stamp;

    /// <summary>Does neither dominate the other?</summary>
    public bool IsConcurrentWith(DocumentVersion other) => !Dominates(other) && !other.Dominates(this);

    /// <summary>The order in which the greatest is current: by stamp, then by id.</summary>
    public int CompareTo(DocumentVersion other)
    {
        var order = Stamp.CompareTo(other.Stamp);
        return order != 0 ? order : Id.CompareTo(other.Id);
    }

    /// <summary>SHA-256 of <see cref="Content"/>, as it goes into what the portal signs.</summary>
    public byte[] ContentHash() => SHA256.HashData(Content.Span);

    public override string ToString() => $"{Key} {Stamp} at {Replica}{(IsTombstone ? ", deleted" : "")}";
}
