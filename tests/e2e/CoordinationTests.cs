using System.Diagnostics;
using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>Coordinators by real programs: flor and florete-coordinator on each of three nodes in a line.</summary>
[Trait("Lane", "2")]
public sealed class CoordinationTests(ITestOutputHelper output)
{
    private static readonly string[] All = ["a", "b", "c"];

    [Fact]
    public async Task A_dead_coordinator_has_a_successor_and_a_frozen_one_is_refused_by_every_vertex_when_it_goes_on()
    {
        await using var lab = await Lab.OpenAsync(output);
        var group = await CoordinationLab.StartAsync(lab);
        var (first, took) = await group.CoordinatedAsync(All);
        lab.Say($"measured: from the start of three programs to one coordinator whose decisions are in force everywhere: {took.TotalSeconds:0.00} s");

        lab.Say($"measured: memory of a coordinator: {group.Program(first.Coordinator).ResidentBytes / 1e6:0} MB");

        await group.Program(first.Coordinator).KillAsync();
        var (second, afterKill) = await group.CoordinatedAsync(All, above: first);
        Assert.NotEqual(first.Coordinator, second.Coordinator);
        lab.Say($"measured: from kill -9 of the coordinator to its successor's decisions in force everywhere: {afterKill.TotalSeconds:0.00} s");
        group.Start(first.Coordinator);

        // Frozen until every vertex has taken a decision of its successor; then it goes on, and does what was due.
        var before = await Task.WhenAll(All.Select(group.StaleAsync));
        group.Freeze(second.Coordinator);
        var (third, afterFreeze) = await group.CoordinatedAsync(All, above: second);
        Assert.NotEqual(second.Coordinator, third.Coordinator);
        lab.Say($"measured: from SIGSTOP of the coordinator to its successor's decisions in force everywhere: {afterFreeze.TotalSeconds:0.00} s");
        group.GoOn(second.Coordinator);
        for (var i = 0; i < All.Length; i++)
        {
            var (node, counted) = (All[i], before[i]);
            await Eventually.HoldsAsync($"{node} has refused the decision of the coordinator that was frozen", async () => await group.StaleAsync(node) > counted, () => group.Program(second.Coordinator).Log);
            await Eventually.HoldsAsync(
                $"the log of {node} names it", () => group.Cluster[node].Process!.Log.Split('\n').Any(line => line.Contains("staleEpoch", StringComparison.Ordinal) && line.Contains($"node/{second.Coordinator}", StringComparison.Ordinal)),
                () => group.Cluster[node].Process!.Log);
        }

        Assert.Equal(third, (await group.CoordinatedAsync(All)).Epoch);
    }

    [Fact]
    public async Task Each_side_of_a_cut_has_a_coordinator_and_the_whole_has_one_again()
    {
        await using var lab = await Lab.OpenAsync(output);
        var group = await CoordinationLab.StartAsync(lab);
        var (whole, _) = await group.CoordinatedAsync(All);

        var cable = group.Cluster.CableOf("b", "c");
        var clock = Stopwatch.StartNew();
        await cable.CutAsync();
        string[] with = whole.Coordinator == "c" ? ["c"] : ["a", "b"], without = [.. All.Except(with)];
        var (other, _) = await group.CoordinatedAsync(without, above: whole);
        lab.Say($"measured: from a cut to a coordinator on the side that had lost it, its decisions in force there: {clock.Elapsed.TotalSeconds:0.00} s");
        Assert.Contains(other.Coordinator, without);
        Assert.Equal(whole, (await group.CoordinatedAsync(with)).Epoch);

        clock.Restart();
        await cable.MendAsync();
        await Eventually.HoldsAsync("b and c know each other's records", async () => (await group.NewestAsync("b"), await group.NewestAsync("c")) is var (left, right) && left == right);
        var met = clock.Elapsed;
        var (one, _) = await group.CoordinatedAsync(All, above: whole);
        lab.Say(
            $"measured: from mending the cable to one coordinator whose decisions are in force everywhere: {clock.Elapsed.TotalSeconds:0.00} s, of which {met.TotalSeconds:0.00} s until the two groups knew of each other (epoch {one})");
    }
}
