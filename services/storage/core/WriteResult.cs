using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>What became of a write.</summary>
public enum WriteStatus
{
    /// <summary>It is on disk here.</summary>
    Accepted,

    /// <summary>It does not fit what the replica holds, or its clock: make it anew from <see cref="WriteResult.Prepared"/>. By compare-and-swap: another version is current.</summary>
    Conflict,

    /// <summary>The author's chain is not known here: send it too.</summary>
    ChainUnknown,

    /// <summary>The bounds, the certificate or the signature do not allow it.</summary>
    Forbidden,

    /// <summary>The replica has no room; only what makes room is accepted.</summary>
    Full,

    /// <summary>Too many writes wait for a commit, or the clock is wrong: later, or at another replica.</summary>
    Unavailable,
}

/// <summary>What an author needs to know to make a version.</summary>
/// <param name="Replica">The replica that shall accept it.</param>
/// <param name="Clock">A stamp for it.</param>
/// <param name="Version">The current version; null: none. A tombstone is one too.</param>
/// <param name="Seen">What the replica has seen of the unit.</param>
public sealed record PreparedWrite(ReplicaName Replica, Stamp Clock, VersionId? Version, SeenVector Seen);

/// <summary>The answer to a write.</summary>
/// <param name="Status">What became of it.</param>
/// <param name="Problem">Why it was not accepted, and the remedy; null where it was.</param>
/// <param name="Prepared">With <see cref="WriteStatus.Conflict"/>: what to make it anew from.</param>
public sealed record WriteResult(WriteStatus Status, string? Problem = null, PreparedWrite? Prepared = null)
{
    public bool IsAccepted => Status == WriteStatus.Accepted;
}

/// <summary>The answer to versions that another replica told.</summary>
/// <param name="Merged">So many changed what is held.</param>
/// <param name="Known">So many were held already, or are dominated by what is held, or are too old.</param>
/// <param name="Early">So many have stamps too far ahead of the clock: they come again.</param>
/// <param name="Refused">Those that are not valid, and why. The sender is wrong, or has other bounds.</param>
/// <param name="UnknownChains">Fetch these, and merge again with them.</param>
/// <param name="IsFull">Some found no room.</param>
public sealed record MergeResult(
    int Merged, int Known, int Early, IReadOnlyList<RefusedVersion> Refused, IReadOnlyCollection<ChainHash> UnknownChains, bool IsFull);

/// <summary>A version that was refused.</summary>
public sealed record RefusedVersion(DocumentVersion Version, string Problem);
