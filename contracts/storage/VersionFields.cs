using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Florete.Identities;

namespace Florete.Storage.Contracts;

/// <summary>The fields of a version and where its body is. Reading them is the parser: it takes any bytes, throws nothing, and allocates no more than it was given.</summary>
internal readonly struct VersionFields
{
    public const byte Format = 1;

    private const VersionFlags KnownFlags = VersionFlags.Tombstone | VersionFlags.CompareAndSwap;

    public required VersionFlags Flags { get; init; }

    public required Stamp Stamp { get; init; }

    public required ReplicaName Replica { get; init; }

    public required DocumentKey Key { get; init; }

    public required SeenVector Seen { get; init; }

    public required SpiffeId Author { get; init; }

    public required ChainHash Chain { get; init; }

    public required int BodyAt { get; init; }

    public static bool TryRead(ReadOnlySpan<byte> bytes, out VersionFields fields, [NotNullWhen(false)] out string? problem, bool checkBody = true)
    {
        fields = default;
        if (bytes.Length > StorageProtocol.MaxVersionBytes)
        {
            problem = $"A version of {bytes.Length} bytes is too long; at most {StorageProtocol.MaxVersionBytes} are allowed.";
            return false;
        }
        var reader = new Reader(bytes);
        if (!reader.TryByte(out var format)) return TooShort(out problem);
        if (format != Format)
        {
            problem = $"Format {format} of versions is not known here, only {Format}; update this program.";
            return false;
        }
        if (!reader.TryByte(out var flags) || !reader.TryStamp(out var stamp)) return TooShort(out problem);
        if (((VersionFlags)flags & ~KnownFlags) != 0)
        {
            problem = $"Flags {flags} of a version are not known here; update this program.";
            return false;
        }
        if (!reader.TryText(out var replicaText) || !reader.TryText(out var collectionText) || !reader.TryText(out var nameText) || !reader.TryText(out var unitText))
        {
            return TooShort(out problem);
        }
        if (!ReplicaName.TryParse(replicaText, out var replica, out problem)) return false;
        if (!CollectionName.TryParse(collectionText, out var collection, out problem)) return false;
        if (!DocumentName.TryParse(nameText, out var name, out problem)) return false;
        if (!UnitName.TryParse(unitText, out var unit, out problem)) return false;
        if (!TryReadSeen(ref reader, stamp, out var seen, out problem)) return false;
        if (!reader.TryText(out var authorText)) return TooShort(out problem);
        if (!SpiffeId.TryParse(authorText, out var author, out problem)) return false;
        if (!reader.TryBytes(ChainHash.Bytes, out var chain) || !reader.TryLength(out var bodyBytes)) return TooShort(out problem);
        var bodyAt = reader.At;
        if (bytes.Length - bodyAt != (long)bodyBytes + DocumentVersion.SignatureBytes)
        {
            problem = "A version is not as long as it says.";
            return false;
        }
        var isTombstone = ((VersionFlags)flags & VersionFlags.Tombstone) != 0;
        problem = checkBody ? BodyProblem(bytes.Slice(bodyAt, (int)bodyBytes), isTombstone) : null;
        if (problem is not null) return false;
        fields = new VersionFields
        {
            Flags = (VersionFlags)flags,
            Stamp = stamp,
            Replica = replica,
            Key = new DocumentKey(collection, name, unit),
            Seen = seen,
            Author = author,
            Chain = ChainHash.Read(chain),
            BodyAt = bodyAt,
        };
        return true;
    }

    /// <summary>Why this cannot be a body; null if it can.</summary>
    public static string? BodyProblem(ReadOnlySpan<byte> body, bool isTombstone)
    {
        if (isTombstone) return body.IsEmpty ? null : "A tombstone has a body; a deletion has none.";
        if (body.Length > StorageProtocol.MaxBodyBytes) return $"A body of {body.Length} bytes is too long; at most {StorageProtocol.MaxBodyBytes} are allowed.";
        if (body.IsEmpty) return "A body is empty; it must be one JSON value.";
        // The JSON reader does not look into strings.
        if (!Utf8.IsValid(body)) return "A body is not UTF-8.";
        try
        {
            var json = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = StorageProtocol.MaxJsonDepth });
            while (json.Read())
            {
            }
            return null;
        }
        catch (JsonException e)
        {
            return $"A body is not one JSON value (line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}), or is nested deeper than {StorageProtocol.MaxJsonDepth}.";
        }
    }

    private static bool TryReadSeen(ref Reader reader, Stamp stamp, out SeenVector seen, [NotNullWhen(false)] out string? problem)
    {
        seen = SeenVector.Empty;
        if (!reader.TryByte(out var count)) return TooShort(out problem);
        if (count > StorageProtocol.MaxSeen)
        {
            problem = $"A version has {count} entries of seen; at most {StorageProtocol.MaxSeen} are allowed.";
            return false;
        }
        var entries = new SeenEntry[count];
        for (var i = 0; i < count; i++)
        {
            if (!reader.TryText(out var text) || !reader.TryStamp(out var at)) return TooShort(out problem);
            if (!ReplicaName.TryParse(text, out var replica, out problem)) return false;
            if (i > 0 && replica <= entries[i - 1].Replica)
            {
                problem = "The entries of seen do not ascend by replica.";
                return false;
            }
            if (at >= stamp || at == Stamp.None)
            {
                problem = "An entry of seen is not older than the version itself.";
                return false;
            }
            entries[i] = new SeenEntry(replica, at);
        }
        seen = SeenVector.FromSorted(entries);
        if (stamp == Stamp.None)
        {
            problem = "A version has no stamp.";
            return false;
        }
        problem = null;
        return true;
    }

    private static bool TooShort([NotNullWhen(false)] out string? problem)
    {
        problem = "A version is cut off.";
        return false;
    }

    private ref struct Reader(ReadOnlySpan<byte> bytes)
    {
        private readonly ReadOnlySpan<byte> bytes = bytes;

        public int At { get; private set; }

        public bool TryByte(out byte value)
        {
            value = 0;
            if (!TryBytes(1, out var one)) return false;
            value = one[0];
            return true;
        }

        public bool TryStamp(out Stamp stamp)
        {
            stamp = default;
            if (!TryBytes(Stamp.Bytes, out var eight)) return false;
            stamp = new Stamp(BinaryPrimitives.ReadUInt64BigEndian(eight));
            return true;
        }

        public bool TryLength(out uint length)
        {
            length = 0;
            if (!TryBytes(4, out var four)) return false;
            length = BinaryPrimitives.ReadUInt32BigEndian(four);
            return true;
        }

        // Latin-1 keeps every byte apart, so that what is not ASCII fails as a name, and is not turned into something that passes.
        public bool TryText(out string text)
        {
            text = "";
            if (!TryByte(out var length) || !TryBytes(length, out var content)) return false;
            text = Encoding.Latin1.GetString(content);
            return true;
        }

        public bool TryBytes(int count, out ReadOnlySpan<byte> content)
        {
            content = default;
            if (bytes.Length - At < count) return false;
            content = bytes.Slice(At, count);
            At += count;
            return true;
        }
    }
}
