using System.Globalization;
using System.Text.Json;
using Florete.Audit;
using Florete.Identities;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Microsoft.AspNetCore.Http;

namespace Florete.Storage.Api.Http;

/// <summary>Reads of documents, by those whom a rule of the bounds lets.</summary>
internal sealed class ReadingApi(ReplicaHost host)
{
    // Well below what HTTP clients wait for.
    private const int MaxEventsWaitSeconds = 60;

    // Positions of pages: the key of the last item, as "name:unit". Names have no colon.
    private const char UnitSeparator = ':';

    public async Task DocumentAsync(HttpContext context)
    {
        var key = context.Key();
        host.MustRead(context.Caller(), key.Collection);
        var unit = host.Reader.ReadUnit(key);
        if (context.Word("superseded") is "true")
        {
            await SupersededAsync(context, unit).ConfigureAwait(false);
            return;
        }
        if (unit.Count == 0 || unit[0].Version.IsTombstone) throw new ApiException(StatusCodes.Status404NotFound, $"There is no document {key} here.", $"GET /v1/collections/{key.Collection}/documents lists what is there.");
        var version = unit[0].Version;
        var headers = context.Response.Headers;
        headers.ETag = $"\"{version.Id}\"";
        if (context.Request.Headers.IfNoneMatch == headers.ETag)
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }
        headers[HeaderNames.Stamp] = version.Stamp.ToString();
        headers[HeaderNames.Author] = version.Author.ToString();
        headers[HeaderNames.Replica] = version.Replica.ToString();
        headers[HeaderNames.Superseded] = (unit.Count - 1).ToString(System.Globalization.CultureInfo.InvariantCulture);
        if (context.Request.Headers.Accept == StorageProtocol.VersionMediaType) await context.BytesAsync(version.Bytes, StorageProtocol.VersionMediaType).ConfigureAwait(false);
        else await context.BytesAsync(version.Body, "application/json").ConfigureAwait(false);
    }

    public async Task DocumentsAsync(HttpContext context)
    {
        var (collection, prefix, limit) = (context.Collection(), context.Prefix(), context.Limit());
        host.MustRead(context.Caller(), collection);
        // Before the first item is read: what changes meanwhile is told by a watch from there.
        var position = host.Position;
        var items = host.Reader.ReadCollection(collection, prefix, After(context, collection), limit);
        context.Response.ContentType = "application/json";
        using var json = new Utf8JsonWriter(context.Response.BodyWriter, VersionJson.Options);
        json.WriteStartObject();
        json.WriteStartArray("items"u8);
        foreach (var item in items) VersionJson.Write(json, item.Version);
        json.WriteEndArray();
        json.WriteString("position"u8, position.ToString());
        // A page that has room left is the last.
        if (items.Count == limit || items.Sum(static item => item.Version.Bytes.Length) > StorageLimits.MaxPageBytes - StorageProtocol.MaxVersionBytes)
        {
            var last = items[^1].Version.Key;
            json.WriteString("next"u8, $"{last.Name}{UnitSeparator}{last.Unit}");
        }
        json.WriteEndObject();
        await json.FlushAsync(context.RequestAborted).ConfigureAwait(false);
    }

    public Task CollectionsAsync(HttpContext context)
    {
        var caller = context.Caller();
        var readable = host.Collections().Where(collection => host.Bounds.MayRead(caller, collection.Name).IsAllowed);
        return context.AnswerAsync(new CollectionList([.. readable]), StorageJson.Default.CollectionList);
    }

    public async Task ConflictsAsync(HttpContext context)
    {
        var caller = context.Caller();
        context.Response.ContentType = "application/json";
        using var json = new Utf8JsonWriter(context.Response.BodyWriter, VersionJson.Options);
        json.WriteStartObject();
        json.WriteStartArray("items"u8);
        DocumentKey? after = null;
        while (host.Reader.ReadSuperseded(after, StorageLimits.MaxPageItems) is { Count: > 0 } page)
        {
            foreach (var unit in page.Where(stored => host.Bounds.MayRead(caller, stored.Version.Key.Collection.ToString()).IsAllowed).GroupBy(static stored => stored.Version.Key))
            {
                if (host.Reader.ReadUnit(unit.Key) is not [{ Version: var winner }, ..]) continue;
                foreach (var loser in unit)
                {
                    json.WriteStartObject();
                    json.WritePropertyName("loser"u8);
                    VersionJson.Write(json, loser.Version);
                    json.WritePropertyName("winner"u8);
                    VersionJson.Write(json, winner);
                    json.WriteEndObject();
                }
            }
            await json.FlushAsync(context.RequestAborted).ConfigureAwait(false);
            after = page[^1].Version.Key;
        }
        json.WriteEndArray();
        json.WriteEndObject();
        await json.FlushAsync(context.RequestAborted).ConfigureAwait(false);
    }

    public Task DigestAsync(HttpContext context)
    {
        var (digest, position, bytes) = (host.Replica.Digest(), host.Position, host.Replica.Collections().Sum(static c => c.Bytes));
        return context.AnswerAsync(
            new DigestAnswer(host.Name.ToString(), position.ToString(), digest.Current.ToString(), digest.Superseded.ToString(), digest.Documents, bytes), StorageJson.Default.DigestAnswer);
    }

    /// <summary>What was refused here, for the identity service of the node, which keeps the audit trail.</summary>
    public async Task EventsAsync(HttpContext context)
    {
        if (context.Caller() is var caller && caller is not { Kind: IdentityKind.Service, Name: "identity" }) throw ApiException.Forbidden($"Events are for service/identity, which keeps the audit trail; {caller.Path} reads collection '{AuditCollection.Name}'.");
        if (!long.TryParse(context.Word("after") ?? "0", NumberStyles.None, CultureInfo.InvariantCulture, out var after)) throw ApiException.Invalid("'after' must be the number of an event.");
        if (!int.TryParse(context.Word("wait") ?? "0", NumberStyles.None, CultureInfo.InvariantCulture, out var wait) || wait > MaxEventsWaitSeconds) throw ApiException.Invalid($"'wait' must be a number of seconds, at most {MaxEventsWaitSeconds}.");
        if (wait > 0)
        {
            using var ending = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, host.Stopping);
            await host.Events.OtherThanAsync(after).WaitAsync(TimeSpan.FromSeconds(wait), ending.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        var events = host.Events.After(after).Select(static e => new NoticedEvent(e.Number, e.Time, "refusedDocument", e.Reason, e.Suppressed, e.Subject, e.Peer.Length > 0 ? e.Peer : null));
        await context.AnswerAsync(new NoticedEvents(host.Started, [.. events]), AuditJson.Default.NoticedEvents).ConfigureAwait(false);
    }

    private async Task SupersededAsync(HttpContext context, IReadOnlyList<StoredVersion> unit)
    {
        context.Response.ContentType = "application/json";
        using var json = new Utf8JsonWriter(context.Response.BodyWriter, VersionJson.Options);
        json.WriteStartObject();
        json.WriteStartArray("items"u8);
        foreach (var stored in unit.Skip(1)) VersionJson.Write(json, stored.Version);
        json.WriteEndArray();
        json.WriteString("position"u8, host.Position.ToString());
        json.WriteEndObject();
        await json.FlushAsync(context.RequestAborted).ConfigureAwait(false);
    }

    private static DocumentKey? After(HttpContext context, CollectionName collection)
    {
        if (context.Word("after") is not { } text) return null;
        var colon = text.IndexOf(UnitSeparator, StringComparison.Ordinal);
        if (colon > 0 && DocumentName.TryParse(text[..colon], out var name, out _) && UnitName.TryParse(text[(colon + 1)..], out var unit, out _)) return new DocumentKey(collection, name, unit);
        throw ApiException.Invalid("'after' is not what 'next' of a page was.", "Begin with the first page, without 'after'.");
    }
}
