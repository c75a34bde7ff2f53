using System.Buffers.Binary;

namespace Florete.Identities;

/// <summary>
/// A certificate chain in one piece: <c>count, 1 byte; then per certificate: length, 2 bytes; DER</c>, the leaf first (docs/protocols/directory.md, "Certificates").
/// </summary>
public static class EncodedChain
{
    /// <summary>Of all certificates together.</summary>
    public const int MaxCertificateBytes = 4096;

    /// <summary>Of the whole.</summary>
    public const int MaxBytes = 1 + (2 * PeerVerifier.MaxCertificates) + MaxCertificateBytes;

    public static byte[] Encode(X509Svid svid) => Encode([svid.Leaf.RawData, .. svid.Intermediates.Select(static c => c.RawData)]);

    /// <param name="derChain">At most <see cref="PeerVerifier.MaxCertificates"/>.</param>
    /// <exception cref="ArgumentException">It is empty or too long: nobody would read it.</exception>
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

    /// <summary>Splits an encoded chain; false if it is not exactly one. Proves nothing.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> encoded, out byte[][] derChain)
    {
        derChain = [];
        if (encoded.Length is < 4 or > MaxBytes || encoded[0] is 0 or > PeerVerifier.MaxCertificates) return false;
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
