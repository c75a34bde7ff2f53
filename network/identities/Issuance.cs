using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities;

/// <summary>How certificates are made here, whoever issues: roots and node authorities alike (docs/protocols/identities.md "Certificates").</summary>
internal static class Issuance
{
    /// <summary>An SVID's leaf for a key, which lies within the life of its issuer. The issuer has its private key, and is valid now.</summary>
    public static X509Certificate2 Leaf(X509Certificate2 issuer, SpiffeId id, PublicKey key, TimeSpan lifetime, DateTimeOffset now)
    {
        var request = new CertificateRequest(SubjectName(id.Path), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(
            [new Oid(CertificateRules.ServerAuth), new Oid(CertificateRules.ClientAuth)], false));
        request.CertificateExtensions.Add(CertificateRules.AlternativeNames([id.ToString()], MeshName.ToSni(id)));
        return Sign(request, issuer, lifetime, now);
    }

    /// <summary>The authority of a node for a key: signs leaves alone, and names the node. The root has its private key, and is valid now.</summary>
    public static X509Certificate2 NodeAuthority(X509Certificate2 root, SpiffeId node, PublicKey key, TimeSpan lifetime, DateTimeOffset now)
    {
        var request = new CertificateRequest(SubjectName($"{node.Path} authority"), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(key, false));
        request.CertificateExtensions.Add(CertificateRules.AlternativeNames([$"spiffe://{node.Cluster}"], null));
        request.CertificateExtensions.Add(NodeExtension.Of(node.Name));
        return Sign(request, root, lifetime, now);
    }

    /// <summary>
    /// The key of a PKCS#10 request (RFC 2986), DER. Nothing else is taken from it; its signature proves possession of the key.
    /// </summary>
    /// <exception cref="IdentityException">It is malformed, not signed by its key, or its key is not ECDSA P-256.</exception>
    public static PublicKey ReadRequest(ReadOnlySpan<byte> request, SpiffeId id)
    {
        try
        {
            var key = CertificateRequest.LoadSigningRequest(request, HashAlgorithmName.SHA256, out var consumed).PublicKey;
            if (consumed != request.Length) throw new CryptographicException("bytes follow the request");
            using var ecdsa = key.GetECDsaPublicKey() ?? throw new CryptographicException("its key is not ECDSA");
            if (ecdsa.ExportParameters(false).Curve.Oid.Value != ECCurve.NamedCurves.nistP256.Oid.Value)
            {
                throw new CryptographicException("its key is not on curve P-256");
            }
            return key;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or FormatException or NotSupportedException)
        {
            throw new IdentityException($"The certificate request for {id} is not usable: {e.Message}. Make one with an ECDSA P-256 key.", e);
        }
    }

    public static X500DistinguishedName SubjectName(string commonName)
    {
        var subject = new X500DistinguishedNameBuilder();
        subject.AddOrganizationName("Florete");
        // ub-common-name is 64 (RFC 5280 appendix A.1); the name that counts is the URI.
        subject.AddCommonName(commonName.Length <= 64 ? commonName : commonName[..64]);
        return subject.Build();
    }

    public static DateTimeOffset Utc(DateTime time) => new(time.ToUniversalTime(), TimeSpan.Zero);

    private static X509Certificate2 Sign(CertificateRequest request, X509Certificate2 issuer, TimeSpan lifetime, DateTimeOffset now)
    {
        if (lifetime <= TimeSpan.Zero) throw new ArgumentException($"A lifetime of {lifetime} is not positive.", nameof(lifetime));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(issuer, true, false));
        var serial = new byte[16];
        RandomNumberGenerator.Fill(serial);
        serial[0] = (byte)((serial[0] & 0x7F) | 0x40); // positive, and of one length (RFC 5280 §4.1.2.2)
        // Nothing outlives its issuer, or begins before it.
        var (first, last) = (Utc(issuer.NotBefore), Utc(issuer.NotAfter));
        var from = now - CertificateAuthority.Backdating;
        var until = now + lifetime;
        return request.Create(issuer, from > first ? from : first, until < last ? until : last, serial);
    }
}
