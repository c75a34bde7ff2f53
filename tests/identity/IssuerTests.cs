using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Florete.Identities;
using Florete.Identity.Contracts;

namespace Florete.Identity.Tests;

public class IssuerTests
{
    [Fact]
    public void A_token_is_redeemed_once_and_again_for_the_same_key_also_after_a_restart()
    {
        using var home = new Home();
        using var key = Home.Key();
        var token = home.Token();
        var answer = home.Join(token, key);
        var proof = home.Files.Verifier.VerifyAuthority(answer.Certificate, home.Clock.Now);
        Assert.Equal(token.Node, proof.Id);
        Assert.Equal(home.Clock.Now.AddDays(30), proof.NotAfter);
        Assert.Equal(File.ReadAllText(home.Options.BoundsFile), answer.Bounds);
        Assert.Equal(File.ReadAllText(home.Options.BundleFile), answer.Bundle);
        using var certificate = X509CertificateLoader.LoadCertificate(answer.Certificate);
        using var authority = NodeAuthority.Of(certificate, key);

        home.RestartIssuer();
        // The answer was lost, and the node asks with another request of its key.
        home.Clock.Now += TimeSpan.FromMinutes(10);
        Assert.Equal(answer.Certificate, home.Join(token, key).Certificate);
        using var other = Home.Key();
        Assert.Equal(JoinRefusal.Used, home.Refused(() => home.Join(token, other)));
        Assert.Single(home.Events.After(0), static e => e is { Kind: "join", Subject: "spiffe://home/node/d", By: "spiffe://home/node/b" });
    }

    [Fact]
    public void Two_machines_with_one_token_at_once_make_one_node()
    {
        using var home = new Home();
        var token = home.Token();
        var outcomes = new System.Collections.Concurrent.ConcurrentBag<string>();
        Parallel.For(0, 8, _ =>
        {
            using var key = Home.Key();
            try
            {
                home.Join(token, key);
                outcomes.Add("joined");
            }
            catch (JoinException e)
            {
                outcomes.Add(e.Code.Word());
            }
        });
        Assert.Single(outcomes, "joined");
        Assert.Equal(7, outcomes.Count(static o => o == "used"));
    }

    [Fact]
    public void What_is_wrong_with_a_token_is_said()
    {
        using var home = new Home();
        using var foreign = new Home();
        using var key = Home.Key();
        Assert.Equal(JoinRefusal.WrongCluster, home.Refused(() => home.Join(foreign.Token(), key)));
        Assert.Equal(JoinRefusal.Forbidden, home.Refused(() => home.Join(home.Token(issuer: "b"), key)));
        Assert.Equal(JoinRefusal.Malformed, home.Refused(() => home.Join(JoinToken.Create(home.Authority.ClusterIdentity, "a", "d", home.Token().Contacts, home.Clock.Now, foreign.Operator), key)));
        Assert.Equal(JoinRefusal.Malformed, home.Refused(() => home.Join(home.Token(life: TimeSpan.FromDays(40)), key)));
        var late = home.Token();
        home.Clock.Now += TimeSpan.FromMinutes(63);
        Assert.Equal(JoinRefusal.Expired, home.Refused(() => home.Join(late, key)));
        // An operator whose SVID has ended signs nothing any more.
        var brief = home.Authority.Issue(home.Operator.Id, TimeSpan.FromMinutes(1), home.Clock.Now);
        var token = home.Token(signer: brief);
        home.Clock.Now += TimeSpan.FromMinutes(5);
        Assert.Equal(JoinRefusal.Malformed, home.Refused(() => home.Join(token, key)));
    }

    [Fact]
    public void Hostile_requests_are_refused_and_redeem_nothing()
    {
        using var home = new Home();
        var token = home.Token();
        using var key = Home.Key();
        using var p521 = ECDsa.Create(ECCurve.NamedCurves.nistP521);
        var random = new Random(11);
        var good = IdentityJson.Write(new JoinRequest(token.Text, Home.Request(key)));
        Assert.Equal(JoinRefusal.Malformed, home.Refused(() => home.Join(token, p521)));
        for (var i = 0; i < 200; i++)
        {
            var bytes = new byte[random.Next(0, 400)];
            random.NextBytes(bytes);
            Assert.Throws<JoinException>(() => home.Issuer.Join(bytes, Home.Relay));
            Assert.Throws<JoinException>(() => home.Issuer.Join(good.AsSpan(0, random.Next(good.Length)), Home.Relay));
            Assert.Throws<JoinException>(() => home.Issuer.Renew(bytes, Home.Relay));
            Assert.Throws<JoinException>(() => home.Issuer.Join(IdentityJson.Write(new JoinRequest(token.Text, bytes)), Home.Relay));
        }
        Assert.Throws<JoinException>(() => home.Issuer.Join("{\"token\":null,\"request\":null}"u8, Home.Relay));
        Assert.Throws<JoinException>(() => home.Issuer.Join("{\"token\":\"\\u0000\",\"request\":\"!\"}"u8, Home.Relay));
        Assert.Empty(Directory.GetFiles(Path.Combine(home.Options.IssuerFolder, "joins")));
        Assert.NotNull(home.Join(token, key));
    }

    [Fact]
    public void Nothing_is_answered_that_is_not_on_disk()
    {
        using var home = new Home();
        using var key = Home.Key();
        using var other = Home.Key();
        var token = home.Token();
        Directory.Delete(Path.Combine(home.Options.IssuerFolder, "joins"));
        Assert.ThrowsAny<IOException>(() => home.Join(token, key));
        home.RestartIssuer();
        Assert.NotNull(home.Join(token, other));
    }

    [Fact]
    public void Redeemed_tokens_are_forgotten_a_day_after_they_have_expired()
    {
        using var home = new Home();
        using var key = Home.Key();
        home.Join(home.Token(), key);
        home.Clock.Now += TimeSpan.FromHours(24);
        home.RestartIssuer();
        Assert.Single(Directory.GetFiles(Path.Combine(home.Options.IssuerFolder, "joins")));
        home.Clock.Now += TimeSpan.FromHours(2);
        home.RestartIssuer();
        Assert.Empty(Directory.GetFiles(Path.Combine(home.Options.IssuerFolder, "joins")));
    }

    [Fact]
    public void A_node_authority_is_renewed_by_proof_of_the_one_that_ends_and_of_no_other()
    {
        using var home = new Home();
        using var foreign = new Home();
        using var old = home.Authority.IssueNodeAuthority("d", TimeSpan.FromDays(30), home.Clock.Now);
        using var key = Home.Key();
        home.Clock.Now += TimeSpan.FromDays(15);
        var renewed = home.Issuer.Renew(Renewal(old, key), Home.Relay);
        var proof = home.Files.Verifier.VerifyAuthority(renewed.Certificate, home.Clock.Now);
        Assert.Equal(("d", home.Clock.Now.AddDays(30)), (proof.IssuingNode, proof.NotAfter));

        // Signed by another's key, or for another request.
        using var other = home.Authority.IssueNodeAuthority("e", TimeSpan.FromDays(30), home.Clock.Now);
        using var otherKey = other.Certificate.GetECDsaPrivateKey()!;
        var request = Home.Request(key);
        byte[] Signed(ECDsa by, byte[] what) => by.SignData((byte[])[.. Issuer.RenewPrefix, .. what], HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        Assert.Equal(JoinRefusal.Malformed, home.Refused(() => home.Issuer.Renew(IdentityJson.Write(new RenewRequest(request, old.Certificate.RawData, Signed(otherKey, request))), Home.Relay)));
        using var own = old.Certificate.GetECDsaPrivateKey()!;
        Assert.Equal(JoinRefusal.Malformed, home.Refused(() => home.Issuer.Renew(IdentityJson.Write(new RenewRequest(request, old.Certificate.RawData, Signed(own, Home.Request(otherKey)))), Home.Relay)));
        // A leaf, the root, and the authority of another cluster are none of ours.
        var leaf = old.Issue(SpiffeId.Of("home", IdentityKind.Vertex, "d"), TimeSpan.FromHours(1), home.Clock.Now).Leaf;
        using var leafKey = leaf.GetECDsaPrivateKey()!;
        Assert.Equal(JoinRefusal.Forbidden, home.Refused(() => home.Issuer.Renew(IdentityJson.Write(new RenewRequest(request, leaf.RawData, Signed(leafKey, request))), Home.Relay)));
        using var stranger = foreign.Authority.IssueNodeAuthority("d", TimeSpan.FromDays(30), home.Clock.Now - TimeSpan.FromDays(15));
        Assert.Equal(JoinRefusal.Forbidden, home.Refused(() => home.Issuer.Renew(Renewal(stranger, key), Home.Relay)));
        // Over is over.
        home.Clock.Now += TimeSpan.FromDays(16);
        Assert.Equal(JoinRefusal.Forbidden, home.Refused(() => home.Issuer.Renew(Renewal(old, key), Home.Relay)));
    }

    [Fact]
    public void Without_the_roots_key_nobody_is_an_issuer_and_another_clusters_root_is_refused()
    {
        using var home = new Home();
        using var foreign = new Home();
        File.Delete(Path.Combine(home.Options.IssuerFolder, "root.key"));
        Assert.Null(Issuer.Open(home.Options, "a", home.Files, home.Events, home.Clock));
        foreign.Authority.Save(Path.Combine(home.Options.IssuerFolder, "root.pem"), Path.Combine(home.Options.IssuerFolder, "root.key"));
        Assert.Contains("not among the roots", Assert.Throws<IdentityException>(() => Issuer.Open(home.Options, "a", home.Files, home.Events, home.Clock)).Message, StringComparison.Ordinal);
        File.SetUnixFileMode(Path.Combine(home.Options.IssuerFolder, "root.key"), AtomicFile.EveryoneReads);
        Assert.Contains("chmod 600", Assert.Throws<IdentityException>(() => Issuer.Open(home.Options, "a", home.Files, home.Events, home.Clock)).Message, StringComparison.Ordinal);
    }

    internal static byte[] Renewal(NodeAuthority old, ECDsa key)
    {
        var request = Home.Request(key);
        using var own = old.Certificate.GetECDsaPrivateKey()!;
        var signature = own.SignData((byte[])[.. Issuer.RenewPrefix, .. request], HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        return IdentityJson.Write(new RenewRequest(request, old.Certificate.RawData, signature));
    }
}
