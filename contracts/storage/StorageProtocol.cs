namespace Florete.Storage.Contracts;

/// <summary>Names and limits of docs/protocols/storage.md, version 1.</summary>
public static class StorageProtocol
{
    /// <summary>What a portal is asked to sign a version for.</summary>
    public const string SigningPurpose = "florete-storage/1";

    /// <summary>The topic of the bus on which replicas tell each other what they accepted.</summary>
    public const string VersionsTopic = "florete.storage.versions.1";

    /// <summary>The media type of one version, as it is signed and stored.</summary>
    public const string VersionMediaType = "application/vnd.florete.version";

    /// <summary>A JSON value of more bytes belongs into a file, not into a document that every node holds.</summary>
    public const int MaxBodyBytes = 256 * 1024;

    /// <summary>Body, names, 64 entries of <em>seen</em>, and room to spare.</summary>
    public const int MaxVersionBytes = 320 * 1024;

    /// <summary>Entries of <em>seen</em> in a version: replicas that accepted writes of one unit lately.</summary>
    public const int MaxSeen = 64;

    /// <summary>JSON nested deeper is refused: readers recurse.</summary>
    public const int MaxJsonDepth = 64;

    /// <summary>A stamp further ahead of the wall clock is refused: two clocks may each be so far off.</summary>
    public static readonly TimeSpan MaxStampAhead = TimeSpan.FromSeconds(60);

    /// <summary>Entries of <em>seen</em> that are older may be left out: no replica brings versions of that age any more.</summary>
    public static readonly TimeSpan SeenLifetime = TimeSpan.FromDays(30);
}
