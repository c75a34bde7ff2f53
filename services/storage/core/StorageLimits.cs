namespace Florete.Storage;

/// <summary>Bounds of a replica; docs/protocols/storage.md has the reasons.</summary>
public sealed record StorageLimits
{
    /// <summary>How long a superseded version is kept, from its stamp.</summary>
    public static readonly TimeSpan SupersededLifetime = TimeSpan.FromDays(7);

    /// <summary>How long a tombstone is kept, from its stamp.</summary>
    public static readonly TimeSpan TombstoneLifetime = TimeSpan.FromDays(30);

    /// <summary>
    /// So long before its end something takes no part in digests any more: replicas forget at slightly different times, and must not bring each other back what is
    /// forgotten.
    /// </summary>
    public static readonly TimeSpan DigestMargin = TimeSpan.FromDays(1);

    /// <summary>Superseded versions of one unit; the newest stay.</summary>
    public const int MaxSuperseded = 16;

    /// <summary>Items of a page.</summary>
    public const int MaxPageItems = 1000;

    /// <summary>Bytes of a page.</summary>
    public const int MaxPageBytes = 4 * 1024 * 1024;

    /// <summary>Writes and merges that wait for a commit.</summary>
    public const int MaxWaiting = 1024;

    /// <summary>Bytes of what waits for a commit.</summary>
    public const int MaxWaitingBytes = 16 * 1024 * 1024;

    /// <summary>Documents that are not deleted.</summary>
    public long MaxDocuments { get; init; } = 1_000_000;

    /// <summary>Bytes of all versions that are held.</summary>
    public long MaxBytes { get; init; } = 4L << 30;
}
