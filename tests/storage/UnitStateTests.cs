using Florete.Storage.Contracts;
using FsCheck.Fluent;

namespace Florete.Storage.Tests;

public class UnitStateTests
{
    private static readonly DocumentKey Key = Versions.Key("x");

    [Fact]
    public void Joining_is_commutative_associative_and_idempotent()
    {
        var check = Prop.ForAll<byte[], uint, uint>((steps, first, second) =>
        {
            var versions = History(steps);
            // Any three sets of any versions, marked or not: whatever has come through by whatever way.
            var (a, b, c) = (Some(versions, first), Some(versions, second), Some(versions, first ^ (second >> 3)));
            return Same(a.Join(b), b.Join(a)) && Same(a.Join(b).Join(c), a.Join(b.Join(c))) && Same(a.Join(a), a) && Same(a.Join(UnitState.Empty), a);
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void The_order_and_number_of_arrivals_do_not_change_what_is_current()
    {
        var check = Prop.ForAll<byte[], int>((steps, seed) =>
        {
            var versions = History(steps);
            if (versions.Count == 0) return true;
            var arrivals = versions.Concat(versions).ToArray();
            new Random(seed).Shuffle(arrivals);
            var state = arrivals.Aggregate(UnitState.Empty, (s, v) => s.Join(UnitState.Of(v)).Settle(Stamp.None));
            return state.Current == versions.MaxBy(v => (v.Stamp, v.Id));
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void Replicas_that_have_heard_all_in_any_order_are_equal_after_one_exchange()
    {
        var check = Prop.ForAll<byte[], int>((steps, seed) =>
        {
            var (versions, random) = (History(steps).ToArray(), new Random(seed));
            var states = Enumerable.Range(0, 3).Select(_ =>
            {
                random.Shuffle(versions);
                return versions.Aggregate(UnitState.Empty, (s, v) => s.Join(UnitState.Of(v)).Settle(Stamp.None));
            }).ToArray();
            var all = states.Aggregate((a, b) => a.Join(b).Settle(Stamp.None));
            return states.All(s => Same(s.Join(all).Settle(Stamp.None), all));
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void Of_two_concurrent_versions_the_lesser_stays_in_sight_whatever_is_written_later()
    {
        var first = Versions.Make(Key, "a", 1);
        var second = Versions.Make(Key, "b", 2);
        var third = Versions.Make(Key, "a", 3, Versions.Seen(("a", 1), ("b", 2)));
        var state = UnitState.Of(second).Join(UnitState.Of(first)).Settle(Stamp.None);
        Assert.Equal([second, first], state.Members.ToArray().Select(m => m.Version));
        state = state.Join(UnitState.Of(third)).Settle(Stamp.None);
        Assert.Equal([third, first], state.Members.ToArray().Select(m => m.Version));
        Assert.Equal(1, state.Settle(new Stamp(2)).Members.Length);
    }

    [Fact]
    public void At_most_sixteen_losers_stay_the_newest()
    {
        var state = Enumerable.Range(1, 30).Select(i => Versions.Make(Key, $"r{i}", (ulong)i)).Aggregate(UnitState.Empty, (s, v) => s.Join(UnitState.Of(v)).Settle(Stamp.None));
        Assert.Equal(Enumerable.Range(14, 17).Reverse().Select(i => (ulong)i), state.Members.ToArray().Select(m => m.Version.Stamp.Value));
    }

    [Fact]
    public void Who_writes_is_told_all_that_is_held_however_many_replicas_wrote_before()
    {
        var many = SeenVector.Of(Enumerable.Range(0, 64).Select(i => new SeenEntry(ReplicaName.Parse($"s{i}"), new Stamp((ulong)i + 100))));
        var state = UnitState.Of(Versions.Make(Key, "x", 1000, many)).Join(UnitState.Of(Versions.Make(Key, "old", 1))).Settle(Stamp.None);
        var seen = state.Seen(new Stamp(50));
        Assert.Equal(64, seen.Count);
        Assert.Equal(1UL, seen[ReplicaName.Parse("old")].Value);
        Assert.Equal(1000UL, seen[ReplicaName.Parse("x")].Value);
        // What was inherited and is old is left out, what is held is not.
        Assert.Equal(Versions.Seen(("old", 1), ("x", 1000)), state.Seen(new Stamp(500)));
    }

    // Versions as replicas make them: each knows all that the state it was made from holds.
    private static List<DocumentVersion> History(byte[] steps)
    {
        var states = Enumerable.Repeat(UnitState.Empty, 4).ToArray();
        var versions = new List<DocumentVersion>();
        foreach (var step in steps)
        {
            var (at, other) = (step & 3, (step >> 2) & 3);
            if ((step & 16) == 0)
            {
                states[at] = states[at].Join(states[other]).Settle(Stamp.None);
                continue;
            }
            var version = Versions.Make(Key, $"r{at}", (ulong)versions.Count + 1, states[at].Seen(Stamp.None));
            versions.Add(version);
            states[at] = states[at].Join(UnitState.Of(version)).Settle(Stamp.None);
        }
        return versions;
    }

    // Two bits a version: whether it is there, and whether it is marked.
    private static UnitState Some(List<DocumentVersion> versions, uint bits) =>
        UnitState.Of(versions.Select((v, i) => (v, Two: (bits >> (2 * i % 32)) & 3)).Where(x => (x.Two & 1) != 0).Select(x => new UnitMember(x.v, (x.Two & 2) != 0)));

    private static bool Same(UnitState a, UnitState b) => a.Members.SequenceEqual(b.Members);
}
