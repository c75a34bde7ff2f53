using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Layers;
using Florete.Proxy.Coordination;

namespace Florete.Proxy.Tests.Coordination;

/// <summary>What a vertex says of the program that attends, in virtual time.</summary>
public class AttendingTests
{
    private static readonly TimeSpan Patience = CoordinationProtocol.StandPatience;

    private static Candidacy Candidate(ulong counter = 0) => new(CandidacyState.Candidate, counter);

    private static Candidacy Coordinator(ulong counter) => new(CandidacyState.Coordinator, counter);

    [Fact]
    public void A_program_is_a_candidate_from_its_first_word_until_it_has_been_silent_for_two_seconds_and_a_half()
    {
        using var lab = new CoordinationLab();
        var program = lab.Attend();
        Assert.Equal(("a", true, 0, 1, 1L), (program.View.Vertex, program.View.Named, program.View.Candidates.Count, program.View.Vertices.Count, program.View.BoundsVersion));
        Assert.Empty(lab.Network.Said);

        program.Run(TimeSpan.FromSeconds(20), StandState.Candidate);
        Assert.Equal([Candidate()], lab.Network.Said);
        Assert.Equal(new CandidateView("a", StandState.Candidate, 0), Assert.Single(program.View.Candidates));

        // An interval has gone since its last word.
        lab.Clock.Run(Patience - CoordinationProtocol.StandInterval - TimeSpan.FromMilliseconds(1));
        Assert.Single(lab.Network.Said);
        lab.Clock.Run(TimeSpan.FromMilliseconds(1));
        Assert.Equal([Candidate(), null], lab.Network.Said);
        Assert.Empty(program.View.Candidates);

        program.Stand(StandState.Candidate);
        Assert.Equal(Candidate(), lab.Network.Said[^1]);
        program.Leave();
        Assert.Equal([Candidate(), null, Candidate(), null], lab.Network.Said);
    }

    [Fact]
    public void A_claim_is_on_disk_before_anybody_hears_of_it()
    {
        using var lab = new CoordinationLab();
        lab.File.IsSlow = true;
        var program = lab.Attend();
        program.Stand(StandState.Candidate);
        var claim = program.Stand(StandState.Coordinator, 1);
        Assert.False(claim.IsThere);
        // It says so again meanwhile.
        Assert.True(program.Stand(StandState.Coordinator, 1).IsGood);
        Assert.Equal([Candidate()], lab.Network.Said);
        Assert.Null(program.View.Newest);

        lab.Turn(lab.File.Finish);
        Assert.True(claim.IsGood);
        Assert.Equal([Candidate(), Coordinator(1)], lab.Network.Said);
        Assert.Equal(new Epoch(1, "a"), program.View.Newest);
        Assert.Equal((1, 1UL), (lab.File.Saves, lab.File.Loaded.Claimed));
    }

    [Fact]
    public void A_program_that_was_frozen_while_another_was_elected_does_not_go_on_as_coordinator()
    {
        using var lab = new CoordinationLab();
        var program = lab.Attend();
        program.Run(TimeSpan.FromSeconds(2), StandState.Coordinator, 4);
        Assert.Equal([Coordinator(4)], lab.Network.Said);

        // Its sockets are open, and it says nothing.
        lab.Clock.Run(Patience);
        Assert.Equal([Coordinator(4), null], lab.Network.Said);
        lab.Says("b", Coordinator(5));

        var resumed = program.Stand(StandState.Coordinator, 4);
        Assert.Equal(DecisionRefusal.StaleEpoch, resumed.Reason);
        Assert.Equal([Coordinator(4), null, Candidate(5)], lab.Network.Said);
        Assert.Equal(new Epoch(5, "b"), program.View.Newest);
    }

    [Fact]
    public void A_program_whose_silence_nobody_used_goes_on_and_another_in_its_place_begins_a_term_of_its_own()
    {
        using var lab = new CoordinationLab();
        var program = lab.Attend();
        program.Stand(StandState.Coordinator, 1);
        lab.Clock.Run(TimeSpan.FromSeconds(3));
        Assert.True(program.Stand(StandState.Coordinator, 1).IsGood);
        Assert.Equal([Coordinator(1), null, Coordinator(1)], lab.Network.Said);
        Assert.Equal(1, lab.File.Saves);

        var another = lab.Attend();
        Assert.True(program.IsReplaced);
        Assert.Null(lab.Network.Said[^1]);
        Assert.Contains("Another program", program.Stand(StandState.Coordinator, 1).Problem, StringComparison.Ordinal);
        Assert.Equal(DecisionRefusal.StaleEpoch, another.Stand(StandState.Coordinator, 1).Reason);
        Assert.True(another.Stand(StandState.Coordinator, 2).IsGood);
        // The one that was replaced goes, and takes nothing with it.
        program.Leave();
        Assert.Equal(Coordinator(2), lab.Network.Said[^1]);
    }

    [Fact]
    public void A_coordinator_keeps_its_term_beside_a_greater_one_until_it_says_otherwise()
    {
        using var lab = new CoordinationLab();
        var program = lab.Attend();
        program.Stand(StandState.Coordinator, 1);
        lab.Says("b", Coordinator(7));
        Assert.True(program.Stand(StandState.Coordinator, 1).IsGood);
        Assert.Equal([Coordinator(1)], lab.Network.Said);
        Assert.True(program.Stand(StandState.Candidate).IsGood);
        Assert.Equal([Coordinator(1), Candidate(7)], lab.Network.Said);
        Assert.Equal(DecisionRefusal.StaleEpoch, program.Stand(StandState.Coordinator, 7).Reason);
        Assert.True(program.Stand(StandState.Coordinator, 8).IsGood);
    }

    [Fact]
    public void What_was_claimed_or_seen_is_not_forgotten_by_a_restart()
    {
        using var lab = new CoordinationLab();
        lab.Attend().Stand(StandState.Coordinator, 3);
        lab.Boot();
        Assert.Equal(DecisionRefusal.StaleEpoch, lab.Attend().Stand(StandState.Coordinator, 3).Reason);
        lab.Says("c", Coordinator(9));
        lab.Boot();
        var program = lab.Attend();
        Assert.Equal(new Epoch(9, "c"), program.View.Newest);
        Assert.Equal(DecisionRefusal.StaleEpoch, program.Stand(StandState.Coordinator, 9).Reason);
        Assert.True(program.Stand(StandState.Coordinator, 10).IsGood);
    }

    [Fact]
    public void An_epoch_counts_when_it_is_on_disk_and_is_written_again_when_the_disk_is_back()
    {
        using var lab = new CoordinationLab();
        var program = lab.Attend();
        lab.File.Fault = new IOException("No space left.");
        lab.Says("b", Coordinator(5));
        Assert.Null(program.View.Newest);
        Assert.Equal("No space left.", program.Stand(StandState.Coordinator, 1).Problem);
        Assert.Equal(Candidate(), lab.Network.Said[^1]);
        lab.File.Fault = null;
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(new Epoch(5, "b"), program.View.Newest);
    }

    [Fact]
    public void An_epoch_is_void_when_the_bounds_no_longer_name_its_vertex()
    {
        using var lab = new CoordinationLab();
        var program = lab.Attend();
        program.Stand(StandState.Coordinator, 2);
        program.Stand(StandState.Candidate);
        lab.Turn(() => lab.Network.Remembers(new Epoch(ulong.MaxValue, "b")));
        Assert.Equal(DecisionRefusal.StaleEpoch, program.Stand(StandState.Coordinator, ulong.MaxValue).Reason);

        lab.Turn(() => lab.Network.Remembers(null));
        lab.Obey("coordinate: [a, c]");
        Assert.Equal(new Epoch(2, "a"), program.View.Newest);
        Assert.Equal(2, program.View.BoundsVersion);
        Assert.Equal(DecisionRefusal.StaleEpoch, program.Stand(StandState.Coordinator, 2).Reason);
        Assert.True(program.Stand(StandState.Coordinator, 3).IsGood);
    }

    [Fact]
    public void Of_a_node_that_is_not_named_the_vertex_says_nothing()
    {
        using var lab = new CoordinationLab("coordinate: [b]");
        var program = lab.Attend();
        Assert.False(program.View.Named);
        Assert.True(program.Stand(StandState.Candidate).IsGood);
        Assert.Equal(DecisionRefusal.NotCoordinator, program.Stand(StandState.Coordinator, 1).Reason);
        Assert.Empty(lab.Network.Said);
        lab.Obey("coordinate: [a, b]");
        Assert.True(program.View.Named);
        Assert.Equal([Candidate()], lab.Network.Said);
        Assert.True(program.Stand(StandState.Coordinator, 1).IsGood);
        lab.Obey("coordinate: []");
        Assert.Equal([Candidate(), Coordinator(1), null], lab.Network.Said);
    }
}
