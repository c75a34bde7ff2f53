using System.Text.Json;
using Florete.Identities;

namespace Florete.Cli.Tests;

public sealed class FlorctlTests : FlorctlTest
{
    [Fact]
    public void A_cluster_of_two_nodes_is_made_and_what_flor_reads_is_all_there()
    {
        Run(0, "cluster", "init", "home");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(At("home/root.key")));
        Run(0, "node", "add", "a", "--dir", "home", "--listen", "10.0.1.1:7431", "--proxy", "127.0.0.1:1080=user/alice", "--allow");
        Run(0, "node", "add", "b", "--dir", "home", "--link", "a=10.0.1.1:7431", "--outbound", "hello=127.0.0.1:8080", "--allow");

        var bundle = TrustBundle.Load(At("home/nodes/b/bundle.pem"));
        Assert.Equal("home", bundle.Cluster);
        var held = IdentityFolder.Open(At("home/nodes/b/identities")).Identities.Select(identity => identity.Id.Path);
        Assert.Equal(["node/b", "service/hello", "vertex/b"], held.Order());
        using var authority = NodeAuthority.Load(At("home/nodes/b"));
        Assert.Equal("b", authority.Node.Name);
        Assert.Equal((0, $"{At("home/nodes/b/identities/vertex-b.pem")}: OK"), Openssl("verify", "-CAfile", At("home/bundle.pem"), "-untrusted", At("home/nodes/b/node-ca.pem"), At("home/nodes/b/identities/vertex-b.pem")));

        // The first node, added before the second, got the newer bounds as well.
        foreach (var node in new[] { "a", "b" })
        {
            var bounds = BoundsFile.Open(
                At($"home/nodes/{node}/bounds.signed"), new PeerVerifier(bundle), BoundsStore.Open(At(node), bundle.ClusterIdentity), DateTimeOffset.UtcNow).Bounds;
            Assert.Equal(3, bounds.Current.Version);
            Assert.True(bounds.MayLink(Id("vertex/a"), Id("vertex/b")).IsAllowed);
            Assert.True(bounds.MayHost(Id("vertex/b"), Id("service/hello")).IsAllowed);
            Assert.True(bounds.MayHost(Id("vertex/a"), Id("user/alice")).IsAllowed);
            // Every node may have a replica of the storage; what is in it is for those whom a rule names.
            Assert.True(bounds.MayHost(Id("vertex/b"), Id("service/storage")).IsAllowed);
            Assert.True(bounds.MayConnect(Id("service/storage"), Id("service/storage")).IsAllowed);
            Assert.False(bounds.MayRead(Id("operator/root"), "apps").IsAllowed);
            Assert.False(bounds.MayConnect(Id("user/alice"), Id("service/hello")).IsAllowed);
        }
        Assert.Contains("# Who may connect to whom.", File.ReadAllText(At("home/bounds.yaml")), StringComparison.Ordinal);
        var configuration = File.ReadAllText(At("home/nodes/b/flor.yaml"));
        Assert.Contains("      - vertex: \"a\"\n        addresses: [\"10.0.1.1:7431\"]\n", configuration, StringComparison.Ordinal);
        Assert.Contains("  - service: \"hello\"\n    tcp: \"127.0.0.1:8080\"\n", configuration, StringComparison.Ordinal);
    }

    [Fact]
    public void A_node_with_services_has_their_portals_and_an_agent_that_starts_them()
    {
        Run(0, "cluster", "init", "home");
        var next = Run(0, "node", "add", "a", "--dir", "home", "--services", "me", "--allow").Output;
        Assert.Contains("florete-agent run", next, StringComparison.Ordinal);
        Assert.DoesNotContain("Missing", next, StringComparison.Ordinal);
        var held = IdentityFolder.Open(At("home/nodes/a/identities")).Identities.Select(identity => identity.Id.Path);
        Assert.Equal(["node/a", "service/agent", "service/coordinator", "service/identity", "service/ncs", "service/storage", "vertex/a"], held.Order());
        Assert.Equal(6, File.ReadAllText(At("home/nodes/a/flor.yaml")).Split("owner: \"me\"").Length - 1);
        var agent = File.ReadAllText(At("home/nodes/a/agent.yaml"));
        foreach (var one in new[] { "- name: flor", "- name: identity", "- name: storage", "- name: ncs", "- name: coordinator", "http://identity.rete/health", "http://storage.rete/v1/health" }) Assert.Contains(one, agent, StringComparison.Ordinal);
        // Without services, flor alone.
        Run(0, "node", "add", "b", "--dir", "home", "--allow");
        Assert.DoesNotContain("storage", File.ReadAllText(At("home/nodes/b/agent.yaml")), StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_overwritten()
    {
        Run(0, "cluster", "init", "home");
        var key = File.ReadAllText(At("home/root.key"));
        Assert.Contains("exists already", Run(1, "cluster", "init", "home").Errors, StringComparison.Ordinal);
        Assert.Equal(key, File.ReadAllText(At("home/root.key")));
        Run(0, "node", "add", "a", "--dir", "home");
        var bounds = File.ReadAllText(At("home/bounds.yaml"));
        Assert.Contains("exists already", Run(1, "node", "add", "a", "--dir", "home", "--link", "b", "--allow").Errors, StringComparison.Ordinal);
        Assert.Equal(bounds, File.ReadAllText(At("home/bounds.yaml")));
    }

    [Fact]
    public void Without_allow_the_missing_rules_are_named_and_bounds_stay()
    {
        Run(0, "cluster", "init", "home");
        var result = JsonDocument.Parse(Run(0, "node", "add", "a", "--dir", "home", "--link", "b=10.0.0.2:1", "--identity", "user/alice", "--json").Output);
        var missing = result.RootElement.GetProperty("missing").EnumerateArray().Select(m => m.GetString()!).ToArray();
        Assert.Equal(2, missing.Length);
        Assert.Contains("under links", missing[0], StringComparison.Ordinal);
        Assert.Contains("under hosts", missing[1], StringComparison.Ordinal);
        Assert.Equal(1, result.RootElement.GetProperty("boundsVersion").GetInt64());
    }

    [Fact]
    public void An_identity_is_renewed_in_place_with_the_life_asked_for()
    {
        Run(0, "cluster", "init", "home");
        Run(0, "node", "add", "a", "--dir", "home", "--out", "a");
        var opened = IdentityFolder.Open(At("a/identities"));
        Run(1, "identity", "issue", "--node-dir", "a", "vertex/a");
        Run(0, "identity", "issue", "--node-dir", "a", "--dir", "home", "vertex/a", "--life", "30s");
        var renewed = Assert.Single(opened.Reload().Renewed).Current;
        Assert.Equal(TimeSpan.FromSeconds(30) + CertificateAuthority.Backdating, renewed.NotAfter - renewed.NotBefore);
        Assert.Contains("sign bounds", Run(1, "identity", "issue", "--node-dir", "a", "--dir", "home", "operator/eve").Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void Bounds_are_validated_with_all_problems_and_signed_under_a_raised_version_only()
    {
        Run(0, "cluster", "init", "home");
        var file = At("home/bounds.yaml");
        Run(0, "bounds", "validate", "home/bounds.yaml");
        File.WriteAllText(file, File.ReadAllText(file).Replace("connect:\n", "connect:\n  - {from: [user/you], to: ['service/*']}\n", StringComparison.Ordinal));
        Assert.Contains("Set 'version: 2'", Run(1, "bounds", "sign", "home/bounds.yaml").Errors, StringComparison.Ordinal);
        File.WriteAllText(file, File.ReadAllText(file).Replace("version: 1", "version: 2", StringComparison.Ordinal));
        Run(0, "bounds", "sign", "home/bounds.yaml");
        Run(0, "bounds", "sign", "home/bounds.yaml", "--out", "elsewhere.signed");
        File.WriteAllText(At("other.yaml"), "version: 0\ncluster: home\nlinkz: []\n");
        var problems = Run(1, "bounds", "validate", "other.yaml").Errors;
        Assert.Contains("other.yaml:1: ", problems, StringComparison.Ordinal);
        Assert.Contains("did you mean 'links'?", problems, StringComparison.Ordinal);
        Run(1, "bounds", "sign", "other.yaml", "--dir", "home", "--out", "x");
        Assert.False(File.Exists(At("x")));
    }

    [Theory]
    [InlineData(2, "cluster", "init", "Home")]
    [InlineData(2, "cluster")]
    [InlineData(2, "node", "add", "a", "--link", "b=nowhere")]
    [InlineData(2, "node", "add", "a", "--listen", "1.2.3.4:99999")]
    [InlineData(2, "identity", "issue", "--node-dir", "a", "user/x", "--life", "5x")]
    [InlineData(2, "frobnicate")]
    [InlineData(1, "node", "add", "a")]
    [InlineData(1, "identity", "issue", "--node-dir", "a", "user/x")]
    [InlineData(1, "bounds", "validate", "none.yaml")]
    public void A_wrong_call_ends_with_2_and_a_failed_one_with_1_and_both_say_what_to_do(int code, params string[] words)
    {
        var errors = Run(code, words).Errors;
        Assert.StartsWith("florctl: ", errors, StringComparison.Ordinal);
        Assert.True(errors.Trim().Split('\n').Length is 2, errors);
        Assert.DoesNotContain("   at ", errors, StringComparison.Ordinal);
    }

    private static SpiffeId Id(string path) => SpiffeId.Parse($"spiffe://home/{path}");

    private (int Code, string Output) Openssl(params string[] words)
    {
        var (code, output, _) = Start("openssl", words);
        return (code, output.Trim());
    }
}
