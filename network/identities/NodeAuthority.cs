using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities;

/// <summary>
/// A node's own authority: an intermediate below the root with its key, which never leaves the node. It issues the SVIDs of what lives on the node,
/// cut off or not; verifiers believe it only what the bounds let its node hold. Thread-safe.
/// </summary>
public sealed class NodeAuthority : IDisposable
{
    /// <summary>Life of a node authority unless told otherwise: a node may be away so long and join again by itself.</summary>
    public static readonly TimeSpan DefaultLifetime = TimeSpan.FromDays(30);

    private const string CertificateFile = "node-ca.pem";
    private const string KeyFile = "node-ca.key";
    private const string Remedy = "let the node join again with a new token";

    private NodeAuthority(X509Certificate2 certificate, SpiffeId node) => (Certificate, Node) = (certificate, node);

    /// <summary>The intermediate with its private key.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary><c>node/&lt;name&gt;</c>: whose authority it is.</summary>
    public SpiffeId Node { get; }

    public string Cluster => Node.Cluster;

    public DateTimeOffset NotBefore => Issuance.Utc(Certificate.NotBefore);

    public DateTimeOffset NotAfter => Issuance.Utc(Certificate.NotAfter);

    public static string CertificatePath(string folder) => Path.Combine(folder, CertificateFile);

    public static string KeyPath(string folder) => Path.Combine(folder, KeyFile);

    /// <summary>A certificate of an authority with the key that was made for it.</summary>
    /// <exception cref="IdentityException">It is not the certificate of a node's authority, or of another key.</exception>
    public static NodeAuthority Of(X509Certificate2 certificate, ECDsa key)
    {
        var node = ReadNode(certificate, "The certificate");
        using var wanted = certificate.GetECDsaPublicKey();
        if (wanted is null || !wanted.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(key.ExportSubjectPublicKeyInfo()))
        {
            throw new IdentityException($"The certificate for the authority of {node} was made for another key; {Remedy}.");
        }
        using var bare = X509CertificateLoader.LoadCertificate(certificate.RawData);
        return new NodeAuthority(bare.CopyWithPrivateKey(key), node);
    }

    /// <summary>Reads what <see cref="Save"/> wrote; whether a root of the cluster signed it shows when a peer verifies.</summary>
    /// <exception cref="IdentityException">A file is missing, readable by others, or of something else; the message names it and the remedy.</exception>
    public static NodeAuthority Load(string folder)
    {
        var file = CertificatePath(folder);
        return SvidFiles.ReadPair(file, Remedy, (chain, key) =>
        {
            if (chain.Count != 1) throw new IdentityException($"{file}: it has {chain.Count} certificates, and an authority is one; {Remedy}.");
            return new NodeAuthority(chain[0].CopyWithPrivateKey(key), ReadNode(chain[0], file));
        });
    }

    /// <summary>Writes <c>node-ca.pem</c> and <c>node-ca.key</c> (PKCS#8, 0600), replacing a pair so that at every moment one is usable.</summary>
    /// <exception cref="IOException">A file cannot be written; the old pair is still usable.</exception>
    public void Save(string folder)
    {
        using var key = Certificate.GetECDsaPrivateKey()!;
        SvidFiles.WritePair(CertificatePath(folder), Certificate.ExportCertificatePem() + "\n", key);
    }

    /// <summary>Makes a key pair and issues its SVID, which ends with this authority at the latest.</summary>
    /// <exception cref="ArgumentException">The lifetime is not positive.</exception>
    /// <exception cref="IdentityException">Not this node's to issue, or the authority is not valid now.</exception>
    public X509Svid Issue(SpiffeId id, TimeSpan lifetime, DateTimeOffset now)
    {
        if (MayIssue(Node.Name, id, null) is { IsAllowed: false } refused) throw new IdentityException(refused.Refusal!);
        if (id.Cluster != Cluster) throw new IdentityException($"The authority of {Node} issues nothing for {id} of another cluster.");
        if (now < NotBefore || now >= NotAfter)
        {
            throw new IdentityException(
                $"The authority of {Node} is valid from {NotBefore:u} to {NotAfter:u}, and the clock of this machine says {now:u}; set the clock, or {Remedy}.");
        }
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var leaf = Issuance.Leaf(Certificate, id, new PublicKey(key), lifetime, now);
        // The copy that travels carries no key.
        return new X509Svid(id, leaf.CopyWithPrivateKey(key), [X509CertificateLoader.LoadCertificate(Certificate.RawData)]);
    }

    /// <summary>
    /// May a node's authority issue the identity? A node's own vertex and node identity, and what the bounds let the node hold. Nobody issues
    /// operators but the root.
    /// </summary>
    /// <param name="node">The node's name.</param>
    /// <param name="id">What was issued, of the same cluster.</param>
    /// <param name="mayHost">The bounds of now; null: asked elsewhere.</param>
    public static Verdict MayIssue(string node, SpiffeId id, IBounds? mayHost)
    {
        switch (id.Kind)
        {
            case IdentityKind.Operator:
                return Verdict.Refused($"Node {node} cannot issue {id.Path}: only the root issues operators.");
            case IdentityKind.Vertex or IdentityKind.Node:
                return id.Name == node ? Verdict.Allowed : Verdict.Refused($"Node {node} cannot issue {id.Path} of another node.");
            default:
                return mayHost?.MayHost(SpiffeId.Of(id.Cluster, IdentityKind.Vertex, node), id) ?? Verdict.Allowed;
        }
    }

    public void Dispose() => Certificate.Dispose();

    private static SpiffeId ReadNode(X509Certificate2 certificate, string source)
    {
        if (!CertificateRules.TryReadTrustDomain(certificate, out var cluster))
        {
            throw new IdentityException($"{source}: it is no authority of a node: it does not name a cluster; {Remedy}.");
        }
        if (CertificateRules.NodeAuthorityProblem(certificate, cluster, out var node) is { } problem)
        {
            throw new IdentityException($"{source}: it is no authority of a node: {problem}; {Remedy}.");
        }
        return SpiffeId.Of(cluster, IdentityKind.Node, node!);
    }
}
