using System.Text.Json;
using Florete.Identities;
using Florete.Storage.Contracts;
using Microsoft.AspNetCore.Http;

namespace Florete.Storage.Api.Http;

/// <summary>
/// Watches: every change from a position on, as lines of JSON, until the caller goes. A watch keeps a position and nothing else, so a caller that reads slowly costs no memory: it is told
/// the newest versions when it reads again.
/// </summary>
internal sealed class WatchApi(ReplicaHost host, StorageMetrics metrics)
{
    private const int MaxWatches = 1024;
    private const int MaxWatchesOfOne = 64;

    // Small, so that a slow caller holds little.
    private const int PageItems = 64;

    private static readonly TimeSpan PositionInterval = TimeSpan.FromSeconds(10);
    private static readonly byte[] LineEnd = [(byte)'\n'];

    private readonly Lock gate = new();
    private readonly Dictionary<SpiffeId, int> watches = [];
    private int all;

    public async Task WatchAsync(HttpContext context)
    {
        var (caller, collection, prefix) = (context.Caller(), context.Collection(), context.Prefix());
        host.MustRead(caller, collection);
        var after = After(context);
        Enter(caller);
        try
        {
            context.Response.ContentType = "application/jsonl";
            using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, host.Stopping);
            await RunAsync(context, caller, collection, prefix, after, ending.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested || host.Stopping.IsCancellationRequested)
        {
            // The caller has gone, or goes to another replica.
        }
        finally
        {
            Leave(caller);
        }
    }

    private async Task RunAsync(HttpContext context, SpiffeId caller, CollectionName collection, string prefix, ChangePosition at, CancellationToken cancellationToken)
    {
        using var json = new Utf8JsonWriter(context.Response.BodyWriter, VersionJson.Options);
        await LineAsync(context, json, "position", at, null, cancellationToken).ConfigureAwait(false);
        // A rule that is gone ends the watch, and its caller learns why when it comes again.
        while (host.Bounds.MayRead(caller, collection.ToString()).IsAllowed && host.Replica.ProblemOf(at) is null)
        {
            var page = host.Reader.ReadChanges(at.Sequence, collection, prefix, PageItems);
            foreach (var stored in page.Items)
            {
                if (Kind(stored) is { } kind) await LineAsync(context, json, kind, at with { Sequence = stored.Sequence }, stored.Version, cancellationToken).ConfigureAwait(false);
            }
            at = at with { Sequence = page.Through };
            await context.Response.BodyWriter.FlushAsync(cancellationToken).ConfigureAwait(false);
            if (!page.IsLast) continue;
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            patience.CancelAfter(PositionInterval);
            try
            {
                await host.Replica.WaitForChangeAsync(at.Sequence, patience.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                await LineAsync(context, json, "position", at, null, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    // Null: nothing that is for those who watch.
    private string? Kind(StoredVersion stored) => stored.State switch
    {
        VersionState.Superseded => "superseded",
        VersionState.Current => stored.Version.IsTombstone ? "delete" : "put",
        // The bounds have taken it away; if something else is current, that is a change of its own.
        _ => host.Reader.ReadUnit(stored.Version.Key) is [] or [{ Version.IsTombstone: true }, ..] ? "delete" : null,
    };

    private async Task LineAsync(HttpContext context, Utf8JsonWriter json, string type, ChangePosition position, DocumentVersion? version, CancellationToken cancellationToken)
    {
        json.WriteStartObject();
        json.WriteString("type"u8, type);
        json.WriteString("position"u8, position.ToString());
        if (version is not null)
        {
            json.WritePropertyName("item"u8);
            VersionJson.Write(json, version);
        }
        json.WriteEndObject();
        json.Flush();
        json.Reset();
        await context.Response.BodyWriter.WriteAsync(LineEnd, cancellationToken).ConfigureAwait(false);
        if (version is not null) metrics.Told.Add(1);
    }

    private ChangePosition After(HttpContext context)
    {
        if (context.Word("after") is not { } text) return host.Position;
        if (!ChangePosition.TryParse(text, out var position)) throw ApiException.Invalid("'after' is no position.", "Take it from 'position' of a list or a line, or leave it out to begin now.");
        if (host.Replica.ProblemOf(position) is { } problem) throw new ApiException(StatusCodes.Status410Gone, problem, "Watch from the position that the list tells.");
        return position;
    }

    private void Enter(SpiffeId caller)
    {
        lock (gate)
        {
            var own = watches.GetValueOrDefault(caller);
            if (all >= MaxWatches) throw ApiException.Busy($"There are {all} watches already, the limit.");
            if (own >= MaxWatchesOfOne) throw new ApiException(StatusCodes.Status429TooManyRequests, $"{caller.Path} has {own} watches already, the limit.", "End one first, or watch a whole collection.");
            watches[caller] = own + 1;
            all++;
        }
        metrics.Watches.Add(1);
    }

    private void Leave(SpiffeId caller)
    {
        lock (gate)
        {
            all--;
            if (watches[caller] == 1) watches.Remove(caller);
            else watches[caller]--;
        }
        metrics.Watches.Add(-1);
    }
}
