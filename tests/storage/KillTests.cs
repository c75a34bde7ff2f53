extern alias writer;

using System.Diagnostics;
using System.Globalization;
using Florete.Identities;
using Florete.Storage.Contracts;
using Microsoft.Extensions.Logging.Abstractions;
using writer::Florete.Storage.TestWriter;
using Xunit.Abstractions;

namespace Florete.Storage.Tests;

public sealed class KillTests(ITestOutputHelper output) : IDisposable
{
    private const int Kills = 50;

    // Two at a time, each with a folder of its own: half of the time is spent in starting programs.
    private const int Lanes = 2;

    private readonly string folder = Directory.CreateTempSubdirectory("florete-storage-kill").FullName;

    public void Dispose() => Directory.Delete(folder, true);

    [Fact]
    public async Task Nothing_acknowledged_is_lost_by_fifty_kills_under_load()
    {
        var counts = await Task.WhenAll(Enumerable.Range(0, Lanes).Select(lane => Task.Run(() => LaneAsync(lane))));
        output.WriteLine($"measured: {counts.Sum()} writes acknowledged over {Kills} kills -9, none lost");
        Assert.True(counts.Sum() > Kills);
    }

    private async Task<int> LaneAsync(int lane)
    {
        var random = new Random(lane);
        var store = Path.Combine(folder, $"{lane}");
        var acknowledged = new Dictionary<string, (Stamp Stamp, VersionId Id)>();
        var count = 0;
        for (var life = 0; life < Kills / Lanes; life++)
        {
            var lines = LifeAsync(store, life, random);
            foreach (var line in await lines)
            {
                var parts = line.Split(' ');
                var (stamp, id) = (Stamp.Parse(parts[1]), VersionId.Parse(parts[2]));
                if (!acknowledged.TryGetValue(parts[0], out var held) || stamp > held.Stamp) acknowledged[parts[0]] = (stamp, id);
                count++;
            }
            if (Directory.Exists(store)) await CheckAsync(store, acknowledged);
        }
        return count;
    }

    // What one life acknowledged until it was killed, at some moment: while it starts, or in the midst of writing.
    private static async Task<List<string>> LifeAsync(string store, int life, Random random)
    {
        var start = new ProcessStartInfo(Path.ChangeExtension(typeof(Trusting).Assembly.Location, null)) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(store);
        start.ArgumentList.Add(((life + 1) * 1_000_000L).ToString(CultureInfo.InvariantCulture));
        using var process = Process.Start(start)!;
        var lines = new List<string>();
        var errors = process.StandardError.ReadToEndAsync();
        var first = new TaskCompletionSource();
        var reading = Task.Run(async () =>
        {
            // Only whole lines count: the last may have been cut off.
            while (await process.StandardOutput.ReadLineAsync() is { } line)
            {
                if (line.Split(' ') is [_, _, { Length: 2 * VersionId.Bytes }]) lines.Add(line);
                first.TrySetResult();
            }
            first.TrySetResult();
        });
        if (random.Next(5) > 0) await first.Task;
        await Task.Delay(random.Next(0, 200));
        process.Kill();
        await process.WaitForExitAsync();
        await reading;
        Assert.Equal("", await errors);
        return lines;
    }

    private static async Task CheckAsync(string store, Dictionary<string, (Stamp Stamp, VersionId Id)> acknowledged)
    {
        var alice = SpiffeId.Of("home", IdentityKind.User, "alice");
        await using var replica = await StorageReplica.OpenAsync(
            store, ReplicaName.Parse("a"), new AnybodyMay(), new Trusting(alice), new StorageLimits(), TimeProvider.System, NullLogger.Instance);
        foreach (var (name, (stamp, id)) in acknowledged)
        {
            var current = replica.Reader.ReadUnit(new DocumentKey(CollectionName.Parse("load"), DocumentName.Parse(name))).SingleOrDefault()?.Version;
            // What was written after it, and not answered any more, may be there instead.
            Assert.True(current is not null && (current.Id == id || current.Stamp > stamp), $"{name}: {id} at {stamp} was acknowledged, and there is {current?.ToString() ?? "nothing"}.");
        }
    }
}
