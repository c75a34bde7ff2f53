using System.Text;

namespace Florete.Identities.Tests;

public class BoundsTests
{
    private const string Yaml = """
        version: 3
        cluster: home
        links:
          - between: [a, b]
          - between: [hub, '*']
        hosts:
          - {node: a, identities: [service/hello, user/alice]}
          - {node: b, identities: ['workload/*']}
        connect:
          - from: [user/alice, 'workload/*']
            to: [service/hello]
        """;

    private static SpiffeId Id(string path) => SpiffeId.Parse($"spiffe://home/{path}");

    private static BoundsDocument Document(string yaml) =>
        BoundsDocument.TryParse(yaml, "bounds.yaml", out var document, out var problems) ? document : throw new InvalidOperationException(problems[0]);

    [Fact]
    public void What_no_rule_allows_is_refused_and_the_missing_rule_is_named()
    {
        var bounds = new Bounds(Document(Yaml));
        Assert.True(bounds.MayLink(Id("vertex/a"), Id("vertex/b")).IsAllowed);
        Assert.True(bounds.MayLink(Id("vertex/b"), Id("vertex/a")).IsAllowed);
        Assert.True(bounds.MayLink(Id("vertex/c"), Id("vertex/hub")).IsAllowed);
        Assert.True(bounds.MayConnect(Id("user/alice"), Id("service/hello")).IsAllowed);
        Assert.True(bounds.MayConnect(Id("workload/x"), Id("service/hello")).IsAllowed);
        Assert.True(bounds.MayHost(Id("vertex/a"), Id("service/hello")).IsAllowed);
        Assert.True(bounds.MayHost(Id("vertex/b"), Id("workload/x")).IsAllowed);
        Assert.True(bounds.MayHost(Id("vertex/b"), Id("vertex/b")).IsAllowed);

        Assert.Equal(
            "Bounds version 3 have no rule that lets user/bob connect to service/hello; add it under connect and sign again.",
            bounds.MayConnect(Id("user/bob"), Id("service/hello")).Refusal);
        Assert.Contains("under links", bounds.MayLink(Id("vertex/a"), Id("vertex/c")).Refusal, StringComparison.Ordinal);
        Assert.Contains("under hosts", bounds.MayHost(Id("vertex/b"), Id("service/hello")).Refusal, StringComparison.Ordinal);
        Assert.False(bounds.MayHost(Id("vertex/b"), Id("vertex/a")).IsAllowed);
        Assert.False(bounds.MayLink(Id("workload/hub"), Id("vertex/b")).IsAllowed);
        Assert.False(bounds.MayLink(Id("vertex/hub"), Id("vertex/hub")).IsAllowed);
        Assert.Contains("another cluster", bounds.MayConnect(SpiffeId.Parse("spiffe://office/user/alice"), Id("service/hello")).Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void All_problems_are_reported_with_file_line_and_remedy()
    {
        const string wrong = """
            version: 0
            cluster: Home
            link: []
            links:
              - between: [a, a]
              - between: [a]
            hosts:
              - {nod: a, identities: []}
            connect:
              - from: [users/alice]
                to: [hello]
                to: ['service/Hello']
            """;
        Assert.False(BoundsDocument.TryParse(wrong, "bounds.yaml", out _, out var problems));
        string[] expected =
        [
            "bounds.yaml:3: bounds: 'link' is not a key; did you mean 'links'?",
            "bounds.yaml:1: 'version' must be a whole number of at least 1.",
            "bounds.yaml:2: 'cluster': 'Home' is not a name; use 1 to 63 of a-z, 0-9 and '-'.",
            "bounds.yaml:5: a vertex has no link to itself; name two vertices instead of 'a' twice.",
            "bounds.yaml:6: a rule of links names two vertices; write between: [a, b].",
            "bounds.yaml:8: a rule of hosts: 'nod' is not a key; did you mean 'node'?",
            "bounds.yaml:8: a rule of hosts needs 'node'; write node: a.",
            "bounds.yaml:8: 'identities' must be a list of identities; write identities: [service/hello].",
            "bounds.yaml:12: a rule of connect: 'to' is there twice; keep one.",
            "bounds.yaml:10: 'users' is not a kind; did you mean 'user'?",
            "bounds.yaml:11: 'hello' is not an identity; write <kind>/<name>, as in service/hello.",
        ];
        Assert.Equal(expected, problems);
    }

    private const string StoreYaml = """
        version: 4
        cluster: home
        store:
          - {collection: apps, read: [user/alice, 'service/*'], write: [user/alice]}
          - {collection: apps, write: [user/bob], until: 2026-11-21T12:00:00Z}
          - {collection: '*', read: [user/carol], write: [user/dora], until: 2026-11-20T00:00:00Z}
        """;

    [Fact]
    public void Collections_are_read_and_written_by_rule_alone()
    {
        var bounds = new Bounds(Document(StoreYaml));
        var noon = new DateTimeOffset(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);
        Assert.True(bounds.MayRead(Id("user/alice"), "apps").IsAllowed);
        Assert.True(bounds.MayRead(Id("service/agent"), "apps").IsAllowed);
        Assert.True(bounds.MayRead(Id("user/carol"), "apps").IsAllowed);
        Assert.True(bounds.MayRead(Id("user/carol"), "notes").IsAllowed);
        Assert.True(bounds.MayWrite(Id("user/alice"), "apps", noon).IsAllowed);

        Assert.Equal(
            "Bounds version 4 have no rule that lets user/alice read collection 'notes'; add it under store and sign again.",
            bounds.MayRead(Id("user/alice"), "notes").Refusal);
        // Writing does not include reading, and operators have no right of their own.
        Assert.False(bounds.MayRead(Id("user/bob"), "apps").IsAllowed);
        Assert.False(bounds.MayRead(Id("operator/root"), "apps").IsAllowed);
        Assert.False(bounds.MayWrite(Id("operator/root"), "apps", noon).IsAllowed);
        Assert.False(bounds.MayWrite(Id("user/carol"), "apps", noon).IsAllowed);
        Assert.Contains("another cluster", bounds.MayRead(SpiffeId.Parse("spiffe://office/user/alice"), "apps").Refusal, StringComparison.Ordinal);
        Assert.Contains("another cluster", bounds.MayWrite(SpiffeId.Parse("spiffe://office/user/alice"), "apps", noon).Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void Until_ends_what_is_stamped_later_and_keeps_what_was_stamped_before()
    {
        var bounds = new Bounds(Document(StoreYaml));
        var noon = new DateTimeOffset(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);
        Assert.True(bounds.MayWrite(Id("user/bob"), "apps", noon.AddTicks(-1)).IsAllowed);
        Assert.Equal(
            "Bounds version 4 let user/bob write collection 'apps' until 2026-11-21 12:00:00Z, and this is later; move until, or remove it, and sign again.",
            bounds.MayWrite(Id("user/bob"), "apps", noon).Refusal);
        Assert.True(bounds.MayWrite(Id("user/dora"), "apps", noon.AddDays(-2)).IsAllowed);
        Assert.False(bounds.MayWrite(Id("user/dora"), "apps", noon.AddDays(-1)).IsAllowed);
    }

    [Fact]
    public void Problems_of_rules_of_store_are_reported_with_line_and_remedy()
    {
        const string wrong = """
            version: 1
            cluster: home
            store:
              - {collecton: apps, read: [user/alice]}
              - {collection: Apps, read: [user/alice]}
              - {collection: apps}
              - {collection: apps, read: [user/alice], until: 2026-11-21T12:00:00Z}
              - {collection: apps, write: [user/alice], until: tomorrow}
              - {collection: apps, write: [users/alice], until: 2026-11-21}
              - {collection: 1apps, write: []}
            """;
        Assert.False(BoundsDocument.TryParse(wrong, "bounds.yaml", out _, out var problems));
        string[] expected =
        [
            "bounds.yaml:4: a rule of store: 'collecton' is not a key; did you mean 'collection'?",
            "bounds.yaml:4: a rule of store needs 'collection'; write collection: apps, or '*' for all.",
            "bounds.yaml:5: 'collection' must be 1 to 63 of a-z, 0-9 and '-' that begin with a letter, or '*' for all.",
            "bounds.yaml:6: a rule of store allows nothing without 'read' or 'write'; write read: [user/alice].",
            "bounds.yaml:7: 'until' ends the writing, and this rule has no 'write'; add it, or remove until.",
            "bounds.yaml:8: 'until' must be a time in UTC; write until: 2026-12-31T00:00:00Z.",
            "bounds.yaml:9: 'until' must be a time in UTC; write until: 2026-12-31T00:00:00Z.",
            "bounds.yaml:9: 'users' is not a kind; did you mean 'user'?",
            "bounds.yaml:10: 'collection' must be 1 to 63 of a-z, 0-9 and '-' that begin with a letter, or '*' for all.",
            "bounds.yaml:10: 'write' must be a list of identities; write write: [service/hello].",
        ];
        Assert.Equal(expected, problems);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[")]
    [InlineData("version: 1\n---\nversion: 2")]
    [InlineData("version: &a 1\ncluster: *a")]
    [InlineData("{[a]: b}")]
    [InlineData("- 1")]
    [InlineData("\u0000")]
    public void What_is_no_bounds_document_is_a_problem(string text)
    {
        Assert.False(BoundsDocument.TryParse(text, "f", out _, out var problems));
        Assert.StartsWith("f:", problems[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Deep_and_garbled_documents_never_throw()
    {
        Assert.False(BoundsDocument.TryParse(new string('[', 200_000), "f", out _, out var problems));
        Assert.Contains("nested deeper", problems[0], StringComparison.Ordinal);
        var random = new Random(5);
        var good = Encoding.UTF8.GetBytes(Yaml + StoreYaml[StoreYaml.IndexOf("\nstore:", StringComparison.Ordinal)..]);
        for (var i = 0; i < 2000; i++)
        {
            var bytes = CertificateTests.Flip(good, random);
            if (i % 4 == 0) random.NextBytes(bytes);
            BoundsDocument.TryParse(Encoding.UTF8.GetString(bytes.AsSpan(0, random.Next(bytes.Length))), "f", out _, out _);
            BoundsDocument.TryParse(Encoding.UTF8.GetString(bytes), "f", out _, out _);
        }
    }

    [Fact]
    public void Only_an_operator_of_the_cluster_signs_and_nothing_can_be_altered_after()
    {
        using var authority = Pki.Authority();
        using var twin = Pki.Authority();
        var verifier = authority.Verifier();
        var signer = authority.Issue(Id("operator/root"), TimeSpan.FromDays(1), Pki.Now);
        var envelope = Encoding.UTF8.GetBytes(SignedBounds.Sign(Yaml, "bounds.yaml", signer));
        Assert.True(SignedBounds.TryVerify(envelope, "f", verifier, Pki.Now, out var signed, out _));
        Assert.Equal((3, signer.Id), (signed.Document.Version, signed.Signer));

        Assert.Throws<IdentityException>(() => SignedBounds.Sign(Yaml, "f", authority.Issue(Pki.Hello, TimeSpan.FromDays(1), Pki.Now)));
        Assert.Throws<IdentityException>(() => SignedBounds.Sign(Yaml.Replace("home", "office", StringComparison.Ordinal), "f", signer));
        Assert.Throws<IdentityException>(() => SignedBounds.Sign("version: 1", "f", signer));

        Assert.False(SignedBounds.TryVerify(envelope, "f", twin.Verifier(), Pki.Now, out _, out var refusal));
        Assert.Contains("unknown authority", refusal, StringComparison.Ordinal);
        Assert.False(SignedBounds.TryVerify(envelope, "f", verifier, Pki.Now.AddDays(2), out _, out refusal));
        Assert.Contains("has expired", refusal, StringComparison.Ordinal);
        // A service's certificate in the place of the operator's.
        var forged = Encoding.UTF8.GetString(envelope).Replace(
            Convert.ToBase64String(signer.Leaf.RawData),
            Convert.ToBase64String(authority.Issue(Pki.Hello, TimeSpan.FromDays(1), Pki.Now).Leaf.RawData), StringComparison.Ordinal);
        Assert.False(SignedBounds.TryVerify(Encoding.UTF8.GetBytes(forged), "f", verifier, Pki.Now, out _, out refusal));
        Assert.Contains("only an operator may", refusal, StringComparison.Ordinal);
        var altered = Encoding.UTF8.GetString(envelope).Replace(
            Convert.ToBase64String(Encoding.UTF8.GetBytes(Yaml)),
            Convert.ToBase64String(Encoding.UTF8.GetBytes(Yaml.Replace("alice", "mallory", StringComparison.Ordinal))), StringComparison.Ordinal);
        Assert.False(SignedBounds.TryVerify(Encoding.UTF8.GetBytes(altered), "f", verifier, Pki.Now, out _, out refusal));
        Assert.Contains("were altered", refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void Garbled_envelopes_never_throw_and_never_change_what_is_obeyed()
    {
        using var authority = Pki.Authority();
        var verifier = authority.Verifier();
        var signer = authority.Issue(Id("operator/root"), TimeSpan.FromDays(1), Pki.Now);
        var envelope = Encoding.UTF8.GetBytes(SignedBounds.Sign(Yaml, "bounds.yaml", signer));
        Assert.True(SignedBounds.TryVerify(envelope, "f", verifier, Pki.Now, out var original, out _));
        var random = new Random(9);
        for (var i = 0; i < 1500; i++)
        {
            var bytes = CertificateTests.Flip(envelope, random);
            if (i % 5 == 0) bytes = bytes[..random.Next(bytes.Length)];
            if (i % 50 == 0) random.NextBytes(bytes);
            // A flip in white space, or in the unsigned key id, changes nothing that counts.
            if (SignedBounds.TryVerify(bytes, "f", verifier, Pki.Now, out var read, out _)) Assert.Equal(original.PayloadHash, read.PayloadHash);
        }
        foreach (var text in new[] { "", "{}", "[]", "1", "null", """{"payloadType":1}""", """{"payloadType":null}""", """{"payloadType":"application/vnd.florete.bounds.v1+yaml","payload":"AA==","signatures":[1]}""" })
        {
            Assert.False(SignedBounds.TryVerify(Encoding.UTF8.GetBytes(text), "f", verifier, Pki.Now, out _, out _));
        }
    }

    [Fact]
    public void Older_bounds_and_other_bounds_of_the_same_version_are_refused_over_restarts()
    {
        using var folder = new TemporaryFolder();
        using var authority = Pki.Authority();
        var signer = authority.Issue(Id("operator/root"), TimeSpan.FromDays(1), Pki.Now);
        var file = folder.File("bounds.signed");
        void Sign(int version, string comment) => File.WriteAllText(
            file, SignedBounds.Sign(Yaml.Replace("version: 3", $"version: {version} # {comment}", StringComparison.Ordinal), "f", signer));

        Sign(3, "");
        var opened = BoundsFile.Open(file, authority.Verifier(), BoundsStore.Open(folder.Path, authority.ClusterIdentity), Pki.Now);
        var raised = 0;
        opened.Bounds.Changed += () => raised++;
        Assert.True(opened.Reload(Pki.Now).IsAllowed);
        Assert.Equal(0, raised);

        Sign(4, "");
        Assert.True(opened.Reload(Pki.Now).IsAllowed);
        Assert.Equal((1, 4), (raised, opened.Bounds.Current.Version));

        Sign(3, "");
        Assert.Contains("older than version 4", opened.Reload(Pki.Now).Refusal, StringComparison.Ordinal);
        Sign(4, "another");
        Assert.StartsWith("Alert: ", opened.Reload(Pki.Now).Refusal, StringComparison.Ordinal);
        File.WriteAllText(file, "garbage");
        Assert.Contains(file, opened.Reload(Pki.Now).Refusal, StringComparison.Ordinal);
        Assert.Equal((1, 4), (raised, opened.Bounds.Current.Version));

        Sign(3, "");
        var again = BoundsStore.Open(folder.Path, authority.ClusterIdentity);
        Assert.Equal(4, again.Version);
        var error = Assert.Throws<IdentityException>(() => BoundsFile.Open(file, authority.Verifier(), again, Pki.Now));
        Assert.Contains("older than version 4", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_newer_or_foreign_memory_of_bounds_is_an_error_and_never_reset()
    {
        using var folder = new TemporaryFolder();
        using var authority = Pki.Authority();
        using var twin = Pki.Authority();
        var signer = authority.Issue(Id("operator/root"), TimeSpan.FromDays(1), Pki.Now);
        Assert.True(SignedBounds.TryVerify(Encoding.UTF8.GetBytes(SignedBounds.Sign(Yaml, "f", signer)), "f", authority.Verifier(), Pki.Now, out var signed, out _));
        Assert.True(BoundsStore.Open(folder.Path, authority.ClusterIdentity).Accept(signed).IsAllowed);
        var file = Assert.Single(Directory.GetFiles(folder.Path));
        var good = File.ReadAllText(file);

        Assert.Contains("another cluster", Assert.Throws<IdentityException>(() => BoundsStore.Open(folder.Path, twin.ClusterIdentity)).Message, StringComparison.Ordinal);
        File.WriteAllText(file, good.Replace("\"format\":1", "\"format\":2", StringComparison.Ordinal));
        Assert.Contains("newer program", Assert.Throws<IdentityException>(() => BoundsStore.Open(folder.Path, authority.ClusterIdentity)).Message, StringComparison.Ordinal);
        File.WriteAllText(file, good[..(good.Length / 2)]);
        Assert.Contains("damaged", Assert.Throws<IdentityException>(() => BoundsStore.Open(folder.Path, authority.ClusterIdentity)).Message, StringComparison.Ordinal);
    }
}
