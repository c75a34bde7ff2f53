using Florete.Identities;
using Florete.Identity.Contracts;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Identity.Tests;

public class KeeperTests
{
    private const string Rules = "hosts:\n  - {node: a, identities: [service/hello, 'workload/*']}\n  - {node: '*', identities: [service/identity]}\n  - {node: b, identities: [user/alice]}";

    [Fact]
    public void A_node_holds_what_the_bounds_name_and_renews_it_at_half_life_cut_off_from_everybody()
    {
        using var home = new Home(Rules);
        using var authority = NodeAuthority.Load(home.Options.Folder);
        var keeper = Keeper(home, TimeSpan.FromSeconds(30));
        keeper.Tend(authority);
        Assert.Empty(keeper.Problems);
        Assert.Equal(["node/a", "service/hello", "service/identity", "vertex/a"], Held(home).Select(static s => s.Id.Path).Order());
        var first = Held(home).ToDictionary(static s => s.Id, static s => s.NotAfter);
        for (var second = 0; second < 13; second++)
        {
            home.Clock.Now += TimeSpan.FromSeconds(1);
            keeper.Tend(authority);
        }
        Assert.All(Held(home), s => Assert.Equal(first[s.Id], s.NotAfter));
        for (var second = 0; second < 4; second++)
        {
            home.Clock.Now += TimeSpan.FromSeconds(1);
            keeper.Tend(authority);
        }
        Assert.All(Held(home), s => Assert.InRange(s.NotAfter, first[s.Id].AddSeconds(13), first[s.Id].AddSeconds(17)));
        // For an hour; at every moment each is good for a third of its life at least, and believed by others.
        for (var second = 0; second < 240; second++)
        {
            home.Clock.Now += TimeSpan.FromSeconds(1);
            keeper.Tend(authority);
            if (second % 20 > 0) continue;
            foreach (var svid in Held(home))
            {
                Assert.True(svid.NotAfter - home.Clock.Now > TimeSpan.FromSeconds(10));
                Assert.Equal("a", home.Files.Verifier.Verify([svid.Leaf.RawData, .. svid.Intermediates.Select(static i => i.RawData)], home.Clock.Now).IssuingNode);
            }
        }
    }

    [Fact]
    public void Changed_bounds_give_and_take_and_what_the_operator_issued_is_left_to_the_operator()
    {
        using var home = new Home(Rules);
        using var authority = NodeAuthority.Load(home.Options.Folder);
        var keeper = Keeper(home, TimeSpan.FromHours(1));
        // Root-issued, and not the node's to hold.
        var guest = home.Authority.Issue(SpiffeId.Of("home", IdentityKind.User, "bob"), TimeSpan.FromHours(1), home.Clock.Now);
        SvidFiles.Write(home.Options.IdentitiesFolder, guest);
        keeper.Tend(authority);
        home.Sign(2, "hosts:\n  - {node: a, identities: [service/other]}");
        Assert.Empty(home.Files.Refresh());
        home.Clock.Now += TimeSpan.FromMinutes(40);
        keeper.Tend(authority);
        var ends = Held(home).ToDictionary(static s => s.Id.Path, s => s.NotAfter - home.Clock.Now);
        Assert.Equal(TimeSpan.FromHours(1), ends["service/other"]);
        Assert.Equal(TimeSpan.FromHours(1), ends["vertex/a"]);
        Assert.Equal(TimeSpan.FromMinutes(20), ends["service/hello"]);
        Assert.Equal(TimeSpan.FromMinutes(20), ends["user/bob"]);
        Assert.Contains(keeper.Problems, static p => p.StartsWith("service/hello is not renewed", StringComparison.Ordinal));
        Assert.Contains(keeper.Problems, static p => p.StartsWith("user/bob is not renewed", StringComparison.Ordinal));
    }

    [Fact]
    public void What_is_revoked_is_not_renewed_until_the_operator_has_issued_it_anew()
    {
        using var home = new Home(Rules);
        using var authority = NodeAuthority.Load(home.Options.Folder);
        var keeper = Keeper(home, TimeSpan.FromSeconds(30));
        keeper.Tend(authority);
        var hello = SpiffeId.Parse("spiffe://home/service/hello");
        var now = home.Clock.Now;
        var revocation = new Revocation(hello, now + Revocation.Lead, RevocationReason.KeyCompromise, "", home.Operator.Id, now, now.AddDays(1));
        home.Files.Verifier.Revocations.Add(revocation);

        // Long after new SVIDs would begin after the revocation, with and without the files.
        for (var minute = 0; minute < 10; minute++)
        {
            home.Clock.Now += TimeSpan.FromMinutes(1);
            if (minute == 5) File.Delete(SvidFiles.CertificatePath(home.Options.IdentitiesFolder, hello));
            keeper.Tend(authority);
            Assert.Single(keeper.Problems, static p => p.Contains("service/hello was revoked", StringComparison.Ordinal));
        }
        Assert.DoesNotContain(Held(home), s => s.Id == hello);

        SvidFiles.Write(home.Options.IdentitiesFolder, home.Authority.Issue(hello, TimeSpan.FromSeconds(30), revocation.ReissueTime(home.Clock.Now)));
        for (var second = 0; second < 60; second++)
        {
            keeper.Tend(authority);
            home.Clock.Now += TimeSpan.FromSeconds(1);
        }
        Assert.Empty(keeper.Problems);
        Assert.Null(home.Files.Verifier.Revocations.Refusal(Held(home).Single(s => s.Id == hello)));
    }

    [Fact]
    public void A_node_that_was_revoked_issues_its_own_again_when_its_authority_is_new()
    {
        using var home = new Home(Rules);
        using var authority = NodeAuthority.Load(home.Options.Folder);
        var keeper = Keeper(home, TimeSpan.FromSeconds(30));
        keeper.Tend(authority);
        var now = home.Clock.Now;
        var revocation = new Revocation(
            SpiffeId.Parse("spiffe://home/node/a"), now + Revocation.Lead, RevocationReason.Unspecified, "", home.Operator.Id, now, now.AddDays(1));
        home.Files.Verifier.Revocations.Add(revocation);
        home.Clock.Now += TimeSpan.FromMinutes(5);
        keeper.Tend(authority);
        Assert.Equal(2, keeper.Problems.Count(static p => p.Contains("was revoked", StringComparison.Ordinal)));
        using var newer = home.Authority.IssueNodeAuthority("a", TimeSpan.FromDays(30), revocation.ReissueTime(home.Clock.Now));
        keeper.Tend(newer);
        Assert.Empty(keeper.Problems);
        Assert.Null(home.Files.Verifier.Revocations.Refusal(Held(home).Single(static s => s.Id.Kind == IdentityKind.Vertex)));
    }

    [Fact]
    public void What_a_revoked_authority_has_issued_is_issued_at_once_by_the_next()
    {
        using var home = new Home(Rules);
        using var authority = NodeAuthority.Load(home.Options.Folder);
        var keeper = Keeper(home, TimeSpan.FromHours(10));
        keeper.Tend(authority);
        var now = home.Clock.Now;
        var revocation = new Revocation(
            SpiffeId.Parse("spiffe://home/vertex/a"), now + Revocation.Lead, RevocationReason.Unspecified, "", home.Operator.Id, now, now.AddDays(1));
        home.Files.Verifier.Revocations.Add(revocation);
        home.Clock.Now += TimeSpan.FromMinutes(5);
        using var newer = home.Authority.IssueNodeAuthority("a", TimeSpan.FromDays(30), revocation.ReissueTime(home.Clock.Now));
        keeper.Tend(newer);
        Assert.All(Held(home), s => Assert.Null(home.Files.Verifier.Revocations.Refusal(s)));
        var issued = home.Events.After(0).Count;
        keeper.Tend(newer);
        Assert.Equal(issued, home.Events.After(0).Count);
    }

    [Fact]
    public void A_failure_is_told_and_tried_again()
    {
        using var home = new Home();
        using var authority = NodeAuthority.Load(home.Options.Folder);
        var keeper = Keeper(home, TimeSpan.FromHours(1));
        // Where the pair should be there is a folder: not even root writes there.
        var inTheWay = SvidFiles.CertificatePath(home.Options.IdentitiesFolder, SpiffeId.Parse("spiffe://home/vertex/a"));
        Directory.CreateDirectory(inTheWay);
        keeper.Tend(authority);
        Assert.Contains(keeper.Problems, static p => p.StartsWith("vertex/a cannot be renewed", StringComparison.Ordinal));
        Directory.Delete(inTheWay);
        home.Clock.Now += TimeSpan.FromMinutes(2);
        keeper.Tend(authority);
        Assert.Empty(keeper.Problems);
    }

    [Fact]
    public async Task The_authority_is_renewed_at_half_life_and_a_deaf_issuer_is_asked_again()
    {
        using var home = new Home();
        var asked = 0;
        var isDeaf = true;
        Task<JoinAnswer> Ask(byte[] request, CancellationToken token)
        {
            asked++;
            return isDeaf ? throw new JoinException(JoinRefusal.Unreachable, "cut off") : Task.FromResult(home.Issuer.Renew(request, Home.Relay));
        }
        using var keeper = new AuthorityKeeper(home.Options, home.Files, Ask, home.Metrics, home.Clock, NullLogger.Instance);
        var first = keeper.Current.NotAfter;
        home.Clock.Now += TimeSpan.FromDays(13);
        await keeper.TendAsync(default);
        Assert.Equal(0, asked);
        home.Clock.Now += TimeSpan.FromDays(4);
        for (var i = 0; i < 3600; i++)
        {
            home.Clock.Now += TimeSpan.FromSeconds(1);
            await keeper.TendAsync(default);
        }
        // Every ten minutes at most, every five at least, once it has waited long.
        Assert.InRange(asked, 8, 30);
        Assert.Contains("cut off", keeper.Problem, StringComparison.Ordinal);
        isDeaf = false;
        home.Clock.Now += TimeSpan.FromMinutes(10);
        await keeper.TendAsync(default);
        Assert.Null(keeper.Problem);
        Assert.True(keeper.Current.NotAfter > first.AddDays(16));
        using var saved = NodeAuthority.Load(home.Options.Folder);
        Assert.Equal(keeper.Current.NotAfter, saved.NotAfter);
        Assert.Equal("a", saved.Node.Name);
    }

    [Fact]
    public async Task What_an_issuer_answers_is_verified()
    {
        using var home = new Home();
        using var foreign = new Home();
        var before = File.ReadAllText(NodeAuthority.CertificatePath(home.Options.Folder));
        using var other = home.Authority.IssueNodeAuthority("b", TimeSpan.FromDays(30), home.Clock.Now);
        using var strange = foreign.Authority.IssueNodeAuthority("a", TimeSpan.FromDays(30), home.Clock.Now);
        foreach (var answer in new[] { other.Certificate.RawData, strange.Certificate.RawData, [1, 2, 3], home.Authority.Root.RawData })
        {
            using var keeper = new AuthorityKeeper(
                home.Options, home.Files, (_, _) => Task.FromResult(new JoinAnswer(answer, "", "")), home.Metrics, new StillClock { Now = home.Clock.Now.AddDays(17) }, NullLogger.Instance);
            await keeper.TendAsync(default);
            Assert.NotNull(keeper.Problem);
            Assert.Equal(before, File.ReadAllText(NodeAuthority.CertificatePath(home.Options.Folder)));
        }
    }

    [Fact]
    public void Renewal_is_due_about_half_life_and_waits_are_bounded()
    {
        var from = new StillClock().Now;
        Check.QuickThrowOnFailure(Prop.ForAll<PositiveInt, NormalFloat>((seconds, any) =>
        {
            var luck = Math.Abs(any.Item % 1);
            var due = RenewalTimes.DueAt(from - CertificateAuthority.Backdating, from.AddSeconds(seconds.Item), luck);
            var wait = RenewalTimes.BackOff(seconds.Item, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1), luck);
            return due >= from.AddSeconds(seconds.Item * 0.449) && due <= from.AddSeconds(seconds.Item * 0.551)
                && wait >= TimeSpan.FromSeconds(0.5) && wait <= TimeSpan.FromMinutes(1);
        }));
    }

    private static LeafKeeper Keeper(Home home, TimeSpan life) =>
        new(home.Options with { SvidLifetime = life }, home.Files, home.Events, home.Metrics, home.Clock, NullLogger.Instance);

    private static IReadOnlyList<X509Svid> Held(Home home) => [.. IdentityFolder.Open(home.Options.IdentitiesFolder).Identities.Select(static held => held.Current)];
}
