using Florete.Identities;

namespace Florete.Layers.Tests;

/// <summary>Revocations travel with the directory, and what they hit leaves it (docs/protocols/revocation.md).</summary>
public sealed class RevocationTests : IDisposable
{
    private static readonly TimeSpan Moment = TimeSpan.FromSeconds(2), Soon = TimeSpan.FromSeconds(5);

    private readonly DirectoryNetwork network = new(1);
    private readonly X509Svid root;

    public RevocationTests() => root = network.Issue(DirectoryNetwork.Id("root", IdentityKind.Operator), TimeSpan.FromDays(300));

    public void Dispose() => network.Dispose();

    private DateTimeOffset Now => network.Clock.WallClock.GetUtcNow();

    [Fact]
    public void What_a_revoked_service_has_announced_is_gone_everywhere_within_seconds_also_across_loss()
    {
        network.Loss = 0.3;
        var line = network.Line(5);
        var hello = line[4].Announce("hello");
        Assert.True(network.Converges(TimeSpan.FromMinutes(1)));
        network.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Single(line[0].Directory.Find(hello.Id));
        Announce(line[2], Revoke(hello.Id));
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Revocations.InForce.Count == 1 && v.Directory.Find(hello.Id).Count == 0), Soon));
        Assert.All(line, v => Assert.Single(v.Revoked.Loaded));
        Assert.Single(line[0].Events.After(0), e => e.Kind == SecurityEventKind.Revocation && e.Subject == "service/hello");

        // Its holder goes on signing, and nobody takes it.
        line[4].Turn(() => line[4].Directory.Announce(network.Hold(hello.Id, null, TimeSpan.FromMinutes(1))));
        network.Clock.Run(Soon);
        Assert.All(line, v => Assert.Empty(v.Directory.Find(hello.Id)));
    }

    [Fact]
    public void A_service_that_is_issued_anew_is_there_again_at_once()
    {
        var line = network.Line(3);
        var hello = line[2].Announce("hello");
        Assert.True(network.Converges(Soon));
        var signed = Revoke(hello.Id);
        Announce(line[0], signed);
        network.Clock.Run(Moment);
        Assert.Empty(line[2].Directory.Find(hello.Id));
        hello.Renew(network.Authority.Issue(hello.Id, TimeSpan.FromHours(1), signed.Content.ReissueTime(Now)));
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Directory.Find(hello.Id).Count == 1), Moment));
    }

    [Theory]
    [InlineData(IdentityKind.Vertex)]
    [InlineData(IdentityKind.Node)]
    public void A_revoked_node_is_no_longer_in_the_topology_nor_are_its_services(IdentityKind kind)
    {
        var ring = network.Ring(4);
        ring[2].Announce("hello");
        Assert.True(network.Converges(Soon));
        Announce(ring[0], Revoke(DirectoryNetwork.Id("v2", kind)));
        network.Clock.Run(Moment);
        foreach (var vertex in new[] { ring[0], ring[1], ring[3] })
        {
            Assert.Null(vertex.Directory.Topology.Find(ring[2].Id));
            Assert.Empty(vertex.Directory.Services);
        }

        // It still knows itself, and is told that it is revoked.
        Assert.NotNull(ring[2].Directory.Topology.Find(ring[2].Id));
        Assert.NotNull(ring[2].Revocations.Refusal(ring[2].Identity.Current));
    }

    [Fact]
    public void A_side_that_was_cut_off_follows_when_it_returns()
    {
        var line = network.Line(4);
        var hello = line[0].Announce("hello");
        Assert.True(network.Converges(Soon));
        network.Links[1].Down();
        Announce(line[0], Revoke(hello.Id));
        network.Clock.Run(TimeSpan.FromSeconds(60));
        Assert.Empty(line[3].Revocations.InForce);
        network.Links[1].Up();
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Revocations.InForce.Count == 1), Soon));
    }

    [Fact]
    public void It_stays_in_force_when_every_vertex_restarts_with_nothing_but_its_file()
    {
        var line = network.Line(3);
        var hello = line[2].Announce("hello");
        Assert.True(network.Converges(Soon));
        Announce(line[0], Revoke(hello.Id));
        Assert.True(network.Clock.RunUntil(() => line.All(v => v.Revocations.InForce.Count == 1), Soon));
        foreach (var vertex in line) vertex.Stop();
        foreach (var vertex in line)
        {
            vertex.Cache = null;
            vertex.Boot();

            // Before anything else has happened.
            Assert.Single(vertex.Revocations.InForce);
        }
        network.Connect(line[0], line[1]);
        network.Connect(line[1], line[2]);
        line[2].Turn(() => line[2].Directory.Announce(hello));
        Assert.True(network.Converges(Soon));
        network.Clock.Run(Moment);
        Assert.All(line, v => Assert.Empty(v.Directory.Services));

        // A newcomer gets it from them.
        var late = network.Add("late");
        network.Connect(late, line[0]);
        Assert.True(network.Clock.RunUntil(() => late.Revocations.InForce.Count == 1, Soon));
        Assert.True(network.Converges(Soon));
    }

    [Fact]
    public void It_takes_effect_only_when_it_is_saved_and_also_when_the_disk_refuses()
    {
        var vertex = network.Add("a");
        var (alice, bob) = (DirectoryNetwork.Id("alice", IdentityKind.User), DirectoryNetwork.Id("bob", IdentityKind.User));
        vertex.Revoked.IsSlow = true;
        var answer = Begin(vertex, Revoke(alice));
        network.Clock.Run(Moment);
        Assert.False(answer.IsCompleted);
        Assert.Empty(vertex.Revocations.InForce);
        vertex.Revoked.Finish();
        network.Clock.Run(Moment);
        Assert.True(answer.IsCompletedSuccessfully);
        Assert.Equal(alice, Assert.Single(vertex.Revocations.InForce).Subject);

        vertex.Revoked.Fault = new IOException("The disk is full.");
        answer = Begin(vertex, Revoke(bob));
        vertex.Revoked.Finish();
        network.Clock.Run(Moment);
        Assert.True(answer.IsCompletedSuccessfully);
        Assert.Equal(2, vertex.Revocations.InForce.Count);
        Assert.Equal("The disk is full.", vertex.Directory.Status().RevocationProblem);
    }

    [Fact]
    public void Of_two_of_one_identity_the_later_counts_whatever_the_order_and_whoever_signed()
    {
        var alice = DirectoryNetwork.Id("alice", IdentityKind.User);
        var other = network.Issue(DirectoryNetwork.Id("second", IdentityKind.Operator), TimeSpan.FromDays(300));
        var (early, late, between) = (Revoke(alice, after: TimeSpan.FromSeconds(-60)), Revoke(alice), Revoke(alice, other, TimeSpan.FromSeconds(-30)));
        foreach (var order in new[] { new[] { early, late, between }, [late, early, between], [between, late, early] })
        {
            var vertex = network.Add($"v{network.Vertices.Count}");
            foreach (var signed in order) Announce(vertex, signed);
            network.Clock.Run(Moment);
            Assert.Equal(late.Content.Before, Assert.Single(vertex.Revocations.InForce).Before);
        }
        network.Connect(network.Vertices[0], network.Vertices[1]);
        network.Connect(network.Vertices[1], network.Vertices[2]);
        Assert.True(network.Converges(Soon));
    }

    [Fact]
    public void What_is_in_force_already_is_answered_so()
    {
        var vertex = network.Add("a");
        var signed = Revoke(DirectoryNetwork.Id("alice", IdentityKind.User));
        Assert.True(Announce(vertex, signed).IsNew);
        Assert.False(Announce(vertex, signed).IsNew);
        Assert.Equal(1, vertex.Revoked.Saves);
    }

    [Fact]
    public void Nothing_but_an_operator_of_this_root_revokes_and_what_others_sign_is_refused_by_its_reason()
    {
        var vertex = network.Add("a");
        var alice = DirectoryNetwork.Id("alice", IdentityKind.User);
        using var foreign = CertificateAuthority.Create("home", Now);
        var stranger = foreign.Issue(root.Id, TimeSpan.FromDays(1), Now);
        Assert.Contains("unknown authority", Refused(vertex, Revoke(alice, stranger).Message), StringComparison.Ordinal);

        var altered = Revoke(alice).Message.ToArray();
        altered[^1] ^= 1;
        Assert.Contains("altered", Refused(vertex, altered), StringComparison.Ordinal);

        var elsewhere = SignedRevocation.Sign("another-layer", Revoke(alice).Content, root);
        Assert.Contains("another layer", Refused(vertex, elsewhere.Message), StringComparison.Ordinal);

        foreach (var kind in new[] { IdentityKind.Vertex, IdentityKind.Service, IdentityKind.Node })
        {
            var thief = network.Issue(DirectoryNetwork.Id("thief", kind));
            var record = RecordWriter.Sign("cluster", RecordKind.Revocation, RecordFlags.Lasting, 1, 1, thief, alice.ToString(), Body());
            Assert.Contains("only an operator", Refused(vertex, SignedRevocation.Of(EncodedChain.Encode(thief), record, Revoke(alice).Content).Message), StringComparison.Ordinal);
        }

        var ahead = Revoke(alice, after: TimeSpan.FromDays(1));
        Assert.Contains("clock", Refused(vertex, ahead.Message), StringComparison.Ordinal);
        Assert.Empty(vertex.Revocations.InForce);
    }

    [Fact]
    public void A_neighbour_s_forged_revocations_are_refused_and_counted()
    {
        var victim = network.Add("victim");
        var enemy = network.Issue(DirectoryNetwork.Id("enemy"));
        DirectoryPeer? peer = null;
        victim.Turn(() => peer = victim.Directory.AddPeer(enemy.Id, _ => { }));
        var alice = DirectoryNetwork.Id("alice", IdentityKind.User);
        var forged = RecordWriter.Sign("cluster", RecordKind.Revocation, RecordFlags.Lasting, 1, 1, enemy, alice.ToString(), Body());
        var aging = RecordWriter.Sign("cluster", RecordKind.Revocation, RecordFlags.None, 1, 1, root, alice.ToString(), Body());
        var withdrawn = RecordWriter.Sign("cluster", RecordKind.Revocation, RecordFlags.Lasting | RecordFlags.Withdrawn, 1, 1, root, alice.ToString(), Body());
        var foreign = RecordWriter.Sign("cluster", RecordKind.Revocation, RecordFlags.Lasting, 1, 1, root, "spiffe://elsewhere/user/alice", Body());
        var timeless = RecordWriter.Sign("cluster", RecordKind.Revocation, RecordFlags.Lasting, ulong.MaxValue, 1, root, alice.ToString(), Body());
        foreach (var record in new[] { forged, aging, withdrawn, foreign, timeless }) Say(victim, peer!, SectionType.Record, [0xFF, 0xFF, .. record]);
        network.Clock.Run(Moment);
        var refused = victim.Directory.Status().Refused;
        Assert.Equal(1, refused[DirectoryRefusal.WrongKind]);
        Assert.Equal(4, refused[DirectoryRefusal.Malformed]);
        Assert.Empty(victim.Revocations.InForce);
    }

    [Fact]
    public void A_revoked_operator_revokes_nothing_more_and_what_it_revoked_before_stays()
    {
        var line = network.Line(2);
        var bad = network.Issue(DirectoryNetwork.Id("bad", IdentityKind.Operator), TimeSpan.FromDays(300));
        var (alice, bob) = (DirectoryNetwork.Id("alice", IdentityKind.User), DirectoryNetwork.Id("bob", IdentityKind.User));
        Announce(line[0], Revoke(alice, bad));
        network.Clock.Run(Moment);
        Announce(line[1], Revoke(bad.Id));
        network.Clock.Run(Moment);
        Assert.Contains("revoked", Refused(line[0], Revoke(bob, bad).Message), StringComparison.Ordinal);
        Assert.All(line, v => Assert.Equal([bad.Id, alice], v.Revocations.InForce.Select(r => r.Subject)));
        Assert.True(network.Converges(Soon));

        // Its own end it may say itself.
        var self = network.Issue(DirectoryNetwork.Id("honest", IdentityKind.Operator), TimeSpan.FromDays(300));
        Announce(line[0], Revoke(self.Id, self));
        Assert.True(network.Clock.RunUntil(() => line[1].Revocations.InForce.Count == 3, Soon));
        Assert.True(network.Converges(Soon));
    }

    [Fact]
    public void When_no_more_are_held_the_operator_is_told_and_those_in_force_stay()
    {
        network.Options = new DirectoryOptions { MaxRevocations = 3 };
        var vertex = network.Add("a");
        for (var i = 0; i < 3; i++) Announce(vertex, Revoke(DirectoryNetwork.Id($"user-{i}", IdentityKind.User)));
        Assert.Contains("as many as it may", Refused(vertex, Revoke(DirectoryNetwork.Id("user-3", IdentityKind.User)).Message), StringComparison.Ordinal);
        Assert.Equal(3, vertex.Revocations.InForce.Count);
        Assert.Equal(1, vertex.Directory.Status().Refused[DirectoryRefusal.Quota]);

        // One of these again is no more.
        network.Clock.Run(Moment);
        Assert.True(Announce(vertex, Revoke(DirectoryNetwork.Id("user-0", IdentityKind.User))).IsNew);
    }

    [Fact]
    public void It_is_let_go_when_it_is_no_longer_needed()
    {
        var line = network.Line(2);
        var alice = DirectoryNetwork.Id("alice", IdentityKind.User);
        Announce(line[0], SignedRevocation.Sign("cluster", Revoke(alice).Content with { NeededUntil = Now + TimeSpan.FromHours(1) }, root));
        network.Clock.Run(Moment);
        Assert.All(line, v => Assert.Single(v.Revocations.InForce));
        network.Clock.Run(TimeSpan.FromMinutes(62));
        Assert.All(line, v => Assert.Empty(v.Revocations.InForce));
        Assert.True(network.Converges(Soon));
    }

    private SignedRevocation Revoke(SpiffeId subject, X509Svid? signer = null, TimeSpan after = default)
    {
        signer ??= root;
        var content = new Revocation(subject, Now + Revocation.Lead + after, RevocationReason.KeyCompromise, "lost", signer.Id, Now, Now + TimeSpan.FromDays(100));
        return SignedRevocation.Sign("cluster", content, signer);
    }

    private byte[] Body() => new RevocationBody(Now + TimeSpan.FromDays(1), RevocationReason.Unspecified, "").Encode();

    private static void Say(DirectoryVertex to, DirectoryPeer peer, SectionType type, byte[] content) =>
        to.Turn(() => to.Directory.Receive(peer, [1, (byte)type, (byte)(content.Length >> 8), (byte)content.Length, .. content]));

    private static Task<AnnouncedRevocation> Begin(DirectoryVertex at, SignedRevocation signed)
    {
        Task<AnnouncedRevocation>? answer = null;
        at.Turn(() => answer = at.Directory.AnnounceAsync(signed.Message));
        return answer!;
    }

    private AnnouncedRevocation Announce(DirectoryVertex at, SignedRevocation signed)
    {
        var answer = Begin(at, signed);
        Assert.True(network.Clock.RunUntil(() => answer.IsCompleted, Moment));
        return answer.GetAwaiter().GetResult();
    }

    private static string Refused(DirectoryVertex at, byte[] message) =>
        Assert.Throws<IdentityException>(() => at.Turn(() => _ = at.Directory.AnnounceAsync(message))).Message;
}
