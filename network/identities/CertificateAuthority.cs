using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities;

/// <summary>
/// The operator's root: a self-signed ECDSA P-256 certificate that names the trust domain <c>spiffe://&lt;cluster&gt;</c>, and its key.
/// Issues X.509-SVIDs. Thread-safe.
/// </summary>
public sealed class CertificateAuthority : IDisposable
{
    /// <summary>Life of a root unless told otherwise.</summary>
    public static readonly TimeSpan DefaultRootLifetime = TimeSpan.FromDays(3650);

    /// <summary>Life of an SVID unless told otherwise.</summary>
    public static readonly TimeSpan DefaultLifetime = TimeSpan.FromHours(24);

    /// <summary>
    /// How far NotBefore lies in the past, so that a verifier whose clock is behind accepts a fresh SVID; see docs/protocols/identities.md.
    /// </summary>
    public static readonly TimeSpan Backdating = TimeSpan.FromMinutes(1);

    // A root cannot be issued again: every node trusts this one.
    private const string Restore = "restore it from your copy of the operator's folder";

    private CertificateAuthority(X509Certificate2 root, string cluster)
    {
        Root = root;
        Cluster = cluster;
    }

    /// <summary>The root certificate with its private key.</summary>
    public X509Certificate2 Root { get; }

    /// <summary>The trust domain.</summary>
    public string Cluster { get; }

    public ClusterIdentity ClusterIdentity => ClusterIdentity.Of(Cluster, Root);

    /// <summary>Makes a new root.</summary>
    /// <exception cref="FormatException">The cluster's name is not a DNS label.</exception>
    public static CertificateAuthority Create(string cluster, DateTimeOffset now, TimeSpan? lifetime = null)
    {
        SpiffeId.Of(cluster, IdentityKind.Operator, "root");
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(SubjectName($"{cluster} root"), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(
            new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        request.CertificateExtensions.Add(CertificateRules.AlternativeNames([$"spiffe://{cluster}"], null));
        return new CertificateAuthority(request.CreateSelfSigned(now - Backdating, now + (lifetime ?? DefaultRootLifetime)), cluster);
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <exception cref="IdentityException">A file is missing, readable by others, or no root; the message names it and the remedy.</exception>
    public static CertificateAuthority Load(string certificateFile, string keyFile)
    {
        var root = TrustBundle.Parse(SvidFiles.ReadText(certificateFile, "root certificate", TrustBundle.MaxFileBytes, Restore), certificateFile).Roots[0];
        using var key = ReadKey(keyFile, certificateFile, root);
        CertificateRules.TryReadTrustDomain(root, out var cluster);
        return new CertificateAuthority(root.CopyWithPrivateKey(key), cluster!);
    }

    /// <summary>Writes the root as PEM, and its key as PKCS#8 PEM with mode 0600.</summary>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public void Save(string certificateFile, string keyFile)
    {
        using var key = Root.GetECDsaPrivateKey()!;
        AtomicFile.Write(keyFile, key.ExportPkcs8PrivateKeyPem() + "\n", AtomicFile.OwnerOnly);
        AtomicFile.Write(certificateFile, Root.ExportCertificatePem() + "\n", AtomicFile.EveryoneReads);
    }

    /// <summary>Can it issue anything now?</summary>
    /// <exception cref="IdentityException">Its time has not come, or is over; the message names the dates.</exception>
    public void RequireValid(DateTimeOffset now)
    {
        var (from, until) = (Utc(Root.NotBefore), Utc(Root.NotAfter));
        // Its NotBefore is backdated, so a clock before it is wrong, or was wrong when the root was made.
        if (now < from) throw new IdentityException($"The root of '{Cluster}' is valid from {from:u} on, and the clock of this machine says {now:u}; set the clock.");
        if (now >= until) throw new IdentityException($"The root of '{Cluster}' has expired on {until:u}, and the clock of this machine says {now:u}; if the clock is right, make a new cluster.");
    }

    /// <summary>Makes a key pair and issues its SVID.</summary>
    /// <exception cref="ArgumentException">The identity is of another cluster, or the lifetime is not positive.</exception>
    /// <exception cref="IdentityException">The root is not valid now; the message names the dates.</exception>
    public X509Svid Issue(SpiffeId id, TimeSpan lifetime, DateTimeOffset now)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var leaf = Sign(id, new PublicKey(key), lifetime, now);
        return new X509Svid(id, leaf.CopyWithPrivateKey(key), []);
    }

    /// <summary>
    /// Issues an SVID for the key of a PKCS#10 request (RFC 2986), DER. Only the key is taken from it; names and extensions that it asks for
    /// are ignored. The request's signature proves possession of the key.
    /// </summary>
    /// <exception cref="IdentityException">The request is malformed, not signed by its key, or its key is not ECDSA P-256; or the root is not valid now.</exception>
    /// <exception cref="ArgumentException">The identity is of another cluster, or the lifetime is not positive.</exception>
    public X509Certificate2 IssueFromRequest(SpiffeId id, ReadOnlySpan<byte> request, TimeSpan lifetime, DateTimeOffset now)
    {
        PublicKey key;
        try
        {
            key = CertificateRequest.LoadSigningRequest(request, HashAlgorithmName.SHA256, out var consumed).PublicKey;
            if (consumed != request.Length) throw new CryptographicException("bytes follow the request");
            using var ecdsa = key.GetECDsaPublicKey() ?? throw new CryptographicException("its key is not ECDSA");
            if (ecdsa.ExportParameters(false).Curve.Oid.Value != ECCurve.NamedCurves.nistP256.Oid.Value)
            {
                throw new CryptographicException("its key is not on curve P-256");
            }
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or FormatException or NotSupportedException)
        {
            throw new IdentityException($"The certificate request for {id} is not usable: {e.Message}. Make one with an ECDSA P-256 key.", e);
        }
        return Sign(id, key, lifetime, now);
    }

    public void Dispose() => Root.Dispose();

    private static ECDsa ReadKey(string keyFile, string certificateFile, X509Certificate2 root)
    {
        try
        {
            return SvidFiles.ReadKey(keyFile, root, Restore);
        }
        catch (SvidFiles.KeyMismatchException)
        {
            throw new IdentityException($"{keyFile}: this is not the key of {certificateFile}; restore both from the same copy of the operator's folder.");
        }
    }

    private X509Certificate2 Sign(SpiffeId id, PublicKey key, TimeSpan lifetime, DateTimeOffset now)
    {
        if (id.Cluster != Cluster) throw new ArgumentException($"The root of '{Cluster}' issues nothing for {id}.", nameof(id));
        if (lifetime <= TimeSpan.Zero) throw new ArgumentException($"A lifetime of {lifetime} is not positive.", nameof(lifetime));
        RequireValid(now);
        var request = new CertificateRequest(SubjectName(id.Path), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(
            [new Oid(CertificateRules.ServerAuth), new Oid(CertificateRules.ClientAuth)], false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(Root, true, false));
        request.CertificateExtensions.Add(CertificateRules.AlternativeNames([id.ToString()], MeshName.ToSni(id)));
        var serial = new byte[16];
        RandomNumberGenerator.Fill(serial);
        serial[0] = (byte)((serial[0] & 0x7F) | 0x40); // positive, and of one length (RFC 5280 §4.1.2.2)
        // An SVID does not outlive its issuer, and does not begin before it.
        var from = Later(now - Backdating, Utc(Root.NotBefore));
        var until = Earlier(now + lifetime, Utc(Root.NotAfter));
        return request.Create(Root, from, until, serial);
    }

    private static X500DistinguishedName SubjectName(string commonName)
    {
        var subject = new X500DistinguishedNameBuilder();
        subject.AddOrganizationName("Florete");
        // ub-common-name is 64 (RFC 5280 appendix A.1); the name that counts is the URI.
        subject.AddCommonName(commonName.Length <= 64 ? commonName : commonName[..64]);
        return subject.Build();
    }

    private static DateTimeOffset Utc(DateTime time) => new(time.ToUniversalTime(), TimeSpan.Zero);

    private static DateTimeOffset Later(DateTimeOffset a, DateTimeOffset b) => a > b ? a : b;

    private static DateTimeOffset Earlier(DateTimeOffset a, DateTimeOffset b) => a < b ? a : b;
}
