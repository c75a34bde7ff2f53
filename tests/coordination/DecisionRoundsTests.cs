using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Coordination.Tests;

public class DecisionRoundsTests
{
    private static readonly Epoch Term = new(5, "c");
    private static readonly Instant Start = new(1_000_000_000);

    private readonly DecisionRounds rounds = new("home");

    [Fact]
    public void A_vertex_that_appears_is_told_at_once_and_again_every_two_seconds()
    {
        rounds.Begin(Term);
        rounds.SetVertices(["a", "b"], Start);
        var first = rounds.TakeDue(At(0), 64);
        Assert.Equal(["a", "b"], first.Select(static d => d.Document.Vertex));
        Assert.All(first, static d => Assert.Equal(Term, d.Document.Epoch));
        foreach (var decision in first) rounds.Confirmed(decision.Document);
        Assert.Empty(rounds.TakeDue(At(1.9), 64));
        Assert.Equal(first.Select(static d => d.Document.Number), rounds.TakeDue(At(2), 64).Select(static d => d.Document.Number));
        rounds.SetVertices(["a", "b", "d"], At(2.5));
        Assert.Equal("d", Assert.Single(rounds.TakeDue(At(2.5), 64)).Document.Vertex);
    }

    [Fact]
    public void What_is_not_confirmed_is_sent_again_after_one_second_then_twice_as_long_and_at_most_ten()
    {
        rounds.Begin(Term);
        rounds.SetVertices(["a"], Start);
        var sent = new List<double>();
        for (var time = 0.0; time < 60; time += 0.5)
        {
            foreach (var decision in rounds.TakeDue(At(time), 64))
            {
                sent.Add(time);
                if (sent.Count % 2 == 0) rounds.Failed(decision.Document, "no answer");
                else rounds.Refused(decision.Document, new Refusal(RefusalReasons.Unproved, "not now"));
            }
        }
        Assert.Equal([0, 1, 3, 7, 15, 25, 35, 45, 55], sent);
    }

    [Fact]
    public void A_change_is_sent_at_once_under_a_greater_number_and_only_where_something_has_changed()
    {
        rounds.Begin(Term);
        rounds.SetVertices(["a", "b"], Start);
        var before = rounds.TakeDue(At(0), 64).Single(static d => d.Document.Vertex == "a");
        rounds.SetPaths(Paths(("a", "d"), ("a", "c")), At(0.1));
        var after = Assert.Single(rounds.TakeDue(At(0.1), 64));
        Assert.Equal(["c", "d"], after.Document.Paths.Select(static p => p.To));
        Assert.True(after.Document.Number > before.Document.Number);
        // The outcome of what has been replaced says nothing of what has replaced it.
        rounds.Confirmed(before.Document);
        Assert.Equal("sent", rounds.Status().Single(static d => d.Vertex == "a").State);
        rounds.SetPaths(Paths(("a", "c"), ("a", "d")), At(0.2));
        Assert.Empty(rounds.TakeDue(At(0.2), 64));
    }

    [Fact]
    public void Of_a_vertex_that_comes_back_in_the_same_term_the_number_has_grown()
    {
        rounds.Begin(Term);
        rounds.SetVertices(["a"], Start);
        var first = Assert.Single(rounds.TakeDue(At(0), 64));
        rounds.SetVertices([], At(1));
        rounds.SetVertices(["a"], At(2));
        Assert.True(Assert.Single(rounds.TakeDue(At(2), 64)).Document.Number > first.Document.Number);
    }

    [Fact]
    public void After_its_term_nothing_is_sent()
    {
        rounds.Begin(Term);
        rounds.SetVertices(["a"], Start);
        rounds.End();
        Assert.Empty(rounds.TakeDue(At(10), 64));
        Assert.Equal(Instant.Never, rounds.NextDue);
    }

    [Fact]
    public void A_thousand_vertices_cost_no_more_than_a_hundred_decisions_a_second()
    {
        rounds.Begin(Term);
        rounds.SetVertices([.. Enumerable.Range(0, 1000).Select(static i => $"v{i}")], Start);
        var sent = 0;
        for (var time = 0.0; time < 100; time += 0.1)
        {
            foreach (var decision in rounds.TakeDue(At(time), 64))
            {
                sent++;
                rounds.Confirmed(decision.Document);
            }
        }
        Assert.InRange(sent, 9_000, 11_000);
    }

    private static Instant At(double seconds) => Start + TimeSpan.FromSeconds(seconds);

    private static Dictionary<string, IReadOnlyList<DecidedPath>> Paths(params (string From, string To)[] paths) =>
        paths.GroupBy(static p => p.From).ToDictionary(static g => g.Key, static g => (IReadOnlyList<DecidedPath>)[.. g.Select(static p => new DecidedPath(p.To, [new Hop("e")]))]);
}
