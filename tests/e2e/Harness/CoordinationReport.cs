using System.Text.Json;
using Florete.Identities;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>What a vertex says of coordination.</summary>
/// <param name="Newest">The newest epoch that it knows.</param>
/// <param name="Decided">Of the decision in force there.</param>
/// <param name="Coordinators">Names of those that it sees as coordinators.</param>
public sealed record CoordinationReport(Epoch? Newest, Epoch? Decided, string[] Coordinators)
{
    public static async Task<CoordinationReport> ReadAsync(string controlSocket)
    {
        var at = (await Status.ReadAsync(controlSocket)).GetProperty("coordination");
        return new CoordinationReport(
            EpochOf(at), at.TryGetProperty("decision", out var decision) ? EpochOf(decision) : null,
            [.. at.GetProperty("candidates").EnumerateArray().Where(static c => c.GetProperty("state").GetString() == "coordinator").Select(static c => c.GetProperty("vertex").GetString()!.Split('/')[^1])]);
    }

    /// <summary>Waits until nodes that can reach each other have one coordinator, one of them, and its decision is in force at each; returns its epoch and how long it took.</summary>
    /// <param name="nodes">A whole group: names and control sockets.</param>
    /// <param name="above">The epoch is greater than this.</param>
    /// <param name="logs">For a failure.</param>
    public static async Task<(Epoch Epoch, TimeSpan Took)> AgreedAsync(IReadOnlyDictionary<string, string> nodes, Epoch above, Func<string> logs)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        ArgumentNullException.ThrowIfNull(logs);
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var (seen, found) = ("", default(Epoch));
        await Eventually.HoldsAsync($"{string.Join(", ", nodes.Keys)} have one coordinator", async () =>
        {
            var reports = new List<CoordinationReport>();
            foreach (var socket in nodes.Values)
            {
                reports.Add(await ReadAsync(socket));
            }

            seen = string.Join('\n', reports.Select(static report => $"{report.Newest} {report.Decided} [{string.Join(' ', report.Coordinators)}]"));
            found = reports[0].Newest ?? default;
            return found > above && reports.All(report => report.Newest == found && report.Decided == found && report.Coordinators is [var only] && only == found.Coordinator) && nodes.ContainsKey(found.Coordinator);
        }, () => $"newest, decided, coordinators seen:\n{seen}\n{logs()}");
        return (found, watch.Elapsed);
    }

    private static Epoch? EpochOf(JsonElement of) =>
        of.TryGetProperty("epoch", out var epoch) && epoch.ValueKind == JsonValueKind.Object ? new Epoch(epoch.GetProperty("counter").GetUInt64(), epoch.GetProperty("coordinator").GetString()!) : null;
}
