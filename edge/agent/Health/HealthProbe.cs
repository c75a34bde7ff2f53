using System.Net;
using System.Net.Sockets;
using Florete.Agent.Configuration;
using Florete.Identities;
using Florete.Portals;
using Florete.PortalSocket;

namespace Florete.Agent.Health;

/// <summary>
/// Health by HTTP (2xx is ready, 503 is not ready and waits, RFC 9110 §15.6.4), or by a socket that accepts. A name of the mesh is asked through the agent's portal, of the instance on this
/// node: that of another node says nothing about the workload here.
/// </summary>
public sealed class HealthProbe : IHealthProbe, IDisposable
{
    // Its status says all; the rest is read, so that the connection can be used again.
    private const int MaxAnswerBytes = 64 * 1024;

    // A kept connection costs much less than a new one. It proves that its process answers, but not that a new one can be made: so that is tried now and then.
    private static readonly TimeSpan KeptFor = TimeSpan.FromSeconds(40);

    private readonly HttpClient local;
    private readonly HttpClient? byPortal;

    /// <param name="configuration">Names the portal socket, cluster and node.</param>
    public HealthProbe(AgentConfiguration configuration)
    {
        local = Client(new SocketsHttpHandler { UseProxy = false });
        if (configuration.PortalSocket is not { } socket) return;
        var portal = new PortalSocketClient(socket);
        var here = new ConnectOptions(Class: TrafficClass.Interactive, Instance: SpiffeId.Of(configuration.Cluster, IdentityKind.Vertex, configuration.Node));
        byPortal = Client(PortalHttp.CreateHandler(portal, here));
    }

    public async Task<HealthAnswer> AskAsync(HealthConfiguration health, CancellationToken cancellationToken)
    {
        using var within = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        within.CancelAfter(health.Within);
        try
        {
            return health.Socket is { } socket ? await ConnectAsync(socket, within.Token).ConfigureAwait(false) : await GetAsync(health, within.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return HealthAnswer.Broken($"{Name(health)} did not answer within {health.Within.TotalSeconds:0.##} s");
        }
        catch (Exception e) when (e is HttpRequestException or SocketException or IOException or PortalException)
        {
            return HealthAnswer.Broken($"{Name(health)}: {e.Message}");
        }
    }

    public void Dispose()
    {
        local.Dispose();
        byPortal?.Dispose();
    }

    private static HttpClient Client(SocketsHttpHandler handler)
    {
        handler.PooledConnectionLifetime = KeptFor;
        handler.MaxResponseDrainSize = MaxAnswerBytes;
        return new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan, MaxResponseContentBufferSize = MaxAnswerBytes };
    }

    private static async Task<HealthAnswer> ConnectAsync(string path, CancellationToken cancellationToken)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken).ConfigureAwait(false);
        return HealthAnswer.Ready;
    }

    private async Task<HealthAnswer> GetAsync(HealthConfiguration health, CancellationToken cancellationToken)
    {
        var client = health.IsByPortal ? byPortal ?? throw new IOException("this agent has no portal socket; write portal: into its file") : local;
        using var answer = await client.GetAsync(health.Url, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
        if (answer.IsSuccessStatusCode) return HealthAnswer.Ready;
        var said = $"{Name(health)} answered {(int)answer.StatusCode} {answer.ReasonPhrase}";
        return answer.StatusCode == HttpStatusCode.ServiceUnavailable ? HealthAnswer.NotReady(said) : HealthAnswer.Broken(said);
    }

    private static string Name(HealthConfiguration health) => health.Socket ?? health.Url!.ToString();
}
