using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>
/// The answer to a summary: what is held in buckets that differ, so that the other side fetches what it lacks. Whole buckets only; where not all found room, the rest is found by the next
/// exchange. Each entry 25 bytes: <c>id, 16; stamp, 8; flags, 1 (1: superseded)</c>.
/// </summary>
public static class Differences
{
    /// <summary>Entries of one answer: 32 buckets of a replica with a million documents.</summary>
    public const int MaxEntries = 32_768;

    private const int EntryBytes = VersionId.Bytes + Stamp.Bytes + 1;
    private const byte SupersededFlag = 1;

    public static byte[] Encode(IReadOnlyList<BucketEntry> entries)
    {
        var bytes = new byte[entries.Count * EntryBytes];
        for (var i = 0; i < entries.Count; i++)
        {
            var entry = bytes.AsSpan(i * EntryBytes, EntryBytes);
            entries[i].Id.Write(entry);
            BinaryPrimitives.WriteUInt64BigEndian(entry[VersionId.Bytes..], entries[i].Stamp.Value);
            entry[^1] = entries[i].IsSuperseded ? SupersededFlag : (byte)0;
        }
        return bytes;
    }

    /// <summary>Reads an answer; false if it is none, or has more than a bucket more than <see cref="MaxEntries"/>.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out IReadOnlyList<BucketEntry>? entries)
    {
        entries = null;
        if (bytes.Length % EntryBytes != 0 || bytes.Length > 2 * MaxEntries * EntryBytes) return false;
        var read = new BucketEntry[bytes.Length / EntryBytes];
        for (var i = 0; i < read.Length; i++)
        {
            var entry = bytes.Slice(i * EntryBytes, EntryBytes);
            if (entry[^1] > SupersededFlag) return false;
            read[i] = new BucketEntry(VersionId.Read(entry), new Stamp(BinaryPrimitives.ReadUInt64BigEndian(entry[VersionId.Bytes..])), entry[^1] == SupersededFlag);
        }
        entries = read;
        return true;
    }
}
