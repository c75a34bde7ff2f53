using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Florete.Identities;
using Florete.Storage.Contracts;

namespace Florete.Storage.Client;

/// <summary>The current version of a unit, as a replica has it.</summary>
/// <param name="Key">Collection, name and unit.</param>
/// <param name="Version">Its id, for <see cref="StorageClient.CompareAndSwapAsync"/>.</param>
/// <param name="Stamp">When it was accepted.</param>
/// <param name="Author">Who wrote it.</param>
/// <param name="Replica">Where it was accepted.</param>
/// <param name="Superseded">How many concurrent versions lost against it and are kept; null: not told (lists, watches).</param>
/// <param name="Body">One JSON value, UTF-8; byte for byte as it was written where one document is read, without line breaks in lists and watches.</param>
public sealed record StorageDocument(DocumentKey Key, VersionId Version, Stamp Stamp, SpiffeId Author, ReplicaName Replica, int? Superseded, ReadOnlyMemory<byte> Body)
{
    /// <summary>The body as an object.</summary>
    /// <exception cref="JsonException">It is another kind of value.</exception>
    public T? As<T>(JsonTypeInfo<T> type) => JsonSerializer.Deserialize(Body.Span, type);

    /// <exception cref="StorageClientException">The replica said something malformed.</exception>
    internal static StorageDocument Of(VersionItem item)
    {
        if (!CollectionName.TryParse(item.Collection, out var collection, out _) || !DocumentName.TryParse(item.Name, out var name, out _)
            || !UnitName.TryParse(item.Unit, out var unit, out _) || !VersionId.TryParse(item.Version, out var version) || !Stamp.TryParse(item.Stamp, out var stamp)
            || !SpiffeId.TryParse(item.Author, out var author, out _) || !ReplicaName.TryParse(item.Replica, out var replica, out _))
        {
            throw new StorageClientException(StorageError.Unexpected, "The replica's answer is not understood; use programs of one version.");
        }
        var body = item.Body is { } json ? System.Text.Encoding.UTF8.GetBytes(json.GetRawText()) : [];
        return new StorageDocument(new DocumentKey(collection, name, unit), version, stamp, author, replica, Superseded: null, body);
    }
}

/// <summary>A version that a replica has accepted.</summary>
/// <param name="Version">Its id.</param>
/// <param name="Stamp">Its time.</param>
/// <param name="Replica">Where; it is on disk there.</param>
public sealed record WrittenVersion(VersionId Version, Stamp Stamp, ReplicaName Replica);

/// <summary>What a watch tells.</summary>
public enum StorageChangeKind
{
    /// <summary>The unit has this version now.</summary>
    Put = 1,

    /// <summary>The unit is deleted.</summary>
    Delete = 2,

    /// <summary>This version lost against a concurrent one, and is kept for a while.</summary>
    Superseded = 3,

    /// <summary>Everything that was there when the watch began has been told; changes follow.</summary>
    CaughtUp = 4,
}

/// <param name="Kind">What has happened.</param>
/// <param name="Key">To which unit; default with <see cref="StorageChangeKind.CaughtUp"/>.</param>
/// <param name="Document">The version; null with CaughtUp, and where a deletion was found out by listing again. A deleted one has no body.</param>
public sealed record StorageChange(StorageChangeKind Kind, DocumentKey Key, StorageDocument? Document);
