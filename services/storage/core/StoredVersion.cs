using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>As what a replica holds a version.</summary>
public enum VersionState
{
    /// <summary>The value of its unit.</summary>
    Current = 1,

    /// <summary>A concurrent one was greater; kept for days, for people to see.</summary>
    Superseded = 2,

    /// <summary>Not valid by the bounds in force: on disk, and shown to nobody.</summary>
    Hidden = 3,

    /// <summary>Hidden, and superseded before that.</summary>
    HiddenSuperseded = 4,
}

/// <summary>A version that a replica holds.</summary>
/// <param name="Sequence">The replica's local sequence when it came to be held as this.</param>
/// <param name="State">As what it is held.</param>
/// <param name="Version">The version.</param>
public sealed record StoredVersion(long Sequence, VersionState State, DocumentVersion Version)
{
    public bool IsHidden => State >= VersionState.Hidden;
}

/// <summary>What is known of a stored version without reading its body.</summary>
internal readonly record struct VersionRow(
    long Sequence, VersionState State, VersionFlags Flags, VersionId Id, Stamp Stamp, DocumentKey Key, string Author, ChainHash Chain, int Bytes)
{
    public bool IsTombstone => (Flags & VersionFlags.Tombstone) != 0;

    public bool IsHidden => State >= VersionState.Hidden;

    public static VersionRow Of(StoredVersion stored)
    {
        var version = stored.Version;
        return new VersionRow(
            stored.Sequence, stored.State, version.Flags, version.Id, version.Stamp, version.Key, version.Author.ToString(), version.Chain, version.Bytes.Length);
    }
}
