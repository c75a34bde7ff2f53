using System.Diagnostics.CodeAnalysis;
using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities;

/// <summary>The rules of X.509-SVID §4 and §5 for one certificate; answers are refusals in words, or null.</summary>
internal static class CertificateRules
{
    public const string ServerAuth = "1.3.6.1.5.5.7.3.1";
    public const string ClientAuth = "1.3.6.1.5.5.7.3.2";
    private const string SubjectAlternativeName = "2.5.29.17";
    private const string Scheme = "spiffe://";

    // GeneralName ::= CHOICE { … uniformResourceIdentifier [6] IA5String … } (RFC 5280 §4.2.1.6)
    private static readonly Asn1Tag UriTag = new(TagClass.ContextSpecific, 6);

    // dNSName [2] IA5String
    private static readonly Asn1Tag DnsTag = new(TagClass.ContextSpecific, 2);

    /// <summary>A leaf: exactly one URI SAN, a SPIFFE ID of the cluster; no CA; signs handshakes, not certificates.</summary>
    public static string? LeafProblem(X509Certificate2 leaf, string cluster, out SpiffeId? id)
    {
        id = null;
        if (!TryReadUris(leaf, out var uris)) return "its subject alternative name is malformed";
        if (uris.Count == 0) return "it has no URI in its subject alternative name, so it proves no identity";
        if (uris.Count > 1) return $"it has {uris.Count} URIs in its subject alternative name; an SVID has exactly one";
        if (!SpiffeId.TryParse(uris[0], out var parsed, out var error)) return $"its identity is not usable: {error}";
        if (parsed.Cluster != cluster) return $"it is of cluster '{parsed.Cluster}', not of '{cluster}'";
        foreach (var extension in leaf.Extensions)
        {
            switch (extension)
            {
                case X509BasicConstraintsExtension { CertificateAuthority: true }:
                    return "it is a certificate authority, and an authority cannot be a peer";
                case X509EnhancedKeyUsageExtension usages when !Has(usages, ServerAuth) || !Has(usages, ClientAuth):
                    return "its extended key usage lacks serverAuth or clientAuth";
            }
        }
        if (leaf.Extensions.OfType<X509KeyUsageExtension>().FirstOrDefault() is not { } usage) return "it has no key usage extension";
        if (!usage.KeyUsages.HasFlag(X509KeyUsageFlags.DigitalSignature)) return "its key usage lacks digitalSignature";
        if ((usage.KeyUsages & (X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign)) != 0)
        {
            return "its key usage allows signing certificates, which a leaf must not";
        }
        if (AlgorithmProblem(leaf) is { } algorithm) return algorithm;
        id = parsed;
        return null;
    }

    /// <summary>A root or intermediate: a CA that may sign certificates; a SPIFFE ID, if it has one, is the bare trust domain.</summary>
    public static string? SignerProblem(X509Certificate2 signer, string cluster)
    {
        if (signer.Extensions.OfType<X509BasicConstraintsExtension>().FirstOrDefault() is not { CertificateAuthority: true })
        {
            return "it is not a certificate authority (CA:TRUE)";
        }
        if (signer.Extensions.OfType<X509KeyUsageExtension>().FirstOrDefault() is not { } usage
            || !usage.KeyUsages.HasFlag(X509KeyUsageFlags.KeyCertSign))
        {
            return "its key usage lacks keyCertSign";
        }
        if (!TryReadUris(signer, out var uris)) return "its subject alternative name is malformed";
        if (uris.Count > 1) return "it has more than one URI in its subject alternative name";
        if (uris.Count == 1 && uris[0] != Scheme + cluster)
        {
            return $"its URI is '{uris[0]}', not {Scheme}{cluster}: an authority names its trust domain and no path";
        }
        return AlgorithmProblem(signer);
    }

    /// <summary>The authority of a node: a signer that names its trust domain and one node, and signs nothing but leaves.</summary>
    public static string? NodeAuthorityProblem(X509Certificate2 signer, string cluster, out string? node)
    {
        node = null;
        if (SignerProblem(signer, cluster) is { } problem) return problem;
        if (!TryReadUris(signer, out var uris) || uris.Count != 1) return $"it does not name its trust domain {Scheme}{cluster}";
        if (signer.Extensions.OfType<X509BasicConstraintsExtension>().First() is not { HasPathLengthConstraint: true, PathLengthConstraint: 0 })
        {
            return "its pathLen is not 0, so it could make other authorities";
        }
        return NodeExtension.TryRead(signer, cluster, out node, out var unnamed) ? null : unnamed;
    }

    /// <summary>The one SPIFFE ID of a leaf, of whatever cluster.</summary>
    public static bool TryReadSpiffeId(X509Certificate2 leaf, [NotNullWhen(true)] out SpiffeId? id, [NotNullWhen(false)] out string? error)
    {
        id = null;
        error = "the certificate does not have exactly one URI in its subject alternative name";
        return TryReadUris(leaf, out var uris) && uris.Count == 1 && SpiffeId.TryParse(uris[0], out id, out error);
    }

    /// <summary>The trust domain that a root names.</summary>
    public static bool TryReadTrustDomain(X509Certificate2 root, [NotNullWhen(true)] out string? cluster)
    {
        cluster = null;
        if (!TryReadUris(root, out var uris) || uris.Count != 1 || !uris[0].StartsWith(Scheme, StringComparison.Ordinal)) return false;
        var domain = uris[0][Scheme.Length..];
        if (!SpiffeId.TryParse($"{Scheme}{domain}/node/x", out _, out _)) return false;
        cluster = domain;
        return true;
    }

    /// <summary>Written octet by octet: a general URI type would append a path to a bare trust domain.</summary>
    public static X509Extension AlternativeNames(IEnumerable<string> uris, string? dnsName)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            foreach (var uri in uris) writer.WriteCharacterString(UniversalTagNumber.IA5String, uri, UriTag);
            if (dnsName is not null) writer.WriteCharacterString(UniversalTagNumber.IA5String, dnsName, DnsTag);
        }
        return new X509Extension(SubjectAlternativeName, writer.Encode(), critical: false);
    }

    private static bool Has(X509EnhancedKeyUsageExtension usages, string oid) =>
        usages.EnhancedKeyUsages.Cast<Oid>().Any(usage => usage.Value == oid);

    // ECDSA with SHA-2 on P-256 or P-384, and nothing else, so that no old algorithm needs thought.
    private static string? AlgorithmProblem(X509Certificate2 certificate)
    {
        if (certificate.SignatureAlgorithm.Value is not ("1.2.840.10045.4.3.2" or "1.2.840.10045.4.3.3" or "1.2.840.10045.4.3.4"))
        {
            return "it is not signed by ECDSA with SHA-2";
        }
        if (certificate.PublicKey.Oid.Value != "1.2.840.10045.2.1") return "its key is not an elliptic curve key";
        ReadOnlySpan<byte> curve = certificate.PublicKey.EncodedParameters?.RawData;
        return curve.SequenceEqual(P256) || curve.SequenceEqual(P384) ? null : "its key is not on curve P-256 or P-384";
    }

    // DER of the named curves' object identifiers (RFC 5480 §2.1.1.1).
    private static ReadOnlySpan<byte> P256 => [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];

    private static ReadOnlySpan<byte> P384 => [0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22];

    private static bool TryReadUris(X509Certificate2 certificate, out IReadOnlyList<string> uris)
    {
        var found = new List<string>();
        uris = found;
        var extensions = 0;
        foreach (var extension in certificate.Extensions)
        {
            if (extension.Oid?.Value != SubjectAlternativeName) continue;
            if (++extensions > 1) return false;
            try
            {
                var names = new AsnReader(extension.RawData, AsnEncodingRules.DER);
                var sequence = names.ReadSequence();
                names.ThrowIfNotEmpty();
                while (sequence.HasData)
                {
                    if (sequence.PeekTag().HasSameClassAndValue(UriTag)) found.Add(sequence.ReadCharacterString(UniversalTagNumber.IA5String, UriTag));
                    else sequence.ReadEncodedValue();
                }
            }
            catch (AsnContentException)
            {
                return false;
            }
        }
        return true;
    }
}
