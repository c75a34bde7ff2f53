using System.Net.Http.Json;
using System.Net.Sockets;

namespace Florete.Agent.Contracts;

/// <summary>Asks a running agent.</summary>
public sealed class AgentClient : IDisposable
{
    private readonly HttpClient http;

    public AgentClient(string path) => http = new HttpClient(new SocketsHttpHandler
    {
        UseProxy = false,
        ConnectCallback = async (_, cancellationToken) =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken).ConfigureAwait(false);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch (Exception e) when (e is SocketException or ArgumentException)
            {
                socket.Dispose();
                throw new IOException($"No agent answers at {path} ({e.Message}). Start it with 'florete-agent run', or name its control socket with --control.", e);
            }
        },
    })
    { BaseAddress = new Uri("http://agent/"), Timeout = TimeSpan.FromSeconds(30) };

    public async Task<WorkloadStatus[]> StatusAsync(CancellationToken cancellationToken) =>
        await http.GetFromJsonAsync("v1/workloads", AgentJson.Default.WorkloadStatusArray, cancellationToken).ConfigureAwait(false) ?? [];

    /// <returns>False: there is no such workload.</returns>
    public async Task<bool> RestartAsync(string name, CancellationToken cancellationToken)
    {
        using var answer = await http.PostAsync(new Uri($"v1/workloads/{Uri.EscapeDataString(name)}/restart", UriKind.Relative), null, cancellationToken).ConfigureAwait(false);
        return answer.IsSuccessStatusCode;
    }

    public async Task<string[]> ReloadAsync(CancellationToken cancellationToken)
    {
        using var answer = await http.PostAsync(new Uri("v1/reload", UriKind.Relative), null, cancellationToken).ConfigureAwait(false);
        return await answer.Content.ReadFromJsonAsync(AgentJson.Default.StringArray, cancellationToken).ConfigureAwait(false) ?? [];
    }

    public void Dispose() => http.Dispose();
}
