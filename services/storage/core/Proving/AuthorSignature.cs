using System.Security.Cryptography;
using System.Text;
using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>
/// What a portal signs for a program: <c>"florete program signature 1" 0x00 purpose 0x00 SHA-256(content)</c>, ECDSA P-256 with SHA-256, IEEE P1363, the lower s only: of two signatures that fit, one was
/// never made (docs/protocols/directory.md).
/// </summary>
internal static class AuthorSignature
{
    private static readonly byte[] Prefix = Encoding.ASCII.GetBytes($"florete program signature 1\0{StorageProtocol.SigningPurpose}\0");

    /// <summary>n/2 of P-256, rounded down (SP 800-186 §3.2.1.3).</summary>
    private static ReadOnlySpan<byte> HalfOrder =>
    [
        0x7F, 0xFF, 0xFF, 0xFF, 0x80, 0x00, 0x00, 0x00, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xDE, 0x73, 0x7D, 0x56, 0xD3, 0x8B, 0xCF, 0x42, 0x79, 0xDC, 0xE5, 0x61, 0x7E, 0x31, 0x92, 0xA8,
    ];

    /// <summary>The SHA-256 hash that ECDSA signs.</summary>
    public static byte[] HashToSign(ReadOnlySpan<byte> content)
    {
        var message = new byte[Prefix.Length + SHA256.HashSizeInBytes];
        Prefix.CopyTo(message, 0);
        SHA256.HashData(content, message.AsSpan(Prefix.Length));
        return SHA256.HashData(message);
    }

    /// <summary>Does the signature fit, in its one form?</summary>
    public static bool Verifies(ECDsa key, ReadOnlySpan<byte> content, ReadOnlySpan<byte> signature)
    {
        if (signature.Length != DocumentVersion.SignatureBytes || signature[32..].SequenceCompareTo(HalfOrder) > 0) return false;
        try
        {
            return key.VerifyHash(HashToSign(content), signature, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }
}
