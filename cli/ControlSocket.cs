using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Florete.Cli;

/// <summary>Asks a flor of this machine (docs/protocols/control-socket.md).</summary>
internal static class ControlSocket
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    /// <summary>Where a flor may answer: as told, else FLOR_CONTROL, else in the current folder, else at the nodes whose folders lie in the operator's.</summary>
    public static IReadOnlyList<string> Candidates(string? told, string? operatorFolder)
    {
        if (told is not null) return [Path.GetFullPath(told)];
        if (Environment.GetEnvironmentVariable("FLOR_CONTROL") is { Length: > 0 } set) return [Path.GetFullPath(set)];
        var nodes = operatorFolder is null ? "" : Path.Combine(operatorFolder, "nodes");
        return [
            Path.GetFullPath("run/flor.sock"),
            .. Directory.Exists(nodes) ? Directory.GetDirectories(nodes).Order().Select(static node => Path.GetFullPath(Path.Combine(node, "run", "flor.sock"))) : [],
        ];
    }

    /// <summary>The answer of the first that is there.</summary>
    /// <exception cref="CliException">None answers, or the answer is an error.</exception>
    public static async Task<JsonElement> AskAsync(IReadOnlyList<string> candidates, JsonObject request, string remedy)
    {
        foreach (var path in candidates)
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            using var limit = new CancellationTokenSource(Patience);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), limit.Token);
            }
            catch (Exception e) when (e is SocketException or ArgumentException)
            {
                continue;
            }
            try
            {
                return await AskAsync(socket, path, request, limit.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or JsonException or IOException)
            {
                throw new CliException($"The flor at {path} does not answer as flor does: {e.Message}", "Look at its log; name another control socket with --control.");
            }
        }
        throw new CliException($"No flor answers at {string.Join(", ", candidates)}.", remedy);
    }

    private static async Task<JsonElement> AskAsync(Socket socket, string path, JsonObject request, CancellationToken cancellationToken)
    {
        using var stream = new NetworkStream(socket);
        await stream.WriteAsync(System.Text.Encoding.UTF8.GetBytes(request.ToJsonString() + "\n"), cancellationToken);
        using var reader = new StreamReader(stream);
        var line = await reader.ReadLineAsync(cancellationToken) ?? throw new IOException("it closed the connection");
        var answer = JsonDocument.Parse(line).RootElement;
        return answer.TryGetProperty("error", out var error) ? throw new CliException($"flor at {path}: {error.GetString()}") : answer;
    }
}
