using System.Buffers;
using System.Globalization;
using Florete.Storage.Api.Replication;
using Florete.Storage.Contracts;
using Microsoft.AspNetCore.Http;

namespace Florete.Storage.Api.Http;

/// <summary>What other replicas ask. Only callers with the storage's own identity are answered.</summary>
internal sealed class ReplicationApi(ReplicaHost host, PeerClients clients)
{
    private const int MaxIds = 4096;

    public async Task DifferencesAsync(HttpContext context)
    {
        host.MustBeReplica(context);
        var body = await context.BodyAsync(BucketSummary.EncodedBytes).ConfigureAwait(false);
        if (!BucketSummary.TryParse(body, out var summary)) throw ApiException.Invalid($"A summary has {BucketSummary.EncodedBytes} bytes, not {body.Length}.");
        await context.BytesAsync(Differences.Encode(host.Replica.DifferencesFrom(summary)), PeerClient.BytesType).ConfigureAwait(false);
    }

    public async Task VersionsAsync(HttpContext context)
    {
        host.MustBeReplica(context);
        var ids = await context.BodyAsync(MaxIds * VersionId.Bytes).ConfigureAwait(false);
        if (ids.Length % VersionId.Bytes != 0) throw ApiException.Invalid($"Ids have {VersionId.Bytes} bytes each; {ids.Length} are no multiple.");
        var batch = new ArrayBufferWriter<byte>();
        for (var at = 0; at < ids.Length && batch.WrittenCount < StorageLimits.MaxPageBytes; at += VersionId.Bytes)
        {
            if (host.Reader.Find(VersionId.Read(ids.AsSpan(at))) is { State: not VersionState.Hidden } stored) VersionBatch.Append(batch, stored.Version, stored.State == VersionState.Superseded);
        }
        await context.BytesAsync(batch.WrittenMemory, PeerClient.BytesType).ConfigureAwait(false);
    }

    public async Task ChainAsync(HttpContext context)
    {
        host.MustBeReplica(context);
        if (!ChainHash.TryParse(context.Request.RouteValues["hash"] as string, out var hash)) throw ApiException.Invalid("The hash of a chain has 64 hexadecimal digits.");
        var chain = host.Reader.ReadChain(hash) ?? throw new ApiException(StatusCodes.Status404NotFound, $"Chain {hash} is not kept here.");
        await context.BytesAsync(chain, PeerClient.BytesType).ConfigureAwait(false);
    }

    public async Task LogAsync(HttpContext context)
    {
        host.MustBeReplica(context);
        if (!long.TryParse(context.Word("after") ?? "0", NumberStyles.None, CultureInfo.InvariantCulture, out var after)) throw ApiException.Invalid("'after' must be a sequence, 0 at first.");
        var page = host.Reader.ReadLog(after, StorageLimits.MaxPageItems);
        var batch = new ArrayBufferWriter<byte>();
        foreach (var stored in page.Items) VersionBatch.Append(batch, stored.Version, stored.State == VersionState.Superseded);
        context.Response.Headers[PeerClient.ThroughHeader] = page.Through.ToString(CultureInfo.InvariantCulture);
        context.Response.Headers[PeerClient.LastHeader] = page.IsLast ? "true" : "false";
        await context.BytesAsync(batch.WrittenMemory, PeerClient.BytesType).ConfigureAwait(false);
    }

    /// <summary>Another replica tells what this one must know before it decides.</summary>
    public async Task OffersAsync(HttpContext context)
    {
        host.MustBeReplica(context);
        var body = await context.BodyAsync(VersionBatch.MaxMessageBytes).ConfigureAwait(false);
        if (!VersionBatch.TryDecode(body, out var versions, out var problem)) throw ApiException.Invalid(problem);
        var vertex = context.CallerVertex();
        await host.MergeAsync(clients.Of(vertex), versions, null, "offer", context.RequestAborted).ConfigureAwait(false);
        context.Response.StatusCode = StatusCodes.Status200OK;
    }
}
