using Florete.AspNetCore;
using Florete.Bus;
using Florete.Ncs.Contracts;
using Florete.Portals;
using MassTransit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Florete.Ncs.Program;

/// <summary>A path computation with all that belongs to it: asked over the bus, and looked at by HTTP, under one identity. It starts whether flor runs or not.</summary>
internal sealed class NcsServer : IAsyncDisposable
{
    // Requests that have come and wait their turn; the others stay with who asked.
    private const int Waiting = 64;

    private readonly WebApplication application;
    private readonly TopologySource topology;

    private NcsServer(WebApplication application, TopologySource topology) => (this.application, this.topology) = (application, topology);

    /// <param name="portal">Of <c>service/ncs</c>.</param>
    /// <param name="node">Of <c>node/…</c>, this node.</param>
    /// <param name="askers">Whose requests are answered: identities and patterns, as the bus names peers.</param>
    /// <param name="logging">Where its log goes.</param>
    /// <param name="cancellationToken">Gives the start up.</param>
    /// <exception cref="ArgumentException">An asker is no identity.</exception>
    public static async Task<NcsServer> StartAsync(
        IProgramPortal portal, IProgramPortal node, string[] askers, Action<ILoggingBuilder> logging, CancellationToken cancellationToken = default)
    {
        new BusMemberOptions { Peers = askers }.Validate();
        var shared = new SharedPortal(portal);
        var topology = new TopologySource(node, TimeProvider.System);
        // Nothing here takes a body.
        var builder = PortalApplication.CreateBuilder("florete-ncs", shared.For(PortalHttp.Protocol), maxRequestBodyBytes: 0, logging);
        builder.Services.AddSingleton(services => new PathService(topology, services.GetRequiredService<ILogger<PathService>>()));
        builder.Services.AddMassTransit(x => x.UsingFlorete((context, cfg) =>
        {
            cfg.Host(shared.For(BusMember.Protocol), host => host.Peers(askers));
            cfg.ReceiveEndpoint(NcsProtocol.Queue, queue =>
            {
                queue.PrefetchCount = Waiting;
                queue.ConcurrentMessageLimit = 1;
                var paths = context.GetRequiredService<PathService>();
                queue.Handler<PathRequest>(async request => await request.RespondAsync(await paths.AnswerAsync(request.Message, request.CancellationToken).ConfigureAwait(false)).ConfigureAwait(false));
            });
        }));
        var server = new NcsServer(builder.Build(), topology);
        try
        {
            server.Map();
            await server.application.StartAsync(cancellationToken).ConfigureAwait(false);
            return server;
        }
        catch
        {
            await server.application.DisposeAsync().ConfigureAwait(false);
            await topology.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await application.StopAsync().ConfigureAwait(false);
        await application.DisposeAsync().ConfigureAwait(false);
        await topology.DisposeAsync().ConfigureAwait(false);
    }

    private void Map()
    {
        var paths = application.Services.GetRequiredService<PathService>();
        var routes = (IEndpointRouteBuilder)application;
        routes.MapGet("/v1/health", async context =>
        {
            var isReady = await paths.LookAsync(context.RequestAborted).ConfigureAwait(false);
            context.Response.StatusCode = isReady ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
            await context.Response.WriteAsJsonAsync(new HealthAnswer(isReady, Missing(paths)), NcsJson.Default.HealthAnswer, cancellationToken: context.RequestAborted).ConfigureAwait(false);
        });
        routes.MapGet("/v1/status", context =>
        {
            var last = topology.Last;
            return context.Response.WriteAsJsonAsync(new StatusAnswer(
                paths.Answers, last?.Network.Count ?? 0, (last?.Network.LinkCount ?? 0) / 2, last is null ? null : (long)topology.AgeOf(last).TotalMilliseconds,
                (long)paths.LastComputation.TotalMicroseconds, Missing(paths)), NcsJson.Default.StatusAnswer, cancellationToken: context.RequestAborted);
        });
    }

    private static string[] Missing(PathService paths) => paths.Missing is { } missing ? [missing] : [];
}
