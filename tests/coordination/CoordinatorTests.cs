using System.Text;
using Florete.Coordination.Contracts;
using Florete.Identities;
using Florete.Runtime;
using FsCheck.Fluent;

namespace Florete.Coordination.Tests;

public class CoordinatorTests
{
    private readonly Coordinator coordinator = new("home");
    private Instant now = new(1_000_000_000);

    [Fact]
    public void A_node_alone_stands_and_then_decides_for_itself()
    {
        Elect(1);
        Assert.Equal(new Epoch(1, "a"), coordinator.Term);
        Assert.Equal("a", Assert.Single(coordinator.TakeDue(now).Decisions).Document.Vertex);
        Assert.Equal("coordinator", coordinator.Status(now, []).Mode);
    }

    [Fact]
    public void One_that_is_not_named_stands_and_never_claims()
    {
        coordinator.Attended(now);
        coordinator.See(View(null) with { Named = false }, now);
        for (var i = 0; i < 100; i++)
        {
            now += TimeSpan.FromMilliseconds(100);
            Assert.NotEqual(StandState.Coordinator, coordinator.TakeDue(now).Stand?.State);
        }
        Assert.Equal("unnamed", coordinator.Status(now, []).Mode);
    }

    [Fact]
    public void A_claim_that_its_vertex_has_not_confirmed_decides_nothing()
    {
        coordinator.KnowsAllWanted();
        coordinator.Attended(now);
        coordinator.See(View(null), now);
        now += TimeSpan.FromSeconds(2);
        Assert.Equal(new Stand(StandState.Coordinator, 1), coordinator.TakeDue(now).Stand);
        now += TimeSpan.FromSeconds(5);
        Assert.Empty(coordinator.TakeDue(now).Decisions);
        coordinator.ClaimRefused(new Refusal(RefusalReasons.StaleEpoch, "old", new Epoch(7, "b")), now);
        Assert.Equal(StandState.Candidate, coordinator.TakeDue(now).Stand!.State);
        now += TimeSpan.FromSeconds(1);
        Assert.Equal(new Stand(StandState.Coordinator, 8), coordinator.TakeDue(now).Stand);
    }

    [Fact]
    public void A_vertex_that_knows_a_newer_epoch_makes_it_claim_again_above_it()
    {
        Elect(1);
        var decision = Assert.Single(coordinator.TakeDue(now).Decisions).Document;
        coordinator.Answered(decision, new Refusal(RefusalReasons.StaleEpoch, "old", new Epoch(9, "z")), now);
        Assert.Null(coordinator.Term);
        now += TimeSpan.FromSeconds(1);
        Assert.Equal(new Stand(StandState.Coordinator, 10), coordinator.TakeDue(now).Stand);
    }

    [Fact]
    public void A_vertex_that_says_so_all_the_time_is_not_believed_for_ever()
    {
        coordinator.KnowsAllWanted();
        coordinator.Attended(now);
        var (unseated, counter) = (0, 0UL);
        for (var i = 0; i < 1000; i++)
        {
            now += TimeSpan.FromMilliseconds(100);
            var due = coordinator.TakeDue(now);
            if (due.Stand is { State: StandState.Coordinator } stand) counter = stand.Counter;
            coordinator.See(View(counter == 0 ? null : new Epoch(counter, "a"), "a", "hostile"), now);
            foreach (var decision in due.Decisions.Where(static d => d.Document.Vertex == "hostile"))
            {
                var before = coordinator.Term;
                coordinator.Answered(decision.Document, new Refusal(RefusalReasons.StaleEpoch, "old", new Epoch(counter + 5, "z")), now);
                if (before is not null && coordinator.Term is null) unseated++;
            }
        }
        Assert.Equal(3, unseated);
        Assert.NotNull(coordinator.Term);
        // What it says of epochs that are none counts for nothing at all.
        Assert.Equal("refused", coordinator.Status(now, []).Decisions.Single(static d => d.Vertex == "hostile").State);
    }

    [Fact]
    public void The_last_counter_is_claimed_by_nobody_after()
    {
        coordinator.Attended(now);
        coordinator.See(View(new Epoch(ulong.MaxValue, "z")), now);
        now += TimeSpan.FromSeconds(10);
        Assert.Equal(StandState.Candidate, coordinator.TakeDue(now).Stand!.State);
    }

    [Fact]
    public void A_new_coordinator_waits_for_the_paths_that_are_wanted_before_it_takes_away_what_was_decided()
    {
        coordinator.Attended(now);
        coordinator.Want("one", new PathWish("a", "d"), null, now);
        coordinator.KnowsAllWanted();
        coordinator.See(View(null), now);
        now += TimeSpan.FromSeconds(1.1);
        _ = coordinator.TakeDue(now);
        coordinator.See(View(new Epoch(1, "a")), now);
        var due = coordinator.TakeDue(now);
        Assert.Empty(due.Decisions);
        now += TimeSpan.FromMilliseconds(100);
        Assert.Empty(coordinator.TakeDue(now).Decisions);
        coordinator.Computed(Assert.Single(due.Questions), new PathOutcome(true, true, "a - e - d", ["a", "e", "d"], [new Hop("e")]), now);
        Assert.Equal("d via e", Assert.Single(Assert.Single(coordinator.TakeDue(now).Decisions).Document.Paths).ToString());
    }

    [Fact]
    public void Many_paths_make_one_decision_and_none_takes_them_away()
    {
        Elect(1);
        var before = Assert.Single(coordinator.TakeDue(now).Decisions).Document.Number;
        for (var i = 0; i < 50; i++) coordinator.Want($"w{i}", new PathWish("a", $"t{i}"), null, now);
        now += TimeSpan.FromSeconds(1);
        var decisions = new List<DueDecision>();
        foreach (var question in coordinator.TakeDue(now).Questions)
        {
            coordinator.Computed(question, new PathOutcome(true, true, "", ["a", "e", question.Wish.To], [new Hop("e")]), now);
            decisions.AddRange(coordinator.TakeDue(now).Decisions);
        }
        var decided = Assert.Single(decisions, d => d.Document.Number > before).Document;
        Assert.Equal(50, decided.Paths.Count);
        for (var i = 0; i < 50; i++) coordinator.WantNoMore($"w{i}", now);
        now += TimeSpan.FromSeconds(1);
        var last = Assert.Single(coordinator.TakeDue(now).Decisions).Document;
        Assert.Empty(last.Paths);
        Assert.True(last.Number > decided.Number);
    }

    [Fact]
    public void Whatever_a_vertex_says_the_coordinator_does_not_throw_and_time_goes_on()
    {
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<int>(seed =>
        {
            var (random, time) = (new Random(seed), new Instant(1_000_000_000));
            var tested = new Coordinator("home");
            tested.KnowsAllWanted();
            var sent = new List<DecisionDocument>();
            string Name() => $"{(char)('a' + random.Next(4))}";
            ulong Counter() => random.Next(10) == 0 ? ulong.MaxValue : (ulong)random.Next(1, 20);
            for (var i = 0; i < 300; i++)
            {
                time += TimeSpan.FromMilliseconds(random.Next(1000));
                switch (random.Next(8))
                {
                    case 0: tested.Attended(time); break;
                    case 1 when random.Next(4) == 0: tested.Detached(time); break;
                    case 2: tested.ClaimRefused(new Refusal("odd", "\u0007", random.Next(2) == 0 ? null : new Epoch(Counter(), Name())), time); break;
                    case 3 when sent.Count > 0: tested.Answered(sent[random.Next(sent.Count)], random.Next(2) == 0 ? null : new Refusal(RefusalReasons.StaleEpoch, "", new Epoch(Counter(), Name())), time); break;
                    default:
                        var candidates = Enumerable.Range(0, random.Next(4)).Select(_ => new CandidateView(Name(), random.Next(2) == 0 ? StandState.Candidate : StandState.Coordinator, Counter()));
                        tested.See(new VertexView("b", random.Next(8) > 0, [.. candidates], [.. Enumerable.Range(0, 3).Select(_ => Name())], 1, random.Next(3) == 0 ? null : new Epoch(Counter(), Name())), time);
                        break;
                }
                var turns = 0;
                do
                {
                    foreach (var decision in tested.TakeDue(time).Decisions) sent.Add(decision.Document);
                }
                while (tested.NextDue <= time && ++turns < 10);
                if (turns >= 10) return false;
                if (tested.Status(time, []).Mode.Length == 0) return false;
            }
            return true;
        }));
    }

    [Theory]
    [InlineData("""{"from":"a","to":"d"}""", true)]
    [InlineData("""{"from":"a","to":"d","avoid":["b","b>c"],"maxMetricMicroseconds":20000,"minCapacityBitsPerSecond":0,"disjointFrom":"a-d-1"}""", true)]
    [InlineData("""{"from":"a","to":"a"}""", false)]
    [InlineData("""{"from":"a"}""", false)]
    [InlineData("""{"from":"a","to":"d","avoids":["b"]}""", false)]
    [InlineData("""{"from":"a","to":"d","avoid":["b>"]}""", false)]
    [InlineData("""{"from":"a","to":"d","avoid":[null]}""", false)]
    [InlineData("""{"from":"a","to":"d","maxMetricMicroseconds":-1}""", false)]
    [InlineData("""{"from":"a","to":"d","disjointFrom":""}""", false)]
    [InlineData("""[]""", false)]
    public void A_wish_is_read_strictly(string json, bool isRead)
    {
        Assert.Equal(isRead, PathWish.TryParse(Encoding.UTF8.GetBytes(json), out var wish, out var problem));
        Assert.Equal(isRead, wish is not null);
        Assert.Equal(isRead, problem is null);
    }

    private static VertexView View(Epoch? newest, params string[] vertices) => new(
        "a", true, newest is { Coordinator: "a" } mine ? [new("a", StandState.Coordinator, mine.Counter)] : [new("a", StandState.Candidate, 0)], vertices.Length > 0 ? vertices : ["a"], 1, newest);

    private void Elect(ulong counter)
    {
        coordinator.KnowsAllWanted();
        coordinator.Attended(now);
        coordinator.See(View(null), now);
        now += TimeSpan.FromSeconds(1.1);
        Assert.Equal(new Stand(StandState.Coordinator, counter), coordinator.TakeDue(now).Stand);
        coordinator.See(View(new Epoch(counter, "a")), now);
    }
}
