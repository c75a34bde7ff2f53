using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>
/// The digests that replicas compare: for each bucket the XOR of the ids of its current versions, and of the ids, hashed once more, of its superseded ones. Kept up with every
/// change; nothing is scanned. Not thread-safe.
/// </summary>
internal sealed class DigestBuckets
{
    private readonly UInt128[] buckets = new UInt128[DocumentKey.Buckets];

    /// <summary>The XOR of the ids of all current versions.</summary>
    public UInt128 Current { get; private set; }

    /// <summary>The XOR of the ids, hashed once more, of all superseded versions that count.</summary>
    public UInt128 Superseded { get; private set; }

    /// <summary>Adds a version, or takes it out again.</summary>
    public void Toggle(in VersionRow row)
    {
        var value = row.Id.Value;
        if (row.State == VersionState.Superseded)
        {
            value = HashedAgain(row.Id);
            Superseded ^= value;
        }
        else
        {
            Current ^= value;
        }
        buckets[row.Key.Bucket()] ^= value;
    }

    public BucketSummary Summary() => BucketSummary.Of(buckets);

    private static UInt128 HashedAgain(VersionId id)
    {
        Span<byte> bytes = stackalloc byte[VersionId.Bytes];
        id.Write(bytes);
        return VersionId.Of(bytes).Value;
    }
}
