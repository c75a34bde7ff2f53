using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Florete.Identities;

/// <summary>
/// What a program signs under its identity, for one purpose: ECDSA P-256 with SHA-256 over <c>"florete program signature 1" 0x00 purpose 0x00 SHA-256(content)</c>, IEEE P1363
/// form, s at most n/2 (<see cref="SignatureForm"/>). Nothing else that the key signs begins so (handshakes, directory records, bounds), and no purpose can be taken for another: who holds the
/// key may sign for a program that does not.
/// </summary>
public static class ProgramSignature
{
    /// <summary>Of a signature.</summary>
    public const int Bytes = SignatureForm.Bytes;

    /// <summary>Of SHA-256 of the content.</summary>
    public const int HashBytes = SHA256.HashSizeInBytes;

    public const int MaxPurposeLength = 64;

    private static ReadOnlySpan<byte> Domain => "florete program signature 1\0"u8;

    /// <summary>1 to 64 of <c>a-z 0-9 - . /</c>, as <c>storage/version</c>.</summary>
    public static bool IsPurpose(string purpose)
    {
        if (purpose.Length is 0 or > MaxPurposeLength) return false;
        foreach (var c in purpose)
        {
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c is not ('-' or '.' or '/')) return false;
        }
        return true;
    }

    /// <summary>Signs, where the key is. Thread-safe.</summary>
    /// <param name="signer">With its private key.</param>
    /// <param name="purpose">See <see cref="IsPurpose"/>.</param>
    /// <param name="contentHash">SHA-256 of what is signed, <see cref="HashBytes"/> bytes.</param>
    /// <exception cref="ArgumentException">It is no purpose, or no hash.</exception>
    /// <exception cref="CryptographicException">The key is not ECDSA P-256.</exception>
    public static byte[] Sign(X509Svid signer, string purpose, ReadOnlySpan<byte> contentHash)
    {
        Span<byte> hash = stackalloc byte[HashBytes];
        if (!TryHash(purpose, contentHash, hash)) throw new ArgumentException($"A purpose is 1 to {MaxPurposeLength} of a-z, 0-9, '-', '.' and '/', and a hash has {HashBytes} bytes.", nameof(purpose));
        using var key = signer.Leaf.GetECDsaPrivateKey() ?? throw new CryptographicException($"The SVID of {signer.Id} has no ECDSA private key.");
        if (key.KeySize != 256) throw new CryptographicException($"The key of {signer.Id} is not ECDSA P-256, which signatures need; issue the identity again.");
        var signature = key.SignHash(hash, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        SignatureForm.MakeCanonical(signature);
        return signature;
    }

    /// <summary>
    /// Did the holder of the leaf's key sign this content for this purpose? Whose leaf it is, and whether it is valid, is another question (<see cref="IPeerVerifier"/>). False also
    /// for whatever is malformed; never throws for what peers send.
    /// </summary>
    /// <param name="leafKey">Public key of the signer's leaf; not used by another thread meanwhile.</param>
    /// <param name="purpose">What the verifier expects.</param>
    /// <param name="content">What is said to be signed.</param>
    /// <param name="signature">Of 64 bytes.</param>
    public static bool Verify(ECDsa leafKey, string purpose, ReadOnlySpan<byte> content, ReadOnlySpan<byte> signature)
    {
        Span<byte> hash = stackalloc byte[HashBytes];
        SHA256.HashData(content, hash);
        return VerifyHash(leafKey, purpose, hash, signature);
    }

    /// <summary>The same, with the DER of the leaf.</summary>
    public static bool Verify(ReadOnlySpan<byte> leafDer, string purpose, ReadOnlySpan<byte> content, ReadOnlySpan<byte> signature)
    {
        try
        {
            // The loader would take PEM too.
            if (leafDer.IsEmpty || leafDer[0] != 0x30) return false;
            using var leaf = X509CertificateLoader.LoadCertificate(leafDer);
            using var key = leaf.GetECDsaPublicKey();
            return key is not null && Verify(key, purpose, content, signature);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    /// <summary>The same, for a verifier that has SHA-256 of the content.</summary>
    public static bool VerifyHash(ECDsa leafKey, string purpose, ReadOnlySpan<byte> contentHash, ReadOnlySpan<byte> signature)
    {
        Span<byte> hash = stackalloc byte[HashBytes];
        if (signature.Length != Bytes || !SignatureForm.IsCanonical(signature) || !TryHash(purpose, contentHash, hash)) return false;
        try
        {
            return leafKey.KeySize == 256 && leafKey.VerifyHash(hash, signature, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    private static bool TryHash(string purpose, ReadOnlySpan<byte> contentHash, Span<byte> hash)
    {
        if (!IsPurpose(purpose) || contentHash.Length != HashBytes) return false;
        Span<byte> message = stackalloc byte[Domain.Length + MaxPurposeLength + 1 + HashBytes];
        Domain.CopyTo(message);
        var at = Domain.Length + Encoding.ASCII.GetBytes(purpose, message[Domain.Length..]);
        message[at++] = 0;
        contentHash.CopyTo(message[at..]);
        SHA256.HashData(message[..(at + HashBytes)], hash);
        return true;
    }
}
