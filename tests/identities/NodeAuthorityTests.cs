using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities.Tests;

/// <summary>What a node issues is believed as far as the bounds let the node hold it.</summary>
public class NodeAuthorityTests
{
    private static readonly SpiffeId Vertex = SpiffeId.Parse("spiffe://home/vertex/a");

    [Fact]
    public void Openssl_verifies_what_a_node_issues_and_shows_the_rules_kept()
    {
        using var folder = new TemporaryFolder();
        using var root = CertificateAuthority.Create("home", DateTimeOffset.UtcNow);
        root.Save(folder.File("root.pem"), folder.File("root.key"));
        root.IssueNodeAuthority("a", NodeAuthority.DefaultLifetime, DateTimeOffset.UtcNow).Save(folder.Path);
        using var node = NodeAuthority.Load(folder.Path);
        Assert.Equal("spiffe://home/node/a", node.Node.ToString());
        SvidFiles.Write(folder.Path, node.Issue(Pki.Hello, TimeSpan.FromHours(1), DateTimeOffset.UtcNow));
        var leaf = folder.File("service-hello.pem");

        Assert.Equal(
            (0, $"{leaf}: OK\n"),
            Pki.Run("openssl", "verify", "-x509_strict", "-CAfile", folder.File("root.pem"), "-untrusted", folder.File("node-ca.pem"), leaf));
        // The chain that the node sends suffices.
        Assert.Equal(0, Pki.Run("openssl", "verify", "-x509_strict", "-CAfile", folder.File("root.pem"), "-untrusted", leaf, leaf).Code);
        var text = Pki.Run("openssl", "x509", "-noout", "-text", "-in", folder.File("node-ca.pem")).Output;
        Assert.Contains("CA:TRUE, pathlen:0", text, StringComparison.Ordinal);
        Assert.Contains("URI:spiffe://home\n", text, StringComparison.Ordinal);
        Assert.Contains("Certificate Sign\n", text, StringComparison.Ordinal);
        Assert.Contains($"{NodeExtension.ObjectId}: \n", text, StringComparison.Ordinal);
        Assert.Equal(AtomicFile.OwnerOnly, File.GetUnixFileMode(folder.File("node-ca.key")));
    }

    [Fact]
    public void The_bounds_of_now_decide_what_a_node_may_issue()
    {
        using var root = Pki.Authority();
        using var node = root.IssueNodeAuthority("a", TimeSpan.FromDays(30), Pki.Now);
        var bounds = new Bounds(Document(1, "a", "service/hello"));
        var verifier = new PeerVerifier(TrustBundle.Of(root.Root), bounds);
        var chain = Pki.Chain(node.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now));

        var proof = verifier.Verify(chain, Pki.Now);
        Assert.Equal(new PeerVerification(Pki.Hello, Pki.Now.AddHours(1), null, "a"), proof with { NotBefore = default, IssuerNotBefore = default });
        Assert.True(proof.StillAllowed(bounds).IsAllowed);

        bounds.Replace(Document(2, "b", "service/hello"));
        Assert.Contains("was issued by node a, and that is not allowed", verifier.Verify(chain, Pki.Now).Refusal, StringComparison.Ordinal);
        Assert.Contains("under hosts", proof.StillAllowed(bounds).Refusal, StringComparison.Ordinal);

        bounds.Replace(Document(3, "a", "service/hello"));
        Assert.Null(verifier.Verify(chain, Pki.Now).Refusal);

        // What the root itself issued needs no node's right.
        bounds.Replace(Document(4, "b", "service/hello"));
        Assert.Null(verifier.Verify(Pki.Chain(root.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now)), Pki.Now).Refusal);
    }

    [Fact]
    public void Without_bounds_a_node_is_believed_about_itself_alone()
    {
        using var root = Pki.Authority();
        using var node = root.IssueNodeAuthority("a", TimeSpan.FromDays(30), Pki.Now);
        PeerVerification Verify(SpiffeId id) => root.Verifier().Verify(Pki.Chain(node.Issue(id, TimeSpan.FromHours(1), Pki.Now)), Pki.Now);
        Assert.Equal(Vertex, Verify(Vertex).Id);
        Assert.Equal(node.Node, Verify(node.Node).Id);
        Assert.Contains("no bounds are known", Verify(Pki.Hello).Refusal, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("operator/root", "only the root issues operators")]
    [InlineData("vertex/b", "of another node")]
    [InlineData("node/b", "of another node")]
    public void No_bounds_let_a_node_issue_an_operator_or_another_node(string path, string why)
    {
        using var root = Pki.Authority();
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var node = Pki.Intermediate(root.Root, key);
        var verifier = new PeerVerifier(TrustBundle.Of(root.Root), new Everything());
        var id = SpiffeId.Parse($"spiffe://home/{path}");
        Assert.Contains(why, verifier.Verify([Pki.Leaf(node, [id.ToString()]), node.RawData], Pki.Now).Refusal, StringComparison.Ordinal);
        Assert.Contains(why, Assert.Throws<IdentityException>(() => NodeAuthority.Of(node, key).Issue(id, TimeSpan.FromHours(1), Pki.Now)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_authority_that_breaks_a_rule_is_refused_by_that_rule()
    {
        using var root = Pki.Authority();
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var below = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var verifier = new PeerVerifier(TrustBundle.Of(root.Root), new Everything());
        using var good = Pki.Intermediate(root.Root, key);
        Assert.Equal("a", verifier.Verify([Pki.Leaf(good), good.RawData], Pki.Now).IssuingNode);
        Assert.Contains("unknown authority", verifier.Verify([Pki.Leaf(good)], Pki.Now).Refusal, StringComparison.Ordinal);

        (X509Certificate2 Authority, string Part)[] cases =
        [
            (Pki.Intermediate(root.Root, key, nodes: []), "does not say which node"),
            (Pki.Intermediate(root.Root, key, nodes: ["a", "b"]), ""), // the platform may refuse the second extension before we do
            (Pki.Intermediate(root.Root, key, nodes: ["a/b"]), "is not a name"),
            (Pki.Intermediate(root.Root, key, nodes: [""]), "is not a name"),
            (Pki.Intermediate(root.Root, key, nodes: ["A"]), "is not a name"),
            (Pki.Intermediate(root.Root, key, pathLength: null), "its pathLen is not 0"),
            (Pki.Intermediate(root.Root, key, pathLength: 1), "its pathLen is not 0"),
            (Pki.Intermediate(root.Root, key, uri: null), "does not name its trust domain"),
            (Pki.Intermediate(root.Root, key, "spiffe://home/node/a"), "names its trust domain and no path"),
            (Pki.Intermediate(root.Root, key, "spiffe://office"), "spiffe://office"),
        ];
        foreach (var (authority, part) in cases)
        {
            var answer = verifier.Verify([Pki.Leaf(authority), authority.RawData], Pki.Now);
            Assert.Null(answer.Id);
            Assert.Contains(part, answer.Refusal, StringComparison.Ordinal);
            // Of another cluster it is well-formed; only a verifier knows which cluster is meant.
            if (part != "spiffe://office") Assert.Throws<IdentityException>(() => NodeAuthority.Of(authority, key));
            authority.Dispose();
        }

        // An authority that makes another: of the form that the root makes, and of one that would be allowed to.
        using var second = Pki.Intermediate(good, below, nodes: ["b"]);
        Assert.NotNull(verifier.Verify([Pki.Leaf(second), second.RawData, good.RawData], Pki.Now).Refusal);
        using var generous = Pki.Intermediate(root.Root, key, pathLength: null);
        using var third = Pki.Intermediate(generous, below, nodes: ["b"]);
        Assert.NotNull(verifier.Verify([Pki.Leaf(third), third.RawData, generous.RawData], Pki.Now).Refusal);
        // A leaf is no authority.
        using var leaf = root.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now).Leaf;
        Assert.NotNull(verifier.Verify([Pki.Leaf(leaf), leaf.RawData], Pki.Now).Refusal);
        // The root's own extension does not make it a node.
        Assert.Null(verifier.Verify([Pki.Leaf(root.Root)], Pki.Now).IssuingNode);
    }

    [Fact]
    public void A_leaf_ends_with_the_authority_that_issued_it()
    {
        using var root = Pki.Authority();
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var brief = Pki.Intermediate(root.Root, key, until: Pki.Now.AddMinutes(10));
        var verifier = new PeerVerifier(TrustBundle.Of(root.Root), new Everything());
        // Made by hand to live an hour: believed as long as the authority.
        byte[][] chain = [Pki.Leaf(brief), brief.RawData];
        Assert.Equal(Pki.Now.AddMinutes(10), verifier.Verify(chain, Pki.Now).NotAfter);
        Assert.Contains("has expired on", verifier.Verify(chain, Pki.Now.AddMinutes(13)).Refusal, StringComparison.Ordinal);

        using var node = NodeAuthority.Of(brief, key);
        Assert.Equal(Pki.Now.AddMinutes(10), node.Issue(Vertex, TimeSpan.FromHours(1), Pki.Now).NotAfter);
        Assert.Contains("join again", Assert.Throws<IdentityException>(() => node.Issue(Vertex, TimeSpan.FromHours(1), Pki.Now.AddMinutes(10))).Message, StringComparison.Ordinal);
        // Nor does the authority outlive the root.
        using var old = CertificateAuthority.Create("home", Pki.Now, TimeSpan.FromDays(2));
        using var last = old.IssueNodeAuthority("a", TimeSpan.FromDays(30), Pki.Now);
        Assert.Equal(Pki.Now.AddDays(2), last.NotAfter);
    }

    [Fact]
    public void A_request_gets_an_authority_with_the_name_that_the_root_chose()
    {
        using var root = Pki.Authority();
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=node/b", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(NodeExtension.Of("b"));
        using var made = NodeAuthority.Of(root.IssueNodeAuthority("a", request.CreateSigningRequest(), TimeSpan.FromDays(30), Pki.Now), key);
        Assert.Equal("a", made.Node.Name);
        Assert.Throws<IdentityException>(() => root.IssueNodeAuthority("a", [1, 2, 3], TimeSpan.FromDays(30), Pki.Now));
        Assert.Throws<FormatException>(() => root.IssueNodeAuthority("a/b", TimeSpan.FromDays(30), Pki.Now));
        using var other = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        Assert.Contains("another key", Assert.Throws<IdentityException>(() => NodeAuthority.Of(made.Certificate, other)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_renewed_authority_replaces_the_old_one_and_what_both_issued_is_believed()
    {
        using var folder = new TemporaryFolder();
        using var root = Pki.Authority();
        var verifier = root.Verifier();
        using var first = root.IssueNodeAuthority("a", TimeSpan.FromDays(30), Pki.Now);
        first.Save(folder.Path);
        using var second = root.IssueNodeAuthority("a", TimeSpan.FromDays(30), Pki.Now.AddDays(15));
        second.Save(folder.Path);
        using var read = NodeAuthority.Load(folder.Path);
        Assert.Equal(second.NotAfter, read.NotAfter);
        foreach (var authority in new[] { first, read })
        {
            Assert.Equal("a", verifier.Verify(Pki.Chain(authority.Issue(Vertex, TimeSpan.FromHours(1), Pki.Now.AddDays(15))), Pki.Now.AddDays(15)).IssuingNode);
        }
        File.SetUnixFileMode(folder.File("node-ca.key"), AtomicFile.EveryoneReads);
        Assert.Contains("chmod 600", Assert.Throws<IdentityException>(() => NodeAuthority.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    private static BoundsDocument Document(long version, string node, string identity)
    {
        Assert.True(BoundsDocument.TryParse(
            $"version: {version}\ncluster: home\nhosts:\n  - {{node: {node}, identities: [{identity}]}}\n", "bounds.yaml", out var bounds, out _));
        return bounds;
    }

    private sealed class Everything : IBounds
    {
        public event Action? Changed
        {
            add
            {
            }
            remove
            {
            }
        }

        public Verdict MayLink(SpiffeId vertex, SpiffeId neighbour) => Verdict.Allowed;

        public Verdict MayConnect(SpiffeId caller, SpiffeId target) => Verdict.Allowed;

        public Verdict MayHost(SpiffeId vertex, SpiffeId identity) => Verdict.Allowed;
    }
}
