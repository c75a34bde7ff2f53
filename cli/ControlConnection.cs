using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Florete.Cli;

/// <summary>A connection to the control socket of a flor; one request after another.</summary>
internal sealed class ControlConnection : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    private readonly NetworkStream stream;
    private readonly StreamReader reader;

    /// <param name="socket">Connected; owned from now on.</param>
    /// <param name="path">What to call it.</param>
    public ControlConnection(Socket socket, string path)
    {
        Path = path;
        stream = new NetworkStream(socket, ownsSocket: true);
        reader = new StreamReader(stream);
    }

    public string Path { get; }

    /// <exception cref="CliException">The answer is an error, or none that flor would give.</exception>
    public async Task<JsonElement> AskAsync(JsonObject request, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(Patience);
        try
        {
            await stream.WriteAsync(Encoding.UTF8.GetBytes(request.ToJsonString() + "\n"), limit.Token);
            var line = await reader.ReadLineAsync(limit.Token) ?? throw new IOException("it closed the connection");
            var answer = JsonDocument.Parse(line).RootElement;
            return answer.TryGetProperty("error", out var error) ? throw new CliException($"flor at {Path}: {error.GetString()}") : answer;
        }
        catch (Exception e) when (e is JsonException or IOException or InvalidOperationException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new CliException($"The flor at {Path} does not answer as flor does: {e.Message}", "Look at its log; name another control socket with --control.");
        }
    }

    public void Dispose() => reader.Dispose();
}
