using FsCheck;
using FsCheck.Fluent;

namespace Florete.Identities.Tests;

/// <summary>Which SVIDs a revocation hits (docs/protocols/revocation.md).</summary>
public sealed class RevocationTests
{
    private static readonly SpiffeId Operator = SpiffeId.Parse("spiffe://home/operator/root");

    [Fact]
    public void A_chain_that_was_proved_before_is_refused_from_the_moment_of_the_revocation()
    {
        using var authority = Pki.Authority();
        var list = new RevocationList();
        var verifier = new PeerVerifier(TrustBundle.Of(authority.Root), null, list);
        var chain = Pki.Chain(authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now));
        Assert.Equal(Pki.Hello, verifier.Verify(chain, Pki.Now).Id);
        list.Add(Revoke(Pki.Hello, Pki.Now));
        var refused = verifier.Verify(chain, Pki.Now);
        Assert.Null(refused.Id);
        Assert.Contains("revoked by operator/root", refused.Refusal, StringComparison.Ordinal);
        Assert.Contains("key-compromise: lost", refused.Refusal, StringComparison.Ordinal);
        Assert.Equal(Pki.Hello, verifier.VerifyWithoutRevocations(chain, Pki.Now).Id);
    }

    [Fact]
    public void Whatever_two_clocks_say_what_existed_is_refused_and_what_is_issued_anew_is_soon_accepted()
    {
        using var authority = CertificateAuthority.Create("home", Pki.Now.AddDays(-1));

        // By a clock of no one: seconds since the revocation; by how much the clocks of operator, issuer and verifier are off.
        var off = Gen.Choose(-60_000, 60_000).Select(static ms => TimeSpan.FromMilliseconds(ms));
        var prop = Prop.ForAll(Arb.From(off), Arb.From(off), Arb.From(off), (ofOperator, ofIssuer, ofVerifier) =>
        {
            var list = new RevocationList();
            var verifier = new PeerVerifier(TrustBundle.Of(authority.Root), null, list);
            var existing = Pki.Chain(authority.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now + ofIssuer));
            var revocation = Revoke(Pki.Hello, Pki.Now + ofOperator);
            list.Add(revocation);
            var anew = Pki.Chain(authority.Issue(Pki.Hello, TimeSpan.FromHours(1), revocation.ReissueTime(Pki.Now + ofIssuer)));
            var isAtOnce = ofOperator - ofVerifier <= TimeSpan.FromSeconds(58);
            return verifier.Verify(existing, Pki.Now + ofVerifier).Id is null
                && verifier.Verify(existing, Pki.Now.AddMinutes(30) + ofVerifier).Id is null
                && (!isAtOnce || verifier.Verify(anew, Pki.Now + ofVerifier).Id == Pki.Hello)
                && verifier.Verify(anew, Pki.Now.AddSeconds(63) + ofVerifier).Id == Pki.Hello;
        });
        Check.QuickThrowOnFailure(prop);
    }

    [Theory]
    [InlineData(IdentityKind.Node)]
    [InlineData(IdentityKind.Vertex)]
    public void A_revoked_node_is_revoked_with_its_vertex_and_all_that_its_authority_issued_or_will_issue(IdentityKind named)
    {
        using var authority = Pki.Authority();
        var list = new RevocationList();
        list.Add(Revoke(SpiffeId.Of("home", named, "a"), Pki.Now));
        var verifier = new PeerVerifier(TrustBundle.Of(authority.Root), new Bounds(OpenBounds()), list);
        foreach (var kind in new[] { IdentityKind.Node, IdentityKind.Vertex })
        {
            Assert.Null(verifier.Verify(Pki.Chain(authority.Issue(SpiffeId.Of("home", kind, "a"), TimeSpan.FromHours(1), Pki.Now)), Pki.Now).Id);
            Assert.NotNull(verifier.Verify(Pki.Chain(authority.Issue(SpiffeId.Of("home", kind, "b"), TimeSpan.FromHours(1), Pki.Now)), Pki.Now).Id);
        }

        using var node = authority.IssueNodeAuthority("a", TimeSpan.FromDays(1), Pki.Now);
        var late = node.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now.AddHours(2));
        var refused = verifier.Verify(Pki.Chain(late), Pki.Now.AddHours(2));
        Assert.Null(refused.Id);
        Assert.Contains("authority of node a", refused.Refusal, StringComparison.Ordinal);
        Assert.NotNull(list.Refusal(late));

        using var again = authority.IssueNodeAuthority("a", TimeSpan.FromDays(1), list.InForce[0].ReissueTime(Pki.Now));
        var good = again.Issue(Pki.Hello, TimeSpan.FromHours(1), Pki.Now.AddHours(2));
        Assert.Equal(Pki.Hello, verifier.Verify(Pki.Chain(good), Pki.Now.AddHours(2)).Id);
        Assert.Null(list.Refusal(good));
    }

    [Fact]
    public void Of_several_revocations_of_one_identity_the_latest_counts_in_whatever_order_they_come()
    {
        var prop = Prop.ForAll<NonEmptyArray<PositiveInt>>(times =>
        {
            var revocations = times.Get.Select(t => Revoke(Pki.Hello, Pki.Now.AddSeconds(t.Get))).ToArray();
            var (forth, back) = (new RevocationList(), new RevocationList());
            foreach (var one in revocations) forth.Add(one);
            back.Add(revocations.Reverse());
            return forth.InForce.Single() == back.InForce.Single() && forth.InForce[0].Before == revocations.Max(r => r.Before);
        });
        Check.QuickThrowOnFailure(prop);
    }

    [Fact]
    public void Only_a_change_is_told_and_what_is_no_longer_needed_goes()
    {
        var (list, changes) = (new RevocationList(), 0);
        list.Changed += () => changes++;
        var one = Revoke(Pki.Hello, Pki.Now);
        list.Add(one);
        list.Add(one);
        list.Prune(one.NeededUntil);
        Assert.Equal(1, changes);
        list.Prune(one.NeededUntil.AddSeconds(1));
        Assert.Equal(2, changes);
        Assert.Empty(list.InForce);
    }

    private static Revocation Revoke(SpiffeId subject, DateTimeOffset now) =>
        new(subject, now + Revocation.Lead, RevocationReason.KeyCompromise, "lost", Operator, now, now.AddDays(30));

    private static BoundsDocument OpenBounds() => new(1, "home", [], [new HostRule("*", [new IdentityPattern(null, "*")])], [], []);
}
