using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Florete.Proxy.Control;
using Florete.Proxy.Inbounds;
using Florete.Proxy.Local;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Metrics;

/// <summary>
/// Serves <c>GET /metrics</c> and <c>GET /health</c> over HTTP, one request a connection. So little of HTTP that a node without a proxy needs
/// no web server for it.
/// </summary>
internal sealed class MetricsServer : IAsyncDisposable
{
    private const int MaxHeadBytes = 8 * 1024;

    // Each report is a turn of the vertex's loop: askers wait for each other, not the packets for them.
    private readonly SemaphoreSlim turn = new(1);
    private readonly HandshakeGate gate;
    private readonly Func<CancellationToken, Task<StatusReport>> report;
    private readonly Listener listener;
    private readonly CancellationTokenSource stopping = new();

    /// <param name="bound">A TCP socket on a loopback address; owned from here on.</param>
    /// <param name="gate">Bounds clients that say nothing.</param>
    /// <param name="report">The node now.</param>
    /// <param name="logger">For faults.</param>
    public MetricsServer(Socket bound, HandshakeGate gate, Func<CancellationToken, Task<StatusReport>> report, ILogger logger)
    {
        (this.gate, this.report) = (gate, report);
        listener = new Listener("metrics", bound, ServeAsync, logger);
    }

    public EndPoint LocalEndPoint => listener.LocalEndPoint;

    public async ValueTask DisposeAsync()
    {
        await listener.DisposeAsync();
        await stopping.CancelAsync();
    }

    private async Task ServeAsync(LocalSocket socket)
    {
        using var client = gate.Enter(socket);
        using var reader = new HandshakeReader(socket, client, MaxHeadBytes);
        int scanned = 0, head;
        OperationStatus status;
        while ((status = HttpMessages.FindEndOfHead(reader.Buffered.Span, ref scanned, out head)) == OperationStatus.NeedMoreData)
        {
            if (await reader.FillAsync()) continue;
            if (!reader.IsFull) return;
            break;
        }
        var answer = status != OperationStatus.Done
            ? HttpMessages.Answer(400, "The request is malformed or too large.")
            : await AnswerAsync(Encoding.ASCII.GetString(reader.Buffered.Span[..head]));
        await socket.SendAsync(answer);
        client.Dispose();
        await LingeringClose.EndAsync(socket, gate);
    }

    private async Task<byte[]> AnswerAsync(string head)
    {
        if (head[..head.IndexOf('\r', StringComparison.Ordinal)].Split(' ') is not [var method, var target, "HTTP/1.0" or "HTTP/1.1"]) return HttpMessages.Answer(400, "The request is malformed.");
        if (method != "GET") return HttpMessages.Answer(405, "Only GET is served here.");
        var path = target.Split('?')[0];
        if (path is not ("/metrics" or "/health")) return HttpMessages.Answer(404, "There are /metrics and /health here.");
        await turn.WaitAsync(stopping.Token);
        try
        {
            var now = await report(stopping.Token);
            var problems = Health.ProblemsOf(now, DateTimeOffset.UtcNow);
            if (path == "/metrics") return HttpMessages.Answer(200, PrometheusText.ContentType, PrometheusText.Write(now, problems, ProcessFigures.Now()));
            return problems.Count == 0 ? HttpMessages.Answer(200, "healthy") : HttpMessages.Answer(503, string.Join('\n', problems));
        }
        finally
        {
            turn.Release();
        }
    }
}
