using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Florete.Cli;

/// <summary>Asks a flor of this machine (docs/protocols/control-socket.md).</summary>
internal static class ControlSocket
{
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
        using var connection = await OpenAsync(candidates, remedy, CancellationToken.None);
        return await connection.AskAsync(request, CancellationToken.None);
    }

    /// <summary>A connection to the first that is there.</summary>
    /// <exception cref="CliException">None answers.</exception>
    public static async Task<ControlConnection> OpenAsync(IReadOnlyList<string> candidates, string remedy, CancellationToken cancellationToken)
    {
        foreach (var path in candidates)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
                return new ControlConnection(socket, path);
            }
            catch (Exception e) when (e is SocketException or ArgumentException)
            {
                socket.Dispose();
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
        throw new CliException($"No flor answers at {string.Join(", ", candidates)}.", remedy);
    }
}
