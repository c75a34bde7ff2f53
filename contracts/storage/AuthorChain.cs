using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Florete.Identities;

namespace Florete.Storage.Contracts;

/// <summary>
/// A certificate chain as it is hashed, sent and kept, the encoding of docs/protocols/directory.md:
/// <c>count, 1 byte; then per certificate: length, 2 bytes; DER</c>, leaf first.
/// </summary>
public static class AuthorChain
{
    /// <summary>At most so long; four certificates of ours have about 2 400 bytes.</summary>
    public const int MaxBytes = 4096;

    /// <summary>The chain of an SVID.</summary>
    /// <exception cref="ArgumentException">It is longer than <see cref="MaxBytes"/>, or has more than <see cref="PeerVerifier.MaxCertificates"/> certificates.</exception>
    public static byte[] Encode(X509Svid svid)
    {
        var certificates = new List<byte[]> { svid.Leaf.RawData };
        certificates.AddRange(svid.Intermediates.Select(static c => c.RawData));
        return Encode(certificates);
    }

    /// <summary>A chain in DER, leaf first.</summary>
    /// <exception cref="ArgumentException">It is empty, longer than <see cref="MaxBytes"/>, or has more than <see cref="PeerVerifier.MaxCertificates"/> certificates.</exception>
    public static byte[] Encode(IReadOnlyList<byte[]> derChain)
    {
        var length = 1 + derChain.Sum(static c => 2 + c.Length);
        if (derChain.Count is 0 or > PeerVerifier.MaxCertificates || length > MaxBytes)
        {
            throw new ArgumentException($"A chain of {derChain.Count} certificates and {length} bytes: it must have 1 to {PeerVerifier.MaxCertificates}, and at most {MaxBytes} bytes.", nameof(derChain));
        }
        var encoded = new byte[length];
        encoded[0] = (byte)derChain.Count;
        var at = 1;
        foreach (var certificate in derChain)
        {
            BinaryPrimitives.WriteUInt16BigEndian(encoded.AsSpan(at), (ushort)certificate.Length);
            certificate.CopyTo(encoded, at + 2);
            at += 2 + certificate.Length;
        }
        return encoded;
    }

    /// <summary>Splits an encoded chain; false if it is not exactly one.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> encoded, [NotNullWhen(true)] out byte[][]? derChain)
    {
        derChain = null;
        if (encoded.Length is < 4 or > MaxBytes) return false;
        if (encoded[0] is 0 or > PeerVerifier.MaxCertificates) return false;
        var certificates = new byte[encoded[0]][];
        var rest = encoded[1..];
        for (var i = 0; i < certificates.Length; i++)
        {
            if (rest.Length < 2) return false;
            var length = BinaryPrimitives.ReadUInt16BigEndian(rest);
            if (length == 0 || rest.Length < 2 + length) return false;
            certificates[i] = rest.Slice(2, length).ToArray();
            rest = rest[(2 + length)..];
        }
        if (!rest.IsEmpty) return false;
        derChain = certificates;
        return true;
    }
}
