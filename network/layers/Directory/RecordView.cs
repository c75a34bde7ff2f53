using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Florete.Layers;

/// <summary>What a record is about. Other values are kinds to come.</summary>
internal enum RecordKind : byte
{
    Vertex = 1,
    Service = 2,
    Revocation = 3,
}

[Flags]
internal enum RecordFlags : byte
{
    None = 0,

    /// <summary>A tombstone.</summary>
    Withdrawn = 0x01,

    /// <summary>Does not age.</summary>
    Lasting = 0x02,

    /// <summary>Who does not know the kind must refuse the record.</summary>
    Critical = 0x80,
}

/// <summary>
/// A record as it lies in a buffer: kind 1, flags 1, incarnation 8, sequence 8, certificate 32, signer 1 + n, subject 1 + n, body 2 + n,
/// signature 64. Form is checked, nothing else.
/// </summary>
internal readonly ref struct RecordView
{
    public const int SignatureBytes = 64;

    private const int FixedBytes = 1 + 1 + 8 + 8 + CertificateHash.Bytes;
    private const int MinBytes = FixedBytes + 1 + 1 + 2 + SignatureBytes;
    private static ReadOnlySpan<byte> SigningPrefix => "florete directory record 1\0"u8;

    private RecordView(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> signer, ReadOnlySpan<byte> subject, ReadOnlySpan<byte> body)
    {
        Bytes = bytes;
        Signer = signer;
        Subject = subject;
        Body = body;
    }

    public ReadOnlySpan<byte> Bytes { get; }

    public RecordKind Kind => (RecordKind)Bytes[0];

    public RecordFlags Flags => (RecordFlags)Bytes[1];

    public ulong Incarnation => BinaryPrimitives.ReadUInt64BigEndian(Bytes[2..]);

    public ulong Sequence => BinaryPrimitives.ReadUInt64BigEndian(Bytes[10..]);

    public CertificateHash Certificate => CertificateHash.Read(Bytes[18..]);

    public ReadOnlySpan<byte> Signer { get; }

    public ReadOnlySpan<byte> Subject { get; }

    public ReadOnlySpan<byte> Body { get; }

    public ReadOnlySpan<byte> Signature => Bytes[^SignatureBytes..];

    public static bool TryParse(ReadOnlySpan<byte> bytes, out RecordView record)
    {
        record = default;
        if (bytes.Length is < MinBytes or > DirectoryLimits.MaxRecordBytes) return false;
        var end = bytes.Length - SignatureBytes;
        var at = FixedBytes;
        if (!TryTake(bytes[..end], ref at, 1, out var signer) || signer.IsEmpty) return false;
        if (!TryTake(bytes[..end], ref at, 1, out var subject)) return false;
        if (!TryTake(bytes[..end], ref at, 2, out var body) || at != end) return false;
        record = new RecordView(bytes, signer, subject, body);
        return true;
    }

    /// <summary>Names the record whatever its version.</summary>
    public ulong Key() => KeyOf(Kind, Signer, Subject);

    public RecordVersion Version() => new(Incarnation, Sequence, HashOf(Bytes));

    /// <summary>What is signed, hashed: prefix, layer, then the record without its signature.</summary>
    public void HashToSign(string layer, Span<byte> hash) => HashToSign(layer, Bytes[..^SignatureBytes], hash);

    public static void HashToSign(string layer, ReadOnlySpan<byte> unsigned, Span<byte> hash)
    {
        Span<byte> text = stackalloc byte[DirectoryOptions.MaxLayerNameLength + 1];
        var length = Encoding.ASCII.GetBytes(layer, text);
        text[length] = 0;
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(SigningPrefix);
        sha.AppendData(text[..(length + 1)]);
        sha.AppendData(unsigned);
        sha.GetHashAndReset(hash);
    }

    public static ulong HashOf(ReadOnlySpan<byte> record)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(record, hash);
        return BinaryPrimitives.ReadUInt64BigEndian(hash);
    }

    public static ulong KeyOf(RecordKind kind, ReadOnlySpan<byte> signer, ReadOnlySpan<byte> subject)
    {
        Span<byte> named = stackalloc byte[1 + 1 + byte.MaxValue + 1 + byte.MaxValue];
        named[0] = (byte)kind;
        named[1] = (byte)signer.Length;
        signer.CopyTo(named[2..]);
        named[2 + signer.Length] = (byte)subject.Length;
        subject.CopyTo(named[(3 + signer.Length)..]);
        return HashOf(named[..(3 + signer.Length + subject.Length)]);
    }

    private static bool TryTake(ReadOnlySpan<byte> from, scoped ref int at, int lengthBytes, out ReadOnlySpan<byte> taken)
    {
        taken = default;
        if (from.Length - at < lengthBytes) return false;
        var length = lengthBytes == 1 ? from[at] : BinaryPrimitives.ReadUInt16BigEndian(from[at..]);
        at += lengthBytes;
        if (from.Length - at < length) return false;
        taken = from.Slice(at, length);
        at += length;
        return true;
    }
}
