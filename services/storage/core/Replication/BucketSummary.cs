using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>
/// The digests of all buckets at one moment, and how they are sent: <see cref="DocumentKey.Buckets"/> × 16 bytes. Equal for replicas that hold the same. Immutable.
/// </summary>
public sealed class BucketSummary
{
    /// <summary>How long a summary is as it is sent.</summary>
    public const int EncodedBytes = DocumentKey.Buckets * EntryBytes;

    private const int EntryBytes = 16;

    private readonly UInt128[] buckets;

    private BucketSummary(UInt128[] buckets) => this.buckets = buckets;

    /// <summary>Reads a summary; false if it has another length.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out BucketSummary? summary)
    {
        summary = null;
        if (bytes.Length != EncodedBytes) return false;
        var buckets = new UInt128[DocumentKey.Buckets];
        for (var i = 0; i < buckets.Length; i++) buckets[i] = BinaryPrimitives.ReadUInt128BigEndian(bytes[(i * EntryBytes)..]);
        summary = new BucketSummary(buckets);
        return true;
    }

    public byte[] Encode()
    {
        var bytes = new byte[EncodedBytes];
        for (var i = 0; i < buckets.Length; i++) BinaryPrimitives.WriteUInt128BigEndian(bytes.AsSpan(i * EntryBytes), buckets[i]);
        return bytes;
    }

    /// <summary>The buckets in which two replicas differ, ascending.</summary>
    public IReadOnlyList<int> Differing(BucketSummary other) => [.. Enumerable.Range(0, buckets.Length).Where(i => buckets[i] != other.buckets[i])];

    internal static BucketSummary Of(UInt128[] buckets) => new([.. buckets]);
}
