using Florete.Storage.Api.Http;
using Florete.Storage.Api.Replication;
using Florete.Storage.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Florete.Storage.Api;

// Paths of docs/protocols/storage.md. Handlers are plain request delegates: nothing is looked up by reflection at start.
public sealed partial class StorageServer
{
    private void Map()
    {
        var (reading, writing, watching, replication) = (new ReadingApi(host), new WritingApi(host, metrics), new WatchApi(host, metrics), new ReplicationApi(host, clients));
        var routes = (IEndpointRouteBuilder)application;
        void Get(string path, Func<HttpContext, Task> handle) => routes.MapGet(path, Guarded(handle));
        void Post(string path, Func<HttpContext, Task> handle) => routes.MapPost(path, Guarded(handle));
        void Put(string path, Func<HttpContext, Task> handle) => routes.MapPut(path, Guarded(handle));

        Get("/v1/collections", reading.CollectionsAsync);
        Get("/v1/collections/{collection}/documents", reading.DocumentsAsync);
        Get("/v1/collections/{collection}/documents/{**name}", reading.DocumentAsync);
        Put("/v1/collections/{collection}/documents/{**name}", writing.PutAsync);
        Get("/v1/collections/{collection}/watch", watching.WatchAsync);
        Post("/v1/prepare", writing.PrepareAsync);
        Get("/v1/conflicts", reading.ConflictsAsync);
        Get("/v1/digest", reading.DigestAsync);
        Get("/v1/events", reading.EventsAsync);
        Get("/v1/health", context => context.AnswerAsync(Health(), StorageJson.Default.HealthAnswer, IsReady ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable));

        Post("/v1/replication/differences", replication.DifferencesAsync);
        Post("/v1/replication/versions", replication.VersionsAsync);
        Get("/v1/replication/chains/{hash}", replication.ChainAsync);
        Get("/v1/replication/log", replication.LogAsync);
        Post("/v1/replication/offers", replication.OffersAsync);
        Post("/v1/replication/prepare", writing.PrepareForOtherAsync);
        Put("/v1/replication/swap", writing.SwapForOtherAsync);
        routes.MapFallback(Guarded(static context => throw new ApiException(StatusCodes.Status404NotFound, $"There is nothing at {context.Request.Path} that takes {context.Request.Method}.", "docs/protocols/storage.md lists what there is.")));
    }

    private RequestDelegate Guarded(Func<HttpContext, Task> handle) => async context =>
    {
        try
        {
            await handle(context).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller has gone.
        }
        catch (Exception e) when (!context.Response.HasStarted)
        {
            if (e is not (ApiException or PeerException)) RequestFailed(context.Request.Method, context.Request.Path, e);
            context.Response.Clear();
            await context.RefuseAsync(e switch
            {
                ApiException refusal => refusal,
                StorageException disk => new ApiException(StatusCodes.Status500InternalServerError, disk.Message),
                PeerException peer => new ApiException(StatusCodes.Status502BadGateway, peer.Message),
                BadHttpRequestException bad => new ApiException(bad.StatusCode, bad.Message),
                _ => new ApiException(StatusCodes.Status500InternalServerError, "The replica failed to answer; its log says why."),
            }).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            // The caller must not take what it has for the whole.
            RequestFailed(context.Request.Method, context.Request.Path, e);
            context.Abort();
        }
    };

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} {Path} failed")]
    private partial void RequestFailed(string method, string path, Exception e);
}
