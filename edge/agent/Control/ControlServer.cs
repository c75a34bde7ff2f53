using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Serialization.Metadata;
using Florete.Agent.Contracts;
using Florete.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Florete.Agent.Control;

/// <summary>The agent's control socket: HTTP on a Unix socket that its user alone may open.</summary>
internal sealed class ControlServer : IAsyncDisposable
{
    private readonly WebApplication web;
    private readonly Socket socket;

    private ControlServer(WebApplication web, Socket socket) => (this.web, this.socket) = (web, socket);

    /// <exception cref="IOException">The socket cannot be made there; the message names path and remedy.</exception>
    public static async Task<ControlServer> StartAsync(string path, NodeAgent agent, CancellationToken cancellationToken)
    {
        var socket = PrivateSocket.Bind(path, ownerId: null);
        try
        {
            var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
            builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
            {
                kestrel.ListenHandle((ulong)socket.Handle);
                kestrel.Limits.MaxConcurrentConnections = 64;
                kestrel.Limits.MaxRequestBodySize = 4096;
            });
            builder.Services.AddRoutingCore();
            var web = builder.Build();
            Map(web, agent);
            await web.StartAsync(cancellationToken).ConfigureAwait(false);
            return new ControlServer(web, socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await web.DisposeAsync().ConfigureAwait(false);
        socket.Dispose();
    }

    private static void Map(WebApplication web, NodeAgent agent)
    {
        var routes = (IEndpointRouteBuilder)web;
        routes.MapGet("/v1/workloads", context => WriteAsync(context, StatusCodes.Status200OK, agent.Status.ToArray(), AgentJson.Default.WorkloadStatusArray));
        routes.MapPost("/v1/workloads/{name}/restart", context =>
        {
            context.Response.StatusCode = agent.Restart((string)context.Request.RouteValues["name"]!) ? StatusCodes.Status202Accepted : StatusCodes.Status404NotFound;
            return Task.CompletedTask;
        });
        routes.MapPost("/v1/reload", async context =>
            await WriteAsync(context, StatusCodes.Status200OK, (await agent.ReloadAsync().ConfigureAwait(false)).ToArray(), AgentJson.Default.StringArray).ConfigureAwait(false));
        routes.MapGet("/v1/health", context =>
        {
            var problems = agent.Problems.ToArray();
            return WriteAsync(context, problems.Length == 0 ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, problems, AgentJson.Default.StringArray);
        });
        routes.MapGet("/metrics", context =>
        {
            context.Response.ContentType = "text/plain; version=0.0.4";
            return context.Response.WriteAsync(Metrics(agent.Status));
        });
    }

    private static Task WriteAsync<T>(HttpContext context, int status, T document, JsonTypeInfo<T> type)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsJsonAsync(document, type, cancellationToken: context.RequestAborted);
    }

    private static string Metrics(IReadOnlyList<WorkloadStatus> all)
    {
        var text = new StringBuilder("# TYPE florete_agent_workload_ready gauge\n");
        foreach (var one in all) text.Append(CultureInfo.InvariantCulture, $"florete_agent_workload_ready{{workload=\"{one.Name}\"}} {(one.Phase == WorkloadPhase.Ready ? 1 : 0)}\n");
        text.Append("# TYPE florete_agent_workload_restarts_total counter\n");
        foreach (var one in all) text.Append(CultureInfo.InvariantCulture, $"florete_agent_workload_restarts_total{{workload=\"{one.Name}\"}} {one.Restarts}\n");
        return text.ToString();
    }
}
