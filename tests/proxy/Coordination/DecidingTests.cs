using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Layers;
using Florete.Proxy.Coordination;

namespace Florete.Proxy.Tests.Coordination;

/// <summary>Which decisions a vertex takes.</summary>
public class DecidingTests
{
    private const string Rules = "coordinate: [a, b, c]\nlinks:\n  - between: [c, b]\n  - between: [c, e]\n";

    private static readonly Epoch Five = new(5, "c");

    private static DecisionDocument Decision(Epoch epoch, ulong number, params string[] via) => CoordinationLab.Decision(epoch, number, via);

    [Fact]
    public void A_decision_is_on_disk_before_it_is_in_force()
    {
        using var lab = new CoordinationLab(Rules);
        var c = lab.Issue("node/c");
        lab.File.IsSlow = true;
        var answer = lab.Decide(c, Decision(Five, 17, "e", "c>b"));
        Assert.False(answer.IsThere);
        Assert.Equal(0, lab.Network.PathChanges);
        lab.Turn(lab.File.Finish);
        Assert.True(answer.IsGood);
        Assert.Equal([CoordinationLab.Path("t0", "e"), CoordinationLab.Path("t1", "c>b")], lab.Network.Paths);
        Assert.Equal(Five, lab.File.Loaded.Newest);

        lab.File.IsSlow = false;
        lab.File.Fault = new IOException("No space left.");
        Assert.Equal("No space left.", lab.Decide(c, Decision(Five, 18)).Problem);
        Assert.Equal(2, lab.Network.Paths.Count);
        lab.File.Fault = null;
        Assert.True(lab.Decide(c, Decision(Five, 18)).IsGood);
        Assert.Empty(lab.Network.Paths);
    }

    [Fact]
    public void Each_check_refuses_with_its_reason_and_the_first_that_fails_is_told()
    {
        using var lab = new CoordinationLab(Rules);
        var (b, c, d) = (lab.Issue("node/b"), lab.Issue("node/c"), lab.Issue("node/d"));
        var good = Decision(Five, 1, "c>b");
        var bytes = good.Encode();

        Assert.Equal(DecisionRefusal.Malformed, lab.Decide(c.Id, CoordinationLab.Sign(c, [.. bytes, (byte)'}'])).Reason);
        Assert.Equal(DecisionRefusal.Malformed, lab.Decide(c.Id, CoordinationLab.Sign(c, new byte[CoordinationProtocol.MaxDecisionBytes + 1])).Reason);
        Assert.Equal(DecisionRefusal.NotMine, lab.Decide(c.Id, CoordinationLab.Sign(c, DecisionDocument.Of("home", "x", Five, 1, []).Encode())).Reason);
        Assert.Equal(DecisionRefusal.NotMine, lab.Decide(c.Id, CoordinationLab.Sign(c, DecisionDocument.Of("office", "a", Five, 1, []).Encode())).Reason);
        // What c has signed, said by another.
        Assert.Equal(DecisionRefusal.NotCoordinator, lab.Decide(b.Id, CoordinationLab.Sign(c, bytes)).Reason);
        Assert.Equal(DecisionRefusal.NotCoordinator, lab.Decide(d, Decision(new Epoch(5, "d"), 1)).Reason);

        var signed = CoordinationLab.Sign(c, bytes);
        Assert.Equal(DecisionRefusal.Unproved, lab.Decide(c.Id, signed with { Signature = Flip(signed.Signature) }).Reason);
        Assert.Equal(DecisionRefusal.Unproved, lab.Decide(c.Id, signed with { Signature = [] }).Reason);
        Assert.Equal(DecisionRefusal.Unproved, lab.Decide(c.Id, signed with { Chain = [1, 2, 3] }).Reason);
        Assert.Equal(DecisionRefusal.Unproved, lab.Decide(c.Id, signed with { Chain = EncodedChain.Encode(b) }).Reason);
        Assert.Equal(DecisionRefusal.Unproved, lab.Decide(c.Id, CoordinationLab.Sign(b, bytes)).Reason);
        Assert.Equal(DecisionRefusal.Unproved, lab.Decide(c.Id, CoordinationLab.Sign(lab.Issue("vertex/c"), bytes)).Reason);
        Assert.Equal(DecisionRefusal.Unproved, lab.Decide(c.Id, CoordinationLab.Sign(c, bytes, "storage/version")).Reason);
        Assert.Equal(DecisionRefusal.Unproved, lab.Decide(c.Id, signed with { Document = Decision(Five, 2, "c>b").Encode() }).Reason);
        using (var twin = CertificateAuthority.Create("home", CoordinationLab.Start))
        {
            Assert.Equal(DecisionRefusal.Unproved, lab.Decide(c.Id, CoordinationLab.Sign(twin.Issue(c.Id, TimeSpan.FromHours(1), CoordinationLab.Start), bytes)).Reason);
        }

        Assert.Equal(DecisionRefusal.OutsideBounds, lab.Decide(c, Decision(Five, 1, "c>b", "e>b")).Reason);
        Assert.Equal(0, lab.File.Saves);
        Assert.True(lab.Decide(c, good).IsGood);
        Assert.Equal(DecisionRefusal.StaleEpoch, lab.Decide(b, Decision(new Epoch(5, "b"), 1, "e>b")).Reason);
        Assert.True(lab.Decide(c, Decision(Five, 4)).IsGood);
        Assert.Equal(DecisionRefusal.StaleNumber, lab.Decide(c, Decision(Five, 3, "e>b")).Reason);
    }

    [Fact]
    public void What_a_frozen_coordinator_sends_when_it_wakes_is_refused_by_a_vertex_that_knows_its_successor()
    {
        using var lab = new CoordinationLab(Rules);
        var c = lab.Issue("node/c");
        Assert.True(lab.Decide(c, Decision(Five, 1, "e")).IsGood);
        lab.Says("b", new Candidacy(CandidacyState.Coordinator, 6));
        var late = lab.Decide(c, Decision(Five, 2));
        Assert.Equal(DecisionRefusal.StaleEpoch, late.Reason);
        Assert.Contains("6 (b)", late.Refused!.Text, StringComparison.Ordinal);
        // What it decided in its time goes on.
        Assert.Single(lab.Network.Paths);
    }

    [Fact]
    public void A_successor_counts_anew_and_what_is_confirmed_again_is_not_written_again()
    {
        using var lab = new CoordinationLab(Rules);
        var (b, c) = (lab.Issue("node/b"), lab.Issue("node/c"));
        Assert.True(lab.Decide(c, Decision(Five, 9, "e")).IsGood);
        var writes = lab.File.Saves;
        // A signature is another each time.
        for (var i = 0; i < 10; i++) Assert.True(lab.Decide(c, Decision(Five, 9, "e")).IsGood);
        Assert.Equal((writes, 1), (lab.File.Saves, lab.Network.PathChanges));
        Assert.Equal(DecisionRefusal.StaleNumber, lab.Decide(c, Decision(Five, 9, "b")).Reason);

        Assert.True(lab.Decide(b, Decision(new Epoch(6, "b"), 1, "b")).IsGood);
        Assert.Equal(new Epoch(6, "b"), lab.Core.Newest);
        Assert.Equal(DecisionRefusal.StaleEpoch, lab.Decide(c, Decision(Five, 10, "e")).Reason);
    }

    [Fact]
    public void Decisions_that_come_while_one_is_written_are_judged_one_after_the_other()
    {
        using var lab = new CoordinationLab(Rules);
        var (b, c) = (lab.Issue("node/b"), lab.Issue("node/c"));
        lab.File.IsSlow = true;
        var first = lab.Decide(b, Decision(new Epoch(6, "b"), 2, "e"));
        var older = lab.Decide(c, Decision(Five, 1, "b"));
        var lower = lab.Decide(b, Decision(new Epoch(6, "b"), 1, "b"));
        lab.Turn(lab.File.Finish);
        Assert.True(first.IsGood);
        Assert.Equal((DecisionRefusal.StaleEpoch, DecisionRefusal.StaleNumber), (older.Reason, lower.Reason));
        Assert.Equal(1, lab.File.Saves);
        Assert.Equal([CoordinationLab.Path("t0", "e")], lab.Network.Paths);
    }

    [Fact]
    public void What_the_bounds_no_longer_allow_is_not_in_force_until_they_do_again()
    {
        using var lab = new CoordinationLab(Rules);
        Assert.True(lab.Decide(lab.Issue("node/c"), Decision(Five, 1, "c>b", "e")).IsGood);
        lab.Obey("coordinate: [a, b, c]\nlinks:\n  - between: [c, e]\n");
        Assert.Empty(lab.Network.Paths);
        lab.Obey(Rules);
        Assert.Equal(2, lab.Network.Paths.Count);
        lab.Obey(Rules.Replace(", c]\n", "]\n", StringComparison.Ordinal));
        Assert.Empty(lab.Network.Paths);
        lab.Boot();
        Assert.Empty(lab.Network.Paths);
        lab.Obey(Rules);
        Assert.Equal(2, lab.Network.Paths.Count);
    }

    [Fact]
    public void At_the_next_start_a_decision_is_checked_again_and_outlives_the_svid_that_signed_it_but_no_revocation()
    {
        using var lab = new CoordinationLab(Rules);
        var c = lab.Issue("node/c", TimeSpan.FromHours(1));
        Assert.True(lab.Decide(c, Decision(Five, 1, "e")).IsGood);
        lab.Clock.Run(TimeSpan.FromHours(2));
        Assert.Equal(DecisionRefusal.Unproved, lab.Decide(c, Decision(Five, 2)).Reason);
        lab.Boot();
        Assert.Single(lab.Network.Paths);

        var kept = lab.File.Loaded;
        lab.File.Loaded = kept with { Decision = kept.Decision! with { Signed = kept.Decision.Signed with { Signature = Flip(kept.Decision.Signed.Signature) } } };
        lab.Boot();
        Assert.Empty(lab.Network.Paths);
        Assert.Equal(Five, lab.Core.Newest);

        lab.File.Loaded = kept;
        lab.Boot();
        Assert.Single(lab.Network.Paths);
        var now = lab.Clock.WallClock.GetUtcNow();
        lab.Turn(() => lab.Revocations.Add(new Revocation(c.Id, now, RevocationReason.KeyCompromise, "", CoordinationLab.Id("operator/root"), now, now.AddDays(1))));
        Assert.Empty(lab.Network.Paths);
    }

    [Fact]
    public void Garbled_decisions_are_refused_and_never_throw()
    {
        using var lab = new CoordinationLab(Rules);
        var c = lab.Issue("node/c");
        var signed = CoordinationLab.Sign(c, Decision(Five, 1, "c>b").Encode());
        var random = new Random(11);
        for (var i = 0; i < 600; i++)
        {
            var garbled = (i % 3) switch
            {
                0 => signed with { Document = Garble(signed.Document, random) },
                1 => signed with { Signature = Garble(signed.Signature, random) },
                _ => signed with { Chain = Garble(signed.Chain, random) },
            };
            Assert.NotNull(lab.Checks.Check(c.Id, garbled, CoordinationLab.Start, out _));
        }
    }

    private static byte[] Flip(byte[] bytes) => [.. bytes.Select(static (b, i) => i == 5 ? (byte)(b ^ 1) : b)];

    private static byte[] Garble(byte[] bytes, Random random)
    {
        byte[] garbled = [.. bytes];
        garbled[random.Next(garbled.Length)] ^= (byte)(1 << random.Next(8));
        return random.Next(4) == 0 ? garbled[..random.Next(garbled.Length)] : garbled;
    }
}
