using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Florete.Identities;
using Florete.Identity.Contracts;

namespace Florete.Identity.Tests;

/// <summary>A clock that stands until it is moved.</summary>
internal sealed class StillClock : TimeProvider
{
    public DateTimeOffset Now { get; set; } = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);

    public override DateTimeOffset GetUtcNow() => Now;
}

/// <summary>A cluster <c>home</c> with the folder of its node a, which is the issuer; all of it gone after the test.</summary>
internal sealed class Home : IDisposable
{
    public static readonly SpiffeId Relay = SpiffeId.Parse("spiffe://home/node/b");

    public Home(string rules = "")
    {
        Authority = CertificateAuthority.Create("home", Clock.Now);
        Options = new IdentityOptions { Folder = Directory.CreateTempSubdirectory("florete-identity-").FullName };
        Operator = Authority.Issue(SpiffeId.Of("home", IdentityKind.Operator, "root"), TimeSpan.FromDays(3650), Clock.Now);
        TrustBundle.Of(Authority.Root).Save(Options.BundleFile);
        Sign(1, rules);
        using var node = Authority.IssueNodeAuthority("a", TimeSpan.FromDays(30), Clock.Now);
        node.Save(Options.Folder);
        Directory.CreateDirectory(Options.IssuerFolder);
        Authority.Save(Path.Combine(Options.IssuerFolder, "root.pem"), Path.Combine(Options.IssuerFolder, "root.key"));
        Files = NodeFiles.Open(Options, Clock);
        Events = EventFile.Open(Options.StateFolder, Clock);
        Metrics = new IdentityMetrics(Clock);
        Issuer = OpenIssuer();
    }

    public StillClock Clock { get; } = new();

    public CertificateAuthority Authority { get; }

    public X509Svid Operator { get; }

    public IdentityOptions Options { get; }

    public NodeFiles Files { get; }

    public EventFile Events { get; }

    public IdentityMetrics Metrics { get; }

    public Issuer Issuer { get; private set; }

    public void Sign(int version, string rules) => File.WriteAllText(
        Options.BoundsFile, SignedBounds.Sign($"version: {version}\ncluster: home\n{rules}\n", "bounds.yaml", Operator));

    /// <summary>As after a restart.</summary>
    public void RestartIssuer()
    {
        Issuer.Dispose();
        Issuer = OpenIssuer();
    }

    public JoinToken Token(string node = "d", string issuer = "a", TimeSpan? life = null, X509Svid? signer = null) => JoinToken.Create(
        Authority.ClusterIdentity, issuer, node, [new JoinContact("b", "10.0.0.2:7431")], Clock.Now + (life ?? TimeSpan.FromHours(1)), signer ?? Operator);

    public JoinAnswer Join(JoinToken token, ECDsa key) => Issuer.Join(IdentityJson.Write(new JoinRequest(token.Text, Request(key))), Relay);

    public JoinRefusal Refused(Func<object> request)
    {
        var refused = Assert.Throws<JoinException>(request);
        Assert.NotEmpty(refused.Message);
        // Each refusal is an event.
        Assert.Contains(refused.Message[..Math.Min(refused.Message.Length, 100)], Events.After(0)[^1].Detail, StringComparison.Ordinal);
        return refused.Code;
    }

    public static byte[] Request(ECDsa key) => new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256).CreateSigningRequest();

    public static ECDsa Key() => ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public void Dispose()
    {
        Issuer.Dispose();
        Events.Dispose();
        Metrics.Dispose();
        Authority.Dispose();
        Directory.Delete(Options.Folder, recursive: true);
    }

    private Issuer OpenIssuer() => Issuer.Open(Options, "a", Files, Events, Clock)!;
}
