using Florete.Identities;

namespace Florete.Identity;

/// <summary>What the identity service of a node is set to. Everything else has its place in the node's folder.</summary>
public sealed record IdentityOptions
{
    /// <summary>Verifiers forgive two minutes, and flor looks at its files every second: below this, renewal is a race.</summary>
    public static readonly TimeSpan LeastSvidLifetime = TimeSpan.FromSeconds(10);

    /// <summary>The node's folder: <c>node-ca.*</c>, <c>identities/</c>, <c>bundle.pem</c>, <c>bounds.signed</c>, <c>state/</c>.</summary>
    public required string Folder { get; init; }

    /// <summary>Life of the SVIDs that this node issues; renewed at half of it.</summary>
    public TimeSpan SvidLifetime { get; init; } = CertificateAuthority.DefaultLifetime;

    /// <summary>Life of the node authorities that this node issues, if it is the issuer.</summary>
    public TimeSpan AuthorityLifetime { get; init; } = NodeAuthority.DefaultLifetime;

    public string IdentitiesFolder => Path.Combine(Folder, "identities");

    public string BundleFile => Path.Combine(Folder, "bundle.pem");

    public string BoundsFile => Path.Combine(Folder, "bounds.signed");

    /// <summary>flor's control socket, whose events go into the audit trail.</summary>
    public string ControlSocket { get; init; } = "run/flor.sock";

    public string StateFolder => Path.Combine(Folder, "state", "identity");

    /// <summary>Holds the root and its key, where this node issues (florctl issuer enable).</summary>
    public string IssuerFolder => Path.Combine(StateFolder, "issuer");

    /// <exception cref="ArgumentException">Names the option out of range and its range.</exception>
    public void Validate()
    {
        if (!Directory.Exists(Folder)) throw new ArgumentException($"{Folder}: there is no such folder; name the folder of the node with --folder.");
        if (SvidLifetime < LeastSvidLifetime || SvidLifetime > TimeSpan.FromDays(90)) throw new ArgumentException($"An SVID's life of {SvidLifetime} is out of range; allowed: 10s to 90d (--svid-life).");
        if (AuthorityLifetime < TimeSpan.FromMinutes(1) || AuthorityLifetime > TimeSpan.FromDays(400)) throw new ArgumentException($"An authority's life of {AuthorityLifetime} is out of range; allowed: 1m to 400d (--authority-life).");
    }
}
