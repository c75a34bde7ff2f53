using System.Diagnostics;
using System.Globalization;
using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;
using static Florete.EndToEnd.Tests.Harness.StorageLab;

namespace Florete.EndToEnd.Tests;

/// <summary>Figures of the storage through the portal; nothing is judged but that all of it was done.</summary>
public sealed class StorageMeasureTests(ITestOutputHelper output)
{
    private const int Callers = 16;

    [Fact]
    public async Task Writes_reads_and_their_way_to_another_node_are_measured()
    {
        const int Writes = 2000, Reads = 5000, Rounds = 100;
        await using var lab = await Lab.OpenAsync(output);
        await using var storage = await StartAsync(lab, "a", "b", "c");
        var (a, c) = (storage.Client("a"), storage.Client("c"));
        await Parallel.ForEachAsync(Enumerable.Range(0, 200), async (i, stopped) => await a.PutAsync(Key($"warm/{i}"), Json("warm"), stopped));

        lab.Say($"measured: {Rate(Writes, await TimeAsync(Writes, i => a.PutAsync(Key($"n/{i}"), Json($"{i}"))))} writes/s by {Callers} callers at their own node, each prepared, signed by flor, on disk (fsync) before it is answered");
        lab.Say($"measured: {Rate(Reads, await TimeAsync(Reads, i => a.GetAsync(Key($"n/{i % Writes}"))))} reads/s by {Callers} callers at their own node");
        await storage.EqualAsync("a", "b", "c");
        var one = new List<double>();
        for (var i = 0; i < Rounds; i++)
        {
            var begun = Stopwatch.GetTimestamp();
            await a.PutAsync(Key($"one/{i}"), Json("1"));
            one.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
        }

        lab.Say($"measured: one write after another takes {Middle(one)}");
        using var stop = new CancellationTokenSource(Eventually.Deadline);
        await using var changes = c.WatchAsync(Notes, "late/", stop.Token).GetAsyncEnumerator(stop.Token);
        await changes.MoveNextAsync();
        var times = new List<double>();
        for (var i = 0; i < Rounds; i++)
        {
            await a.PutAsync(Key($"late/{i}"), Json($"{i}"));
            var begun = Stopwatch.GetTimestamp();
            Assert.True(await changes.MoveNextAsync());
            times.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
        }

        lab.Say($"measured: from the answer to a write at a to the watch at c, two hops, takes {Middle(times)}");
        foreach (var node in new[] { "a", "c" })
        {
            lab.Say($"measured: florete-storage of {node} has {Memory(storage.Replica(node).Id)} with {(await storage.Client(node).DigestAsync()).Documents} documents");
        }

        await storage.Replica("b").StopAsync();
        var clock = Stopwatch.StartNew();
        storage.Start("b");
        await Eventually.HoldsAsync("the replica says that it is ready", () => storage.Replica("b").Log.Contains("Replica b is ready", StringComparison.Ordinal));
        lab.Say($"measured: florete-storage is ready {clock.Elapsed.TotalSeconds:0.00} s after its start");
    }

    private static async Task<TimeSpan> TimeAsync(int count, Func<int, Task> act)
    {
        var clock = Stopwatch.StartNew();
        await Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = Callers }, async (i, _) => await act(i));
        return clock.Elapsed;
    }

    private static string Rate(int count, TimeSpan time) => (count / time.TotalSeconds).ToString("0", CultureInfo.InvariantCulture);

    private static string Middle(List<double> milliseconds)
    {
        milliseconds.Sort();
        return string.Create(CultureInfo.InvariantCulture, $"{milliseconds[milliseconds.Count / 2]:0.0} ms (99 %: {milliseconds[milliseconds.Count * 99 / 100]:0.0} ms)");
    }

    // Files of the runtime are in memory once for all programs of a machine: PSS shares them out.
    private static string Memory(int process)
    {
        string Kilobytes(string file, string key) => File.ReadLines($"/proc/{process}/{file}").First(line => line.StartsWith(key, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
        string Megabytes(string file, string key) => (int.Parse(Kilobytes(file, key), CultureInfo.InvariantCulture) / 1024).ToString(CultureInfo.InvariantCulture);
        return $"{Megabytes("status", "VmRSS:")} MB resident, {Megabytes("status", "RssFile:")} of it files, {Megabytes("smaps_rollup", "Pss:")} MB as its share";
    }
}
