using System.Formats.Asn1;
using System.Security.Cryptography;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>A verified certificate chain of the directory: whose it is, until when, and the key that signs records.</summary>
internal sealed class CertificateChain(CertificateHash hash, byte[] encoded, PeerVerification proof, byte[] publicPoint)
{
    private const int CoordinateBytes = 32;
    private const byte UncompressedPoint = 4;
    private const string EcPublicKey = "1.2.840.10045.2.1";
    // Serial number, signature algorithm, issuer, validity, subject.
    private const int FieldsBeforeKey = 5;

    public CertificateHash Hash { get; } = hash;

    /// <summary>As it is hashed and sent.</summary>
    public byte[] Encoded { get; } = encoded;

    /// <summary>When it was verified, whatever has been revoked since.</summary>
    public PeerVerification Proof { get; } = proof;

    public SpiffeId Id { get; } = proof.Id!;

    public DateTimeOffset NotAfter { get; } = proof.NotAfter;

    /// <summary>May the node that issued it, if one did, issue it by the bounds of now?</summary>
    public Verdict StillAllowed(IBounds bounds) => Proof.StillAllowed(bounds);

    /// <summary>Records in the store that name this chain.</summary>
    public int References { get; set; }

    /// <summary>Since when none does.</summary>
    public Instant UnreferencedSince { get; set; }

    /// <summary>The chain of an SVID that this vertex holds itself: nothing to verify.</summary>
    /// <exception cref="CryptographicException">The key is not ECDSA P-256.</exception>
    public static CertificateChain Own(X509Svid svid)
    {
        var encoded = EncodedChain.Encode(svid);
        var point = PublicPoint(svid.Leaf.RawData) ?? throw new CryptographicException($"The key of {svid.Id} is not ECDSA P-256.");
        return new CertificateChain(CertificateHash.Of(encoded), encoded, PeerVerification.Of(svid), point);
    }

    /// <summary>Verifies an encoded chain; null with a reason if it proves no identity or its key is not ECDSA P-256.</summary>
    public static CertificateChain? Verify(byte[] encoded, IPeerVerifier verifier, DateTimeOffset now, out string? refusal)
    {
        if (!EncodedChain.TryDecode(encoded, out var derChain))
        {
            refusal = "The chain is malformed.";
            return null;
        }
        // Whoever uses the chain asks for revocations at each use.
        var proof = verifier.VerifyWithoutRevocations(derChain, now);
        refusal = proof.Refusal;
        if (proof.Id is null) return null;
        var point = PublicPoint(derChain[0]);
        if (point is not null) return new CertificateChain(CertificateHash.Of(encoded), encoded, proof, point);
        refusal = "The key is not ECDSA P-256.";
        return null;
    }

    /// <summary>Checks a P-256 signature over a SHA-256 hash.</summary>
    public bool Verifies(ReadOnlySpan<byte> hash, ReadOnlySpan<byte> signature)
    {
        // The point is kept as bytes: 10 000 native key handles would cost more than importing one again costs.
        var parameters = new ECParameters
        {
            Curve = ECCurve.NamedCurves.nistP256,
            Q = new ECPoint { X = publicPoint[..CoordinateBytes], Y = publicPoint[CoordinateBytes..] },
        };
        try
        {
            using var key = ECDsa.Create(parameters);
            return key.VerifyHash(hash, signature, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    /// <summary>
    /// The point of a P-256 key in a certificate that has been verified (RFC 5280 §4.1, RFC 5480 §2). Loading the certificate once more for it
    /// would cost as much as verifying a signature, 10 000 times at start.
    /// </summary>
    private static byte[]? PublicPoint(byte[] leaf)
    {
        try
        {
            var certificate = new AsnReader(leaf, AsnEncodingRules.DER).ReadSequence().ReadSequence();
            if (certificate.PeekTag().HasSameClassAndValue(new Asn1Tag(TagClass.ContextSpecific, 0))) certificate.ReadEncodedValue();
            for (var field = 0; field < FieldsBeforeKey; field++) certificate.ReadEncodedValue();
            var key = certificate.ReadSequence();
            var algorithm = key.ReadSequence();
            if (algorithm.ReadObjectIdentifier() != EcPublicKey || algorithm.ReadObjectIdentifier() != ECCurve.NamedCurves.nistP256.Oid.Value) return null;
            var point = key.ReadBitString(out _);
            return point.Length == 1 + (2 * CoordinateBytes) && point[0] == UncompressedPoint ? point[1..] : null;
        }
        catch (AsnContentException)
        {
            return null;
        }
    }
}
