using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Florete.Identities;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>Nodes a–b–c in a line, each with flor and florete-coordinator; the bounds name all of them.</summary>
public sealed class CoordinationLab
{
    private readonly Lab lab;
    private readonly Dictionary<string, ManagedProcess> programs = [];

    private CoordinationLab(Lab lab, Cluster cluster) => (this.lab, Cluster) = (lab, cluster);

    public Cluster Cluster { get; }

    public static async Task<CoordinationLab> StartAsync(Lab lab)
    {
        ArgumentNullException.ThrowIfNull(lab);
        string[] nodes = ["a", "b", "c"];
        var made = new CoordinationLab(lab, await Cluster.StartAsync(lab, new Plan
        {
            Nodes = nodes,
            Links = [("a", "b"), ("b", "c")],
            Portals = [.. nodes.SelectMany(static node => new[] { (node, $"node/{node}"), (node, "service/coordinator") })],
            Coordinators = nodes,
        }));
        foreach (var node in nodes)
        {
            made.Start(node);
        }

        return made;
    }

    public void Start(string node)
    {
        var at = Cluster[node];
        programs[node] = lab.Start($"coordinator of {node}", at.Network, [Programs.Coordinator, "run", "--portal", at.PortalOf("coordinator"), "--node", at.PortalOf(node)]);
    }

    public ManagedProcess Program(string node) => programs[node];

    public void Freeze(string node) => Assert.Equal(0, Native.Kill(programs[node].Id, Native.Sigstop));

    public void GoOn(string node) => Assert.Equal(0, Native.Kill(programs[node].Id, Native.Sigcont));

    /// <summary>Waits until these nodes, which can reach each other, have one coordinator, and its decision is in force at each; returns its epoch and how long it took.</summary>
    /// <param name="nodes">A whole group.</param>
    /// <param name="above">The epoch is greater than this.</param>
    public async Task<(Epoch Epoch, TimeSpan Took)> CoordinatedAsync(string[] nodes, Epoch above = default)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var (seen, found) = ("", default(Epoch));
        await Eventually.HoldsAsync($"{string.Join(", ", nodes)} have one coordinator", async () =>
        {
            var reports = new List<(Epoch? Newest, Epoch? Decided, string[] Coordinators)>();
            foreach (var node in nodes)
            {
                var at = await CoordinationAsync(node);
                reports.Add((EpochOf(at), at.TryGetProperty("decision", out var decision) ? EpochOf(decision) : null, CoordinatorsOf(at)));
            }

            seen = string.Join('\n', reports.Select(static report => $"{report.Newest} {report.Decided} [{string.Join(' ', report.Coordinators)}]"));
            found = reports[0].Newest ?? default;
            return found > above && reports.All(report => report.Newest == found && report.Decided == found && report.Coordinators is [var only] && only == found.Coordinator) && nodes.Contains(found.Coordinator);
        }, () => $"newest, decided, coordinators seen:\n{seen}\n{string.Join('\n', programs.Select(static one => $"{one.Key}: {one.Value.Log}"))}");
        return (found, watch.Elapsed);
    }

    /// <summary>Decisions of old epochs that a node has refused.</summary>
    public async Task<long> StaleAsync(string node) =>
        (await StatusAsync(node)).GetProperty("counters").TryGetProperty("coordination.refused.staleEpoch", out var count) ? count.GetInt64() : 0;

    /// <summary>`flor status` without starting a program for it.</summary>
    public async Task<JsonElement> StatusAsync(string node)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(Cluster[node].ControlSocket), limit.Token);
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(Encoding.UTF8.GetBytes("{\"version\":1,\"command\":\"status\"}\n"), limit.Token);
        using var reader = new StreamReader(stream);
        return JsonDocument.Parse(await reader.ReadLineAsync(limit.Token) ?? "").RootElement.GetProperty("status");
    }

    /// <summary>The newest epoch that a node knows.</summary>
    public async Task<Epoch?> NewestAsync(string node) => EpochOf(await CoordinationAsync(node));

    private async Task<JsonElement> CoordinationAsync(string node) => (await StatusAsync(node)).GetProperty("coordination");

    private static string[] CoordinatorsOf(JsonElement coordination) =>
        [.. coordination.GetProperty("candidates").EnumerateArray().Where(static c => c.GetProperty("state").GetString() == "coordinator").Select(static c => c.GetProperty("vertex").GetString()!.Split('/')[^1])];

    private static Epoch? EpochOf(JsonElement of) =>
        of.TryGetProperty("epoch", out var epoch) && epoch.ValueKind == JsonValueKind.Object ? new Epoch(epoch.GetProperty("counter").GetUInt64(), epoch.GetProperty("coordinator").GetString()!) : null;
}
