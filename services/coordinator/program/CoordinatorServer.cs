using Florete.AspNetCore;
using Florete.Bus;
using Florete.Coordination.Contracts;
using Florete.Portals;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Florete.Coordination.Program;

/// <summary>The coordinator program with all that belongs to it: it stands for election at its vertex, and tells by HTTP how it stands. It starts whether flor runs or not.</summary>
internal sealed class CoordinatorServer : IAsyncDisposable
{
    private readonly WebApplication application;
    private readonly CoordinatorLoop loop;
    private readonly CoordinatorMetrics metrics = new();
    private readonly CancellationTokenSource stopping = new();

    private CoordinatorServer(IProgramPortal portal, IProgramPortal node, Action<ILoggingBuilder> logging)
    {
        var shared = new SharedPortal(portal);
        // Nothing here takes a body.
        application = PortalApplication.CreateBuilder("florete-coordinator", shared.For(PortalHttp.Protocol), maxRequestBodyBytes: 0, logging).Build();
        var logs = application.Services.GetRequiredService<ILoggerFactory>();
        loop = new CoordinatorLoop(node, shared.For(PortalHttp.Protocol), new PathAsker(shared.For(BusMember.Protocol), logs), metrics, logs);
        var routes = (IEndpointRouteBuilder)application;
        routes.MapGet("/v1/status", context => context.Response.WriteAsJsonAsync(loop.Status, CoordinationJson.Default.CoordinatorStatus, cancellationToken: context.RequestAborted));
        routes.MapGet("/v1/health", context =>
        {
            context.Response.StatusCode = loop.IsReady ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
            return context.Response.WriteAsJsonAsync(new CoordinatorHealth(loop.IsReady, loop.Missing), CoordinationJson.Default.CoordinatorHealth, cancellationToken: context.RequestAborted);
        });
    }

    /// <summary>Completes when it is stopped; faults when it cannot go on.</summary>
    public Task Running { get; private set; } = Task.CompletedTask;

    /// <param name="portal">Of <c>service/coordinator</c>.</param>
    /// <param name="node">Of <c>node/…</c>, this node.</param>
    /// <param name="logging">Where its log goes.</param>
    public static async Task<CoordinatorServer> StartAsync(IProgramPortal portal, IProgramPortal node, Action<ILoggingBuilder> logging)
    {
        var server = new CoordinatorServer(portal, node, logging);
        // First what others wait for: that it stands. Kestrel takes its time.
        server.Running = Task.Run(() => server.loop.RunAsync(server.stopping.Token));
        await server.application.StartAsync().ConfigureAwait(false);
        return server;
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await Running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await application.StopAsync().ConfigureAwait(false);
        await loop.DisposeAsync().ConfigureAwait(false);
        await application.DisposeAsync().ConfigureAwait(false);
        metrics.Dispose();
        stopping.Dispose();
    }
}
