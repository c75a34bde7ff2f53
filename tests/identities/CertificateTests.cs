using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities.Tests;

public class CertificateTests
{
    [Fact]
    public void Openssl_verifies_what_the_authority_issues_and_shows_the_rules_kept()
    {
        using var folder = new TemporaryFolder();
        using var authority = CertificateAuthority.Create("home", DateTimeOffset.UtcNow);
        authority.Save(folder.File("root.pem"), folder.File("root.key"));
        SvidFiles.Write(folder.Path, authority.Issue(Pki.Hello, TimeSpan.FromHours(1), DateTimeOffset.UtcNow));
        var leaf = folder.File("service-hello.pem");

        Assert.Equal((0, $"{leaf}: OK\n"), Pki.Run("openssl", "verify", "-x509_strict", "-CAfile", folder.File("root.pem"), leaf));
        var text = Pki.Run("openssl", "x509", "-noout", "-text", "-in", leaf).Output;
        Assert.Contains("URI:spiffe://home/service/hello, DNS:hello.home.rete", text, StringComparison.Ordinal);
        Assert.Contains("CA:FALSE", text, StringComparison.Ordinal);
        Assert.Contains("Digital Signature\n", text, StringComparison.Ordinal);
        Assert.Contains("TLS Web Server Authentication, TLS Web Client Authentication", text, StringComparison.Ordinal);
        Assert.DoesNotContain("Certificate Sign", text, StringComparison.Ordinal);
        var root = Pki.Run("openssl", "x509", "-noout", "-text", "-in", folder.File("root.pem")).Output;
        Assert.Contains("URI:spiffe://home\n", root, StringComparison.Ordinal);
        Assert.Contains("Certificate Sign, CRL Sign", root, StringComparison.Ordinal);
        Assert.Contains("CA:TRUE", root, StringComparison.Ordinal);
        Assert.Equal(0, Pki.Run("openssl", "pkey", "-noout", "-in", folder.File("service-hello.key")).Code);
        Assert.Equal(AtomicFile.OwnerOnly, File.GetUnixFileMode(folder.File("service-hello.key")));
        Assert.Equal(AtomicFile.OwnerOnly, File.GetUnixFileMode(folder.File("root.key")));

        using var loaded = CertificateAuthority.Load(folder.File("root.pem"), folder.File("root.key"));
        Assert.Equal(authority.ClusterIdentity, loaded.ClusterIdentity);
        Assert.Equal(Pki.Hello, authority.Verifier().Verify(Pki.Chain(loaded.Issue(Pki.Hello, TimeSpan.FromHours(1), DateTimeOffset.UtcNow)), DateTimeOffset.UtcNow).Id);
    }

    [Fact]
    public void A_request_of_openssl_gets_an_svid_with_the_name_that_the_authority_chose()
    {
        using var folder = new TemporaryFolder();
        using var authority = Pki.Authority();
        var made = Pki.Run(
            "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder.File("key"), "-subj", "/CN=root",
            "-addext", "subjectAltName=URI:spiffe://home/operator/root", "-outform", "DER", "-out", folder.File("csr"));
        Assert.True(made.Code == 0, made.Output);
        var request = File.ReadAllBytes(folder.File("csr"));

        var leaf = authority.IssueFromRequest(Pki.Hello, request, TimeSpan.FromHours(1), Pki.Now);
        Assert.Equal(Pki.Hello, authority.Verifier().Verify([leaf.RawData], Pki.Now).Id);

        // Truncated, and with any one bit flipped, it is refused in words: the signature covers all of it.
        Assert.Throws<IdentityException>(() => authority.IssueFromRequest(Pki.Hello, request.AsSpan(0, request.Length - 1), TimeSpan.FromHours(1), Pki.Now));
        var random = new Random(1);
        for (var i = 0; i < 100; i++)
        {
            var flipped = Flip(request, random);
            Assert.Throws<IdentityException>(() => authority.IssueFromRequest(Pki.Hello, flipped, TimeSpan.FromHours(1), Pki.Now));
        }
    }

    [Fact]
    public void A_peer_is_proved_until_the_earliest_end_of_its_chain()
    {
        using var authority = Pki.Authority();
        var svid = authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now);
        var answer = authority.Verifier().Verify(Pki.Chain(svid), Pki.Now);
        Assert.Equal(new PeerVerification(Pki.Hello, Pki.Now.AddHours(1), null) { NotBefore = svid.NotBefore }, answer);
        Assert.Equal(Pki.Now - CertificateAuthority.Backdating, svid.NotBefore);
    }

    [Fact]
    public void An_svid_never_outlives_its_root()
    {
        using var authority = CertificateAuthority.Create("home", Pki.Now, TimeSpan.FromHours(1));
        Assert.Equal(Pki.Now.AddHours(1), authority.Issue(Pki.Hello, TimeSpan.FromDays(9), Pki.Now).NotAfter);
        Assert.Contains("has expired on", Assert.Throws<IdentityException>(() => authority.Issue(Pki.Hello, TimeSpan.FromDays(9), Pki.Now.AddHours(2))).Message, StringComparison.Ordinal);
        Assert.Contains("set the clock", Assert.Throws<IdentityException>(() => authority.Issue(Pki.Hello, TimeSpan.FromDays(9), Pki.Now.AddHours(-2))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_leaf_that_breaks_a_rule_is_refused_by_that_rule()
    {
        using var authority = Pki.Authority();
        var root = authority.Root;
        var verifier = authority.Verifier();
        using var p521 = ECDsa.Create(ECCurve.NamedCurves.nistP521);
        (byte[] Leaf, string Part)[] cases =
        [
            (Pki.Leaf(root, uris: []), "has no URI"),
            (Pki.Leaf(root, uris: ["spiffe://home/service/a", "spiffe://home/service/b"]), "has 2 URIs"),
            (Pki.Leaf(root, uris: ["spiffe://office/service/hello"]), "of cluster 'office', not of 'home'"),
            (Pki.Leaf(root, uris: ["https://home/service/hello"]), "does not begin with spiffe://"),
            (Pki.Leaf(root, uris: ["spiffe://home/service/a/b"]), "not of the form"),
            (Pki.Leaf(root, isAuthority: true), "cannot be a peer"),
            (Pki.Leaf(root, usage: X509KeyUsageFlags.DigitalSignature | X509KeyUsageFlags.KeyCertSign), "signing certificates"),
            (Pki.Leaf(root, usage: X509KeyUsageFlags.KeyEncipherment), "lacks digitalSignature"),
            (Pki.Leaf(root, extendedUsages: ["1.3.6.1.5.5.7.3.1"]), "lacks serverAuth or clientAuth"),
            (Pki.Leaf(root, key: p521), "not on curve"),
            (root.RawData, "spiffe://home' is not of the form"),
        ];
        foreach (var (leaf, part) in cases)
        {
            var answer = verifier.Verify([leaf], Pki.Now);
            Assert.Null(answer.Id);
            Assert.Contains(part, answer.Refusal, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Another_cluster_of_the_same_name_is_unknown()
    {
        using var ours = Pki.Authority();
        using var theirs = Pki.Authority();
        var answer = ours.Verifier().Verify([.. Pki.Chain(theirs.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now)), theirs.Root.RawData], Pki.Now);
        Assert.Contains("unknown authority", answer.Refusal, StringComparison.Ordinal);
        Assert.NotEqual(ours.ClusterIdentity, theirs.ClusterIdentity);
        Assert.Equal(32, ours.ClusterIdentity.RootHashBytes().Length);
        Assert.Equal(ours.ClusterIdentity, new ClusterIdentity("home", ours.ClusterIdentity.RootHashBytes()));
    }

    [Fact]
    public void Clocks_sixty_seconds_off_on_both_sides_do_not_matter_even_for_lives_of_thirty_seconds()
    {
        using var authority = Pki.Authority();
        var verifier = authority.Verifier();
        foreach (var issuer in new[] { -60, 0, 60 })
        {
            // Used up to its half life, when a newer one replaces it.
            var chain = Pki.Chain(authority.Issue(Pki.Hello, TimeSpan.FromSeconds(30), Pki.Now.AddSeconds(issuer)));
            foreach (var peer in new[] { -60, 0, 60 })
            {
                for (var used = 0; used <= 15; used += 5) Assert.Null(verifier.Verify(chain, Pki.Now.AddSeconds(peer + used)).Refusal);
            }
        }
        var expired = Pki.Chain(authority.Issue(Pki.Hello, TimeSpan.FromSeconds(30), Pki.Now));
        Assert.Contains("has expired on", verifier.Verify(expired, Pki.Now.AddSeconds(30 + 121)).Refusal, StringComparison.Ordinal);
        Assert.Contains("not valid before", verifier.Verify(expired, Pki.Now.AddSeconds(-60 - 121)).Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void Hostile_chains_are_refused_and_never_throw()
    {
        using var authority = Pki.Authority();
        var verifier = authority.Verifier();
        var good = Pki.Chain(authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now))[0];
        Assert.NotNull(verifier.Verify([], Pki.Now).Refusal);
        Assert.NotNull(verifier.Verify([[]], Pki.Now).Refusal);
        Assert.Contains("at most 4", verifier.Verify([good, good, good, good, good], Pki.Now).Refusal, StringComparison.Ordinal);
        Assert.Contains("at most 8192", verifier.Verify([good, new byte[9000]], Pki.Now).Refusal, StringComparison.Ordinal);
        Assert.NotNull(verifier.Verify([System.Text.Encoding.ASCII.GetBytes(authority.Root.ExportCertificatePem())], Pki.Now).Refusal);
        var random = new Random(7);
        for (var i = 0; i < 600; i++)
        {
            var bytes = new byte[random.Next(1, 700)];
            random.NextBytes(bytes);
            bytes[0] = 0x30;
            Assert.NotNull(verifier.Verify([bytes], Pki.Now).Refusal);
            Assert.NotNull(verifier.Verify([good.AsSpan(0, random.Next(good.Length)).ToArray()], Pki.Now).Refusal);
            // Every byte of a certificate is covered by the issuer's signature.
            Assert.NotNull(verifier.Verify([Flip(good, random)], Pki.Now).Refusal);
        }
        Assert.Equal(Pki.Hello, verifier.Verify([good], Pki.Now).Id);
    }

    internal static byte[] Flip(byte[] bytes, Random random)
    {
        var flipped = bytes.ToArray();
        flipped[random.Next(flipped.Length)] ^= (byte)(1 << random.Next(8));
        return flipped;
    }
}
