using System.Text.Json;
using Florete.EndToEnd.Tests.Harness;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>A ring of four with a coordinator, a path computation and a storage at a: what is written there makes packets go the other way round.</summary>
[Trait("Lane", "2")]
public sealed class PathsTests(ITestOutputHelper output)
{
    // More than is ever fetched: the download is under way all the time.
    private const long Size = 1L << 40;

    [Fact]
    public async Task Paths_that_are_wanted_are_taken_by_connections_and_left_while_they_are_cut()
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Ring with
        {
            Portals = [("a", "node/a"), ("a", "service/coordinator"), ("a", "service/ncs"), ("a", "service/storage"), ("a", "user/alice")],
            Coordinators = ["a"],
            ConnectRules = """
                  - {from: [user/alice], to: ['service/*']}
                  - {from: [service/coordinator], to: [service/storage, service/ncs]}
                  - {from: [service/ncs], to: [service/coordinator]}
                """,
            StoreRules = "  - {collection: paths, read: [service/coordinator], write: [user/alice]}",
        });
        var a = cluster["a"];
        ManagedProcess[] programs =
        [
            lab.Start("storage of a", a.Network, [Programs.Storage, "run", "--portal", a.PortalOf("storage"), "--state", Path.Combine(a.Folder, "state", "storage"), "--bundle", a.BundleFile, "--bounds", a.BoundsFile]),
            lab.Start("coordinator of a", a.Network, [Programs.Coordinator, "run", "--portal", a.PortalOf("coordinator"), "--node", a.PortalOf("a")]),
            lab.Start("path computation of a", a.Network, [Programs.Ncs, "run", "--portal", a.PortalOf("ncs"), "--node", a.PortalOf("a")]),
        ];
        var usual = (await TraceAsync(cluster, "a", "c"))[0];
        var other = usual == "b" ? "d" : "b";
        await WantAsync(lab, cluster, "a", "c", usual);
        await WantAsync(lab, cluster, "c", "a", usual);
        await TakesAsync("a", "c", other);
        await TakesAsync("c", "a", other);

        using var client = await SocksClient.ConnectAsync(a.Network, "hello.rete", 80);
        var download = new Download();
        var reading = client.ReadAsync(await client.GetAsync($"/bytes/{Size}"), download);
        await MovesAsync(download, reading);
        var cable = cluster.CableOf(other, "c");
        await cable.CutAsync();
        await MovesAsync(download, reading);
        await TakesAsync("a", "c", usual);
        await MovesAsync(download, reading);
        await cable.MendAsync();
        await TakesAsync("a", "c", other);
        await TakesAsync("c", "a", other);
        await MovesAsync(download, reading);

        Task TakesAsync(string from, string to, string through)
        {
            var seen = Array.Empty<string>();
            return Eventually.HoldsAsync(
                $"packets from {from} to {to} go by way of {through}", async () => (seen = await TraceAsync(cluster, from, to)).SequenceEqual([through, to]),
                () => $"{string.Join(' ', seen)}\n{string.Join('\n', programs.Select(static program => program.Log))}");
        }
    }

    private static async Task WantAsync(Lab lab, Cluster cluster, string from, string to, string avoid)
    {
        var file = Path.Combine(lab.Folder, $"{from}-{to}.json");
        await File.WriteAllTextAsync(file, JsonSerializer.Serialize(new { from, to, avoid = new[] { avoid } }));
        await Eventually.HoldsAsync("the storage takes what is wanted", async () =>
        {
            _ = (await cluster.FlorctlAsync("store", "put", $"paths/{from}-{to}", file, "--portal", cluster["a"].PortalOf("alice"))).Succeeded();
            return true;
        });
    }

    /// <summary>Names of the vertices from the first after <paramref name="from"/> on.</summary>
    private static async Task<string[]> TraceAsync(Cluster cluster, string from, string to)
    {
        var answer = (await Command.RunAsync(cluster[from].Network, [Programs.Flor, "trace", $"vertex/{to}", "--json", "--control", cluster[from].ControlSocket])).Succeeded().Output;
        using var hops = JsonDocument.Parse(answer);
        return [.. hops.RootElement.EnumerateArray().Select(static hop => hop.TryGetProperty("vertex", out var vertex) && vertex.GetString() is { } path ? path.Split('/')[^1] : "*")];
    }

    /// <summary>Waits for 10 MB more.</summary>
    private static async Task MovesAsync(Download download, Task<Download> reading)
    {
        var from = download.Bytes;
        await Eventually.HoldsAsync("bytes move", () => download.Bytes - from > 10_000_000 || reading.IsCompleted, () => $"{download.Bytes - from} did, {from} had before.");
        if (reading.IsFaulted)
        {
            _ = await reading;
        }
    }
}
