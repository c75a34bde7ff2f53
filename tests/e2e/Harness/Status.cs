using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>Reads what tests need from `flor status --json`.</summary>
public static class Status
{
    /// <summary>The same without starting a program for it.</summary>
    public static async Task<JsonElement> ReadAsync(string controlSocket)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(controlSocket), limit.Token);
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(Encoding.UTF8.GetBytes("{\"version\":1,\"command\":\"status\"}\n"), limit.Token);
        using var reader = new StreamReader(stream);
        return JsonDocument.Parse(await reader.ReadLineAsync(limit.Token) ?? "").RootElement.GetProperty("status");
    }

    public static int LinksUp(JsonElement status) =>
        status.GetProperty("links").EnumerateArray().Count(link => link.GetProperty("state").GetString() == "up");

    /// <summary>How often links of the node went down since it started.</summary>
    public static long LinkDowns(JsonElement status) =>
        status.GetProperty("links").EnumerateArray().Sum(link => link.GetProperty("downs").GetInt64());

    /// <summary>Whether every link of the node has stood for so long: links that are young are given more time before they count as down.</summary>
    public static bool LinksAreOlderThan(JsonElement status, TimeSpan age) =>
        status.GetProperty("links").EnumerateArray().All(link => link.TryGetProperty("upMilliseconds", out var up) && up.ValueKind == JsonValueKind.Number && up.GetInt64() > age.TotalMilliseconds);

    /// <summary>A counter by its name, all links and reasons added up; 0 when it was never counted.</summary>
    public static long Counter(JsonElement status, string name) =>
        status.GetProperty("counters").EnumerateObject().Where(counter => counter.Name.Contains(name, StringComparison.Ordinal)).Sum(counter => counter.Value.GetInt64());

    /// <summary>Datagrams and segments that links of the node refused: replayed, not authentic, malformed, from elsewhere.</summary>
    public static long Rejected(JsonElement status) => Counter(status, "rejected");

    /// <summary>What the node's directory did not take, by reason.</summary>
    public static IReadOnlyDictionary<string, long> DirectoryRefusals(JsonElement status)
    {
        const string prefix = "directory.refused.";
        return status.GetProperty("counters").EnumerateObject().Where(static counter => counter.Name.StartsWith(prefix, StringComparison.Ordinal))
            .ToDictionary(static counter => counter.Name[prefix.Length..], static counter => counter.Value.GetInt64());
    }

    /// <summary>Paths of the identities that the node holds revoked.</summary>
    public static IReadOnlyList<string> Revoked(JsonElement status) =>
        [.. status.GetProperty("revocations").EnumerateArray().Select(static one => one.GetProperty("identity").GetString()!)];

    /// <summary>Links and connections that the node refused, whatever the reason.</summary>
    public static long Refusals(JsonElement status) => Counter(status, "refus");
}
