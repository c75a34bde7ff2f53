using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Florete.Identities;

namespace Florete.Layers;

/// <summary>Makes signed records (<see cref="RecordView"/> has the layout).</summary>
internal static class RecordWriter
{
    /// <exception cref="CryptographicException">The signer's key cannot sign.</exception>
    /// <exception cref="ArgumentException">The record would be longer than a record may be.</exception>
    public static byte[] Sign(
        string layer, RecordKind kind, RecordFlags flags, ulong incarnation, ulong sequence, X509Svid signer, string subject, ReadOnlySpan<byte> body)
    {
        var signerText = Encoding.ASCII.GetBytes(signer.Id.ToString());
        var subjectText = Encoding.ASCII.GetBytes(subject);
        var length = 50 + 1 + signerText.Length + 1 + subjectText.Length + 2 + body.Length + RecordView.SignatureBytes;
        if (length > DirectoryLimits.MaxRecordBytes || subjectText.Length > byte.MaxValue)
        {
            throw new ArgumentException($"A directory record of {length} bytes is longer than {DirectoryLimits.MaxRecordBytes}.", nameof(body));
        }
        var record = new byte[length];
        record[0] = (byte)kind;
        record[1] = (byte)flags;
        BinaryPrimitives.WriteUInt64BigEndian(record.AsSpan(2), incarnation);
        BinaryPrimitives.WriteUInt64BigEndian(record.AsSpan(10), sequence);
        CertificateHash.Of(EncodedChain.Encode(signer)).Write(record.AsSpan(18));
        var at = 50;
        record[at++] = (byte)signerText.Length;
        signerText.CopyTo(record, at);
        at += signerText.Length;
        record[at++] = (byte)subjectText.Length;
        subjectText.CopyTo(record, at);
        at += subjectText.Length;
        BinaryPrimitives.WriteUInt16BigEndian(record.AsSpan(at), (ushort)body.Length);
        body.CopyTo(record.AsSpan(at + 2));
        at += 2 + body.Length;
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        RecordView.HashToSign(layer, record.AsSpan(0, at), hash);
        using var key = signer.Leaf.GetECDsaPrivateKey()
            ?? throw new CryptographicException($"The SVID of {signer.Id} has no ECDSA private key; directory records need ECDSA P-256.");
        if (!key.TrySignHash(hash, record.AsSpan(at), DSASignatureFormat.IeeeP1363FixedFieldConcatenation, out var written)
            || written != RecordView.SignatureBytes)
        {
            throw new CryptographicException($"The key of {signer.Id} is not ECDSA P-256, which directory records need.");
        }
        SignatureForm.MakeCanonical(record.AsSpan(at));
        return record;
    }
}
