namespace Florete.Identities;

/// <summary>
/// The one form of a P-256 signature. Where (r, s) is an ECDSA signature, so is (r, n − s), and who holds no key can make one of the other: what was signed
/// would have another hash, and so be another version, that its signer never made. Hence s is at most n/2 (as in BIP 62 rule 5).
/// </summary>
public static class SignatureForm
{
    /// <summary>IEEE P1363: r, then s.</summary>
    public const int Bytes = 2 * ScalarBytes;

    private const int ScalarBytes = 32;

    /// <summary>The order n of P-256 (SP 800-186 §3.2.1.3).</summary>
    private static ReadOnlySpan<byte> Order =>
    [
        0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
    ];

    /// <summary>n/2, rounded down.</summary>
    private static ReadOnlySpan<byte> HalfOrder =>
    [
        0x7F, 0xFF, 0xFF, 0xFF, 0x80, 0x00, 0x00, 0x00, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xDE, 0x73, 0x7D, 0x56, 0xD3, 0x8B, 0xCF, 0x42, 0x79, 0xDC, 0xE5, 0x61, 0x7E, 0x31, 0x92, 0xA8,
    ];

    /// <summary>True if s is at most n/2.</summary>
    /// <param name="signature">64 bytes, IEEE P1363: r, then s.</param>
    public static bool IsCanonical(ReadOnlySpan<byte> signature) => signature[ScalarBytes..].SequenceCompareTo(HalfOrder) <= 0;

    /// <summary>Gives a valid signature that form, in place.</summary>
    public static void MakeCanonical(Span<byte> signature)
    {
        if (!IsCanonical(signature)) Negate(signature);
    }

    /// <summary>Replaces s by n − s: the other signature of the same.</summary>
    public static void Negate(Span<byte> signature)
    {
        var borrow = 0;
        for (var i = ScalarBytes - 1; i >= 0; i--)
        {
            var difference = Order[i] - signature[ScalarBytes + i] - borrow;
            borrow = difference < 0 ? 1 : 0;
            signature[ScalarBytes + i] = (byte)difference;
        }
    }
}
