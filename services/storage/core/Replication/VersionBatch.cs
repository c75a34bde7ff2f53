using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>A version as one replica tells it to another.</summary>
/// <param name="Version">Well-formed; nothing is proved of it.</param>
/// <param name="IsSuperseded">The other holds it as superseded.</param>
public sealed record OfferedVersion(DocumentVersion Version, bool IsSuperseded);

/// <summary>
/// Versions one after another, as replicas send them by bus and by HTTP: each <c>length of what follows, 4; flags, 1 (1: superseded); version</c>.
/// </summary>
public static class VersionBatch
{
    /// <summary>Of a message of the bus.</summary>
    public const int MaxMessageBytes = 1024 * 1024;

    /// <summary>Of an answer by HTTP: a page, and one version that was begun before it was full.</summary>
    public const int MaxAnswerBytes = StorageLimits.MaxPageBytes + StorageProtocol.MaxVersionBytes + HeaderBytes;

    private const int HeaderBytes = 5;
    private const byte SupersededFlag = 1;

    /// <summary>How many bytes a version takes in a batch.</summary>
    public static int EncodedBytes(DocumentVersion version) => HeaderBytes + version.Bytes.Length;

    /// <summary>Appends a version.</summary>
    public static void Append(IBufferWriter<byte> batch, DocumentVersion version, bool isSuperseded)
    {
        var span = batch.GetSpan(EncodedBytes(version));
        BinaryPrimitives.WriteInt32BigEndian(span, 1 + version.Bytes.Length);
        span[4] = isSuperseded ? SupersededFlag : (byte)0;
        version.Bytes.Span.CopyTo(span[HeaderBytes..]);
        batch.Advance(EncodedBytes(version));
    }

    /// <summary>Splits a batch and reads its versions. They keep <paramref name="batch"/>: it must not change any more.</summary>
    /// <returns>False if any part is malformed; <paramref name="problem"/> says why.</returns>
    public static bool TryDecode(ReadOnlyMemory<byte> batch, [NotNullWhen(true)] out IReadOnlyList<OfferedVersion>? versions, [NotNullWhen(false)] out string? problem)
    {
        (versions, problem) = (null, null);
        if (batch.Length > MaxAnswerBytes)
        {
            problem = $"A batch of {batch.Length} bytes is too long; at most {MaxAnswerBytes} are allowed.";
            return false;
        }
        var read = new List<OfferedVersion>();
        while (!batch.IsEmpty)
        {
            var length = batch.Length < HeaderBytes ? 0 : BinaryPrimitives.ReadUInt32BigEndian(batch.Span);
            if (length < 1 || length > batch.Length - 4 || batch.Span[4] > SupersededFlag)
            {
                problem = "A batch of versions is malformed or cut off.";
                return false;
            }
            if (!DocumentVersion.TryParse(batch.Slice(HeaderBytes, (int)length - 1), out var version, out problem)) return false;
            read.Add(new OfferedVersion(version, batch.Span[4] == SupersededFlag));
            batch = batch[(4 + (int)length)..];
        }
        versions = read;
        return true;
    }
}
