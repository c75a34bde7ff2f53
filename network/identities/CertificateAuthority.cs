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
        var request = new CertificateRequest(Issuance.SubjectName($"{cluster} root"), key, HashAlgorithmName.SHA256);
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
        var (from, until) = (Issuance.Utc(Root.NotBefore), Issuance.Utc(Root.NotAfter));
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
        return Sign(id, Issuance.ReadRequest(request, id), lifetime, now);
    }

    /// <summary>
    /// Issues the authority of a node (pathLen 0, the node named in an extension) for the key of a PKCS#10 request, DER; nothing else is taken from it.
    /// </summary>
    /// <param name="node">The node's name.</param>
    /// <param name="request">RFC 2986; its signature proves possession of the key.</param>
    /// <param name="lifetime">Cut to that of the root.</param>
    /// <param name="now">The time.</param>
    /// <exception cref="FormatException">The node's name is not one.</exception>
    /// <exception cref="IdentityException">The request is malformed, not signed by its key, or its key is not ECDSA P-256; or the root is not valid now.</exception>
    public X509Certificate2 IssueNodeAuthority(string node, ReadOnlySpan<byte> request, TimeSpan lifetime, DateTimeOffset now)
    {
        var id = SpiffeId.Of(Cluster, IdentityKind.Node, node);
        var key = Issuance.ReadRequest(request, id);
        RequireValid(now);
        return Issuance.NodeAuthority(Root, id, key, lifetime, now);
    }

    /// <summary>Makes a key pair and issues the authority of a node for it.</summary>
    /// <exception cref="FormatException">The node's name is not one.</exception>
    /// <exception cref="IdentityException">The root is not valid now; the message names the dates.</exception>
    public NodeAuthority IssueNodeAuthority(string node, TimeSpan lifetime, DateTimeOffset now)
    {
        var id = SpiffeId.Of(Cluster, IdentityKind.Node, node);
        RequireValid(now);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var made = Issuance.NodeAuthority(Root, id, new PublicKey(key), lifetime, now);
        return NodeAuthority.Of(made, key);
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
        RequireValid(now);
        return Issuance.Leaf(Root, id, key, lifetime, now);
    }
}
