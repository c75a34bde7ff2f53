using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Florete.Identities;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// Makes and reads what vertices say to each other about the directory, straight from docs/protocols/directory.md: true or false, as the test wants.
/// </summary>
public static class DirectoryForge
{
    public const byte OfVertex = 1, OfService = 2, OfRevocation = 3;
    public const byte Lasting = 0x02;
    public const byte RecordSection = 1, CertificateRequestSection = 4, CertificateSection = 5, EntriesSection = 7;
    public const int HashBytes = 32;

    private const int SignatureBytes = 64, CertificateAt = 18, SignerAt = 50;
    private static readonly byte[] AgeSeconds = [0x03, 0x84];

    /// <summary>The body of a vertex record: candidate 0 of its node segments, no adjacency.</summary>
    public static byte[] Lonely { get; } = [0, 0, 0, 0];

    /// <summary>A record that says it is by <paramref name="signer"/>, names a chain, and is signed by whatever key is given.</summary>
    public static byte[] Record(byte kind, Version version, byte[] chainHash, string signer, string subject, byte[] body, X509Svid key, byte flags = 0)
    {
        byte[] unsigned =
        [
            kind, flags, .. Number(version.Incarnation), .. Number(version.Sequence), .. chainHash,
            (byte)signer.Length, .. Encoding.ASCII.GetBytes(signer), (byte)subject.Length, .. Encoding.ASCII.GetBytes(subject),
            (byte)(body.Length >> 8), (byte)body.Length, .. body,
        ];
        using var ecdsa = key.Leaf.GetECDsaPrivateKey()!;
        byte[] signed = [.. "florete directory record 1\0cluster\0"u8, .. unsigned];
        byte[] signature;
        do
        {
            signature = ecdsa.SignData(signed, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        }
        while (signature[SignatureBytes / 2] >= 0x7f); // s at most n/2; any further below will do

        return [.. unsigned, .. signature];
    }

    /// <summary>A true record of an SVID's own.</summary>
    public static byte[] Record(byte kind, Version version, X509Svid svid, string subject, byte[] body, byte flags = 0) =>
        Record(kind, version, HashOf(Chain(svid)), svid.Id.ToString(), subject, body, svid, flags);

    /// <summary>"Refuse what begins before an hour from now", by whoever.</summary>
    public static byte[] Revocation(X509Svid signer, string subject, int by)
    {
        var now = DateTimeOffset.UtcNow.AddHours(1);
        return Record(
            OfRevocation, new((ulong)now.ToUnixTimeMilliseconds(), (ulong)by), signer, subject,
            [.. Number((ulong)now.AddDays(1).ToUnixTimeMilliseconds()), 1, 0], Lasting);
    }

    public static byte[] Chain(X509Svid svid)
    {
        X509Certificate2[] certificates = [svid.Leaf, .. svid.Intermediates];
        return [(byte)certificates.Length, .. certificates.SelectMany(c => (byte[])[(byte)(c.RawData.Length >> 8), (byte)c.RawData.Length, .. c.RawData])];
    }

    public static byte[] HashOf(byte[] chain) => SHA256.HashData(chain);

    public static byte[] Message(byte section, params byte[] content) => [1, section, (byte)(content.Length >> 8), (byte)content.Length, .. content];

    public static byte[] Offer(byte[] record) => Message(RecordSection, [.. AgeSeconds, .. record]);

    /// <summary>"I hold no record at all": the neighbour sends all of its own.</summary>
    public static byte[] HasNothing() => Message(EntriesSection, [.. Number(0), .. Number(ulong.MaxValue)]);

    /// <summary>The sections of a message of flor, which makes them well.</summary>
    public static IEnumerable<(byte Type, byte[] Content)> Sections(byte[] message)
    {
        for (var at = 1; at < message.Length;)
        {
            var length = BinaryPrimitives.ReadUInt16BigEndian(message.AsSpan(at + 1));
            yield return (message[at], message[(at + 3)..(at + 3 + length)]);
            at += 3 + length;
        }
    }

    public static byte[] RecordIn(byte[] section) => section[AgeSeconds.Length..];

    public static Version VersionOf(byte[] record) =>
        new(BinaryPrimitives.ReadUInt64BigEndian(record.AsSpan(2)), BinaryPrimitives.ReadUInt64BigEndian(record.AsSpan(10)));

    public static byte[] ChainHashOf(byte[] record) => record[CertificateAt..(CertificateAt + HashBytes)];

    public static string SignerOf(byte[] record) => Encoding.ASCII.GetString(record, SignerAt + 1, record[SignerAt]);

    private static byte[] Number(ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return bytes;
    }

    /// <summary>The order of records with one key.</summary>
    public sealed record Version(ulong Incarnation, ulong Sequence)
    {
        public Version Later(int by) => this with { Sequence = Sequence + (ulong)by };
    }
}
