using Florete.Identities;
using SignedRevocation = Florete.Layers.SignedRevocation;

namespace Florete.Cli;

/// <summary>The operator's folder: the root and its key, the operator's SVID, the bundle, the bounds, and the nodes' folders.</summary>
public sealed class OperatorFolder : IDisposable
{
    private X509Svid? signer;

    private OperatorFolder(string path, CertificateAuthority authority)
    {
        Path = path;
        Authority = authority;
    }

    public string Path { get; }

    public CertificateAuthority Authority { get; }

    /// <summary>The SVID <c>operator/root</c> that signs bounds. Read when it is needed: identities are issued without it.</summary>
    /// <exception cref="IdentityException">It is missing or unusable.</exception>
    public X509Svid Signer => signer ??= SvidFiles.Read(SvidFiles.CertificatePath(System.IO.Path.Combine(Path, "operator"), SignerId(Cluster)));

    public string Cluster => Authority.Cluster;

    public string BundleFile => System.IO.Path.Combine(Path, "bundle.pem");

    public string BoundsFile => System.IO.Path.Combine(Path, "bounds.yaml");

    public string SignedBoundsFile => System.IO.Path.Combine(Path, "bounds.signed");

    public string NodesFolder => System.IO.Path.Combine(Path, "nodes");

    /// <summary>What was revoked from here, a signed revocation a file.</summary>
    public string RevocationsFolder => System.IO.Path.Combine(Path, "revocations");

    /// <summary>Makes the folder for a new cluster.</summary>
    /// <param name="path">The folder; what is in it already must not be of a cluster.</param>
    /// <param name="cluster">The cluster's name.</param>
    /// <param name="bounds">The text of the first bounds.</param>
    /// <exception cref="CliException">There is a cluster already.</exception>
    public static OperatorFolder Create(string path, string cluster, string bounds)
    {
        foreach (var name in new[] { "root.pem", "root.key", "operator", "bundle.pem", "bounds.yaml" })
        {
            var existing = System.IO.Path.Combine(path, name);
            if (File.Exists(existing) || Directory.Exists(existing))
            {
                throw new CliException($"{existing} exists already, and nothing is overwritten.", "Choose another folder with --dir.");
            }
        }
        var now = DateTimeOffset.UtcNow;
        Directory.CreateDirectory(path);
        using (var authority = CertificateAuthority.Create(cluster, now))
        {
            authority.Save(System.IO.Path.Combine(path, "root.pem"), System.IO.Path.Combine(path, "root.key"));
            TrustBundle.Of(authority.Root).Save(System.IO.Path.Combine(path, "bundle.pem"));
            // It lives as long as the root, beside which it lies: bounds are verified long after they were signed.
            SvidFiles.Write(System.IO.Path.Combine(path, "operator"), authority.Issue(SignerId(cluster), CertificateAuthority.DefaultRootLifetime, now));
        }
        AtomicFile.Write(System.IO.Path.Combine(path, "bounds.yaml"), bounds, AtomicFile.EveryoneReads);
        return Open(path);
    }

    /// <exception cref="CliException">There is no cluster in the folder, or its root is not the one of its bundle.</exception>
    /// <exception cref="IdentityException">A file in it is unusable.</exception>
    public static OperatorFolder Open(string path)
    {
        var (certificate, key) = (System.IO.Path.Combine(path, "root.pem"), System.IO.Path.Combine(path, "root.key"));
        if (!File.Exists(key))
        {
            throw new CliException(
                $"{System.IO.Path.GetFullPath(path)} is not an operator's folder: it has no root.key.",
                "Name the folder that 'florctl cluster init' made with --dir.");
        }
        var folder = new OperatorFolder(path, CertificateAuthority.Load(certificate, key));
        if (Trusts(folder.BundleFile, folder.Authority)) return folder;
        folder.Dispose();
        throw new CliException($"{certificate} is not among the roots of {folder.BundleFile}: nodes would not believe what it signs.", "Restore both from the same copy of the operator's folder.");
    }

    /// <summary>Does whoever has the bundle believe the root?</summary>
    /// <exception cref="IdentityException">The bundle is missing or unusable.</exception>
    public static bool Trusts(string bundleFile, CertificateAuthority authority) =>
        TrustBundle.Load(bundleFile).Roots.Any(root => root.RawDataMemory.Span.SequenceEqual(authority.Root.RawDataMemory.Span));

    /// <summary>
    /// Signs bounds.yaml and gives the result to the nodes whose folders lie here. Returns the files written.
    /// </summary>
    /// <exception cref="CliException">The version was signed before with another text, or a newer one was.</exception>
    /// <exception cref="IdentityException">The bounds have problems; the message lists all.</exception>
    public IReadOnlyList<string> SignBounds()
    {
        var envelope = Sign(BoundsFile, SignedBoundsFile);
        var written = new List<string> { SignedBoundsFile };
        written.AddRange(Directory.Exists(NodesFolder)
            ? Directory.GetDirectories(NodesFolder).Where(NodeFolder.IsMade).Order().Select(node => System.IO.Path.Combine(node, "bounds.signed"))
            : []);
        foreach (var file in written) AtomicFile.Write(file, envelope, AtomicFile.EveryoneReads);
        return written;
    }

    /// <summary>Signs a bounds file, unless <paramref name="previousFile"/> holds a newer version, or this one with another text.</summary>
    /// <exception cref="CliException">As said.</exception>
    /// <exception cref="IdentityException">The bounds have problems; the message lists all.</exception>
    public string Sign(string file, string previousFile)
    {
        var envelope = SignedBounds.Sign(ReadBounds(file), file, Signer);
        var verifier = new PeerVerifier(TrustBundle.Load(BundleFile));
        if (!SignedBounds.TryVerify(System.Text.Encoding.UTF8.GetBytes(envelope), file, verifier, DateTimeOffset.UtcNow, out var signed, out var refusal))
        {
            throw new IdentityException(refusal);
        }
        if (!File.Exists(previousFile)
            || !SignedBounds.TryVerify(File.ReadAllBytes(previousFile), previousFile, verifier, DateTimeOffset.UtcNow, out var previous, out _))
        {
            return envelope;
        }
        var (version, before) = (signed.Document.Version, previous.Document.Version);
        if (version < before || (version == before && signed.PayloadHash != previous.PayloadHash))
        {
            throw new CliException(
                version < before
                    ? $"{file} has version {version}, and version {before} is signed already: nodes would refuse the older one."
                    : $"{file} was changed, and version {version} is signed already: nodes would raise an alert.",
                $"Set 'version: {before + 1}' in it and sign again.");
        }
        return envelope;
    }

    /// <summary>What was revoked from here.</summary>
    public RevocationList ReadRevocations()
    {
        var list = new RevocationList();
        foreach (var file in Directory.Exists(RevocationsFolder) ? Directory.GetFiles(RevocationsFolder, "*.revocation") : [])
        {
            if (!SignedRevocation.TryRead(File.ReadAllBytes(file), out var read, out var problem)) throw new CliException($"{file}: {problem}", "Restore it from your copy of the operator's folder, or remove it.");
            list.Add(read.Content);
        }
        return list;
    }

    /// <summary>Keeps a revocation, in place of an earlier one of the identity; returns its file.</summary>
    public string Keep(SignedRevocation revocation)
    {
        Directory.CreateDirectory(RevocationsFolder);
        var subject = revocation.Content.Subject;
        var file = System.IO.Path.Combine(RevocationsFolder, $"{subject.Kind.Word()}-{subject.Name}.revocation");
        AtomicFile.Write(file, revocation.Message, AtomicFile.EveryoneReads);
        return file;
    }

    public static string ReadBounds(string file)
    {
        BoundsDocument.Load(file);
        return File.ReadAllText(file);
    }

    public void Dispose() => Authority.Dispose();

    private static SpiffeId SignerId(string cluster) => SpiffeId.Of(cluster, IdentityKind.Operator, "root");
}
