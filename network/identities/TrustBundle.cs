using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities;

/// <summary>The root certificates of one cluster, from a PEM file. Immutable.</summary>
public sealed class TrustBundle
{
    /// <summary>Roots change one at a time; more than a handful at once is a mistake.</summary>
    public const int MaxRoots = 16;

    internal const int MaxFileBytes = 256 * 1024;

    private TrustBundle(string cluster, IReadOnlyList<X509Certificate2> roots)
    {
        Cluster = cluster;
        Roots = roots;
        ClusterIdentity = ClusterIdentity.Of(cluster, roots[0]);
    }

    /// <summary>The trust domain that all roots name.</summary>
    public string Cluster { get; }

    /// <summary>In the order of the file; the first gives the cluster its identity.</summary>
    public IReadOnlyList<X509Certificate2> Roots { get; }

    public ClusterIdentity ClusterIdentity { get; }

    /// <exception cref="IdentityException">The file is missing, too large, or holds anything but roots of one cluster.</exception>
    public static TrustBundle Load(string file) => Parse(SvidFiles.ReadText(file, "trust bundle", MaxFileBytes), file);

    /// <param name="pem">CERTIFICATE blocks; other text between them is ignored (RFC 7468 §2).</param>
    /// <param name="source">What to call it in errors: the file's name.</param>
    /// <exception cref="IdentityException">It holds anything but roots of one cluster.</exception>
    public static TrustBundle Parse(string pem, string source)
    {
        try
        {
            return Of(SvidFiles.ReadCertificates(pem, source), source);
        }
        catch (CryptographicException e)
        {
            // The platform parses certificates lazily: a malformed part may show at any access.
            throw new IdentityException($"{source}: a certificate in it is malformed; copy bundle.pem of the cluster there.", e);
        }
    }

    /// <exception cref="IdentityException">A certificate is no root of the cluster.</exception>
    public static TrustBundle Of(params IReadOnlyList<X509Certificate2> roots) => Of(roots, "trust bundle");

    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string file) =>
        AtomicFile.Write(file, string.Concat(Roots.Select(root => root.ExportCertificatePem() + "\n")), AtomicFile.EveryoneReads);

    private static TrustBundle Of(IReadOnlyList<X509Certificate2> roots, string source)
    {
        if (roots.Count == 0) throw new IdentityException($"{source}: there is no certificate in it; copy bundle.pem of the cluster there.");
        if (roots.Count > MaxRoots) throw new IdentityException($"{source}: it has {roots.Count} roots; at most {MaxRoots} are allowed.");
        string? cluster = null;
        for (var i = 0; i < roots.Count; i++)
        {
            if (!CertificateRules.TryReadTrustDomain(roots[i], out var domain))
            {
                throw new IdentityException($"{source}: certificate {i + 1} is no root of a cluster: it has no URI spiffe://<cluster>.");
            }
            cluster ??= domain;
            if (domain != cluster) throw new IdentityException($"{source}: it mixes roots of '{cluster}' and '{domain}'; keep one cluster's.");
            if (CertificateRules.SignerProblem(roots[i], cluster) is { } problem)
            {
                throw new IdentityException($"{source}: certificate {i + 1} is no root of a cluster: {problem}.");
            }
        }
        // Without private keys, whatever the caller's certificates carry.
        return new TrustBundle(cluster!, roots.Select(root => X509CertificateLoader.LoadCertificate(root.RawData)).ToArray());
    }
}
