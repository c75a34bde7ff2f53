using System.Buffers;
using System.Globalization;
using Florete.Identities;
using Florete.Identity.Contracts;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Florete.Identity;

/// <summary>The service's API over HTTP (docs/protocols/join.md "The issuer").</summary>
public static class IdentityApi
{
    // A token and a request of a key have 2 KB.
    private const int MaxRequestBytes = 16 * 1024;

    /// <param name="app">Published through the portal of <c>service/identity</c>.</param>
    /// <param name="service">The service.</param>
    /// <param name="caller">The proved identity of who calls.</param>
    public static void MapIdentityApi(this IEndpointRouteBuilder app, IdentityService service, Func<HttpContext, SpiffeId?> caller)
    {
        app.MapPost("/v1/join", context => IssueAsync(context, service, caller(context), "join", static (issuer, request, by) => issuer.Join(request, by)));
        app.MapPost("/v1/renew", context => IssueAsync(context, service, caller(context), "renew", static (issuer, request, by) => issuer.Renew(request, by)));
        app.MapGet("/v1/root", context =>
        {
            context.Response.StatusCode = service.Issuer is null ? StatusCodes.Status404NotFound : StatusCodes.Status200OK;
            return Task.CompletedTask;
        });
        app.MapGet("/v1/events", context => long.TryParse(context.Request.Query["after"].FirstOrDefault() ?? "0", NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? WriteAsync(context, StatusCodes.Status200OK, new EventsDocument(service.Events.After(number)))
            : WriteAsync(context, StatusCodes.Status400BadRequest, new RefusalDocument("malformed", "after is the number of an event.")));
        app.MapGet("/health", context =>
        {
            var problems = service.Problems;
            context.Response.StatusCode = problems.Count > 0 ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status200OK;
            // An audit trail that waits for the storage is told, but keeps nothing from being done.
            return context.Response.WriteAsync((problems.Count > 0 ? string.Join('\n', problems) : service.AuditProblem is { } audit ? $"ok\n{audit}" : "ok") + "\n");
        });
    }

    private delegate JoinAnswer Issue(Issuer issuer, ReadOnlySpan<byte> request, SpiffeId by);

    private static async Task IssueAsync(HttpContext context, IdentityService service, SpiffeId? by, string what, Issue issue)
    {
        if (service.Issuer is not { } issuer)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        try
        {
            // Who may connect is the bounds' business; but a program that is no part of the cluster's own works has no business here.
            if (by is not ({ Kind: IdentityKind.Node } or { Kind: IdentityKind.Service, Name: "identity" }))
            {
                throw new JoinException(JoinRefusal.Forbidden, $"{by?.Path ?? "An unknown caller"} may not ask for certificates; nodes do.");
            }
            var answer = issue(issuer, await ReadAsync(context.Request).ConfigureAwait(false), by);
            service.Metrics.Requested(what, "answered");
            await WriteAsync(context, StatusCodes.Status200OK, answer).ConfigureAwait(false);
        }
        catch (JoinException e)
        {
            service.Metrics.Requested(what, e.Code.Word());
            await WriteAsync(context, StatusOf(e.Code), new RefusalDocument(e.Code.Word(), e.Message)).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or IdentityException)
        {
            service.Metrics.Requested(what, "failed");
            await WriteAsync(context, StatusCodes.Status503ServiceUnavailable, new RefusalDocument("failed", $"The issuer cannot do it now: {e.Message}")).ConfigureAwait(false);
        }
    }

    private static async Task<byte[]> ReadAsync(HttpRequest request)
    {
        var body = new ArrayBufferWriter<byte>();
        while (true)
        {
            var read = await request.BodyReader.ReadAsync(request.HttpContext.RequestAborted).ConfigureAwait(false);
            foreach (var part in read.Buffer) body.Write(part.Span);
            request.BodyReader.AdvanceTo(read.Buffer.End);
            if (body.WrittenCount > MaxRequestBytes) throw new JoinException(JoinRefusal.Malformed, $"The request has more than {MaxRequestBytes} bytes.");
            if (read.IsCompleted) return body.WrittenSpan.ToArray();
        }
    }

    private static Task WriteAsync<T>(HttpContext context, int status, T document)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        return context.Response.Body.WriteAsync(IdentityJson.Write(document)).AsTask();
    }

    private static int StatusOf(JoinRefusal code) => code switch
    {
        JoinRefusal.Used => StatusCodes.Status409Conflict,
        JoinRefusal.Forbidden or JoinRefusal.Expired or JoinRefusal.WrongCluster => StatusCodes.Status403Forbidden,
        JoinRefusal.Malformed => StatusCodes.Status400BadRequest,
        _ => StatusCodes.Status503ServiceUnavailable,
    };
}
