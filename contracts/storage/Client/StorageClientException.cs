namespace Florete.Storage.Client;

/// <summary>Why the storage could not do what was asked.</summary>
public enum StorageError
{
    /// <summary>No replica could be reached, or none was ready, in time.</summary>
    Unavailable = 1,

    /// <summary>The bounds do not allow it; the message names the missing rule.</summary>
    Forbidden = 2,

    /// <summary>Compare-and-swap: another version is current than the one to be replaced.</summary>
    Conflict = 3,

    /// <summary>What was asked is malformed, or beyond a limit.</summary>
    Invalid = 4,

    /// <summary>There is no room for it.</summary>
    Full = 5,

    /// <summary>The replica answered what this client does not understand.</summary>
    Unexpected = 6,
}

/// <summary>A refusal by the storage, worded for the person who must act.</summary>
public sealed class StorageClientException(StorageError error, string message, Exception? inner = null) : Exception(message, inner)
{
    public StorageError Error { get; } = error;

    /// <summary>With <see cref="StorageError.Conflict"/>: the id of the version that is current; null: the document does not exist.</summary>
    public string? CurrentVersion { get; init; }
}
