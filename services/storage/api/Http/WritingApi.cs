using System.Buffers;
using System.Net;
using Florete.Identities;
using Florete.Storage.Api.Replication;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Microsoft.AspNetCore.Http;

namespace Florete.Storage.Api.Http;

/// <summary>
/// Writes by authors. A plain write is accepted here; a compare-and-swap is decided by the arbiter, to which this replica tells its newest version of the unit before, and from which it
/// takes the outcome before it answers.
/// </summary>
internal sealed class WritingApi(ReplicaHost host, StorageMetrics metrics)
{
    private const int MaxPrepareBytes = 4096;
    private const string None = "none";

    public async Task PrepareAsync(HttpContext context)
    {
        var request = await context.JsonAsync(StorageJson.Default.PrepareRequest, MaxPrepareBytes).ConfigureAwait(false);
        var key = KeyOf(request);
        host.MustWrite(context.Caller(), context.CallerVertex(), key.Collection);
        host.MustBeFilled();
        if (request.CompareAndSwap && host.Arbiter?.Find() is { } peer)
        {
            await TellAsync(peer, key, context.RequestAborted).ConfigureAwait(false);
            var told = await AskArbiterAsync(() => peer.PrepareAsync(request, context.RequestAborted)).ConfigureAwait(false);
            await context.AnswerAsync(told, StorageJson.Default.PrepareAnswer).ConfigureAwait(false);
            return;
        }
        await context.AnswerAsync(Answer(key, host.Replica.Prepare(key)), StorageJson.Default.PrepareAnswer).ConfigureAwait(false);
    }

    public async Task PutAsync(HttpContext context)
    {
        var (caller, key) = (context.Caller(), context.Key());
        host.MustBeFilled();
        var version = await VersionAsync(context).ConfigureAwait(false);
        if (version.Key != key) throw ApiException.Invalid($"The version is of {version.Key}, and the request of {key}.", "Send it where it belongs.");
        var chain = Chain(context);
        if (!TryExpected(context, out var expected))
        {
            Refuse(await host.Replica.WriteAsync(version, chain, caller, context.RequestAborted).ConfigureAwait(false), key, caller, context.CallerVertex());
        }
        else if (version.Replica == host.Name)
        {
            Refuse(await host.Replica.CompareAndSwapAsync(version, chain, expected, caller, context.RequestAborted).ConfigureAwait(false), key, caller, context.CallerVertex());
        }
        else
        {
            await ForwardAsync(context, version, expected, chain).ConfigureAwait(false);
            await AcceptedAsync(context, version).ConfigureAwait(false);
            return;
        }
        host.Publish(version);
        await AcceptedAsync(context, version).ConfigureAwait(false);
    }

    /// <summary>Another replica asks for an author; this one is its arbiter.</summary>
    public async Task PrepareForOtherAsync(HttpContext context)
    {
        host.MustBeReplica(context);
        host.MustBeFilled();
        var key = KeyOf(await context.JsonAsync(StorageJson.Default.PrepareRequest, MaxPrepareBytes).ConfigureAwait(false));
        await context.AnswerAsync(Answer(key, host.Replica.Prepare(key)), StorageJson.Default.PrepareAnswer).ConfigureAwait(false);
    }

    /// <summary>Another replica passes a compare-and-swap on; the author is proved by the signature.</summary>
    public async Task SwapForOtherAsync(HttpContext context)
    {
        host.MustBeReplica(context);
        host.MustBeFilled();
        var version = await VersionAsync(context).ConfigureAwait(false);
        VersionId? expected = context.Word("expected") switch
        {
            None => null,
            var text when VersionId.TryParse(text, out var id) => id,
            _ => throw ApiException.Invalid($"'expected' must be the id of a version, or '{None}'."),
        };
        Refuse(await host.Replica.CompareAndSwapAsync(version, Chain(context), expected, caller: null, context.RequestAborted).ConfigureAwait(false), version.Key, version.Author, context.CallerVertex());
        host.Publish(version);
        await AcceptedAsync(context, version).ConfigureAwait(false);
    }

    private async Task ForwardAsync(HttpContext context, DocumentVersion version, VersionId? expected, byte[]? chain)
    {
        if (context.Caller() != version.Author) throw ApiException.Forbidden($"{context.Caller().Path} sent a version of {version.Author}; everybody writes in their own name.");
        host.MustWrite(version.Author, context.CallerVertex(), version.Key.Collection);
        if (host.Arbiter?.Of(version.Replica) is not { } peer)
        {
            throw new ApiException(StatusCodes.Status412PreconditionFailed, $"Replica {version.Replica}, for which this version was made, decides no compare-and-swaps of this group now.", "Prepare again.")
            {
                Prepare = await AskArbiterAsync(() => PrepareAnewAsync(version.Key, context.RequestAborted)).ConfigureAwait(false),
            };
        }
        metrics.Forwarded.Add(1);
        var known = chain ?? host.Reader.ReadChain(version.Chain);
        var (status, problem) = await AskArbiterAsync(
            () => peer.SwapAsync(version, known is null ? null : Convert.ToBase64String(known), expected?.ToString() ?? None, context.RequestAborted)).ConfigureAwait(false);
        if (problem is not null || status != HttpStatusCode.OK)
        {
            throw new ApiException((int)status, problem?.Title ?? $"The arbiter, replica {version.Replica}, answered {(int)status}.", problem?.Detail)
            {
                Prepare = problem?.Prepare,
                RetryAfterSeconds = status == HttpStatusCode.ServiceUnavailable ? 1 : null,
            };
        }
        // Who is answered here reads here.
        await host.MergeAsync(peer, [new OfferedVersion(version, false)], known, "swap", context.RequestAborted).ConfigureAwait(false);
    }

    private async Task<PrepareAnswer> PrepareAnewAsync(DocumentKey key, CancellationToken cancellationToken)
    {
        if (host.Arbiter?.Find() is not { } peer) return Answer(key, host.Replica.Prepare(key));
        await TellAsync(peer, key, cancellationToken).ConfigureAwait(false);
        return await peer.PrepareAsync(new PrepareRequest(key.Collection.ToString(), key.Name.ToString(), key.Unit.ToString(), CompareAndSwap: true), cancellationToken).ConfigureAwait(false);
    }

    // What the arbiter decides on is at least what the caller could read here.
    private async Task TellAsync(PeerClient peer, DocumentKey key, CancellationToken cancellationToken)
    {
        if (host.Reader.ReadUnit(key) is not [{ Version: var current }, ..]) return;
        var batch = new ArrayBufferWriter<byte>();
        VersionBatch.Append(batch, current, isSuperseded: false);
        await AskArbiterAsync(async () =>
        {
            await peer.OfferAsync(batch.WrittenMemory, cancellationToken).ConfigureAwait(false);
            return true;
        }).ConfigureAwait(false);
    }

    private static async Task<T> AskArbiterAsync<T>(Func<Task<T>> ask)
    {
        try
        {
            return await ask().ConfigureAwait(false);
        }
        catch (PeerException e)
        {
            throw ApiException.Busy($"The arbiter of compare-and-swaps does not answer. {e.Message}", "Ask again: when it is found to be gone, another one decides.");
        }
    }

    private void Refuse(WriteResult result, DocumentKey key, SpiffeId author, SpiffeId from)
    {
        if (result.IsAccepted) return;
        metrics.Refused.Add(1, new KeyValuePair<string, object?>("reason", result.Status.ToString()));
        var problem = result.Problem ?? $"The version of {key} was not accepted.";
        if (result.Status == WriteStatus.Forbidden)
        {
            host.CountRefused(1);
            host.NoteRefused(author, from, $"{key}: {problem}");
        }
        throw result.Status switch
        {
            WriteStatus.Conflict => new ApiException(StatusCodes.Status412PreconditionFailed, problem, "Sign again what 'prepare' tells.") { Prepare = Answer(key, result.Prepared!) },
            WriteStatus.ChainUnknown => new ApiException(StatusCodes.Status428PreconditionRequired, "The author's certificate chain is not known here.", $"Send it in the header {HeaderNames.Chain}, base64."),
            WriteStatus.Forbidden => ApiException.Forbidden(problem),
            WriteStatus.Full => new ApiException(StatusCodes.Status507InsufficientStorage, problem),
            _ => ApiException.Busy(problem),
        };
    }

    private PrepareAnswer Answer(DocumentKey key, PreparedWrite prepared)
    {
        var exists = host.Reader.ReadUnit(key) is [{ Version.IsTombstone: false }, ..];
        return new PrepareAnswer(
            prepared.Replica.ToString(), prepared.Clock.ToString(), prepared.Version?.ToString(), exists, [.. prepared.Seen.Select(static e => new SeenItem(e.Replica.ToString(), e.Stamp.ToString()))]);
    }

    private static Task AcceptedAsync(HttpContext context, DocumentVersion version)
    {
        context.Response.Headers.ETag = $"\"{version.Id}\"";
        context.Response.Headers[HeaderNames.Stamp] = version.Stamp.ToString();
        context.Response.ContentLength = 0;
        return Task.CompletedTask;
    }

    private static async Task<DocumentVersion> VersionAsync(HttpContext context)
    {
        if (context.Request.ContentType != StorageProtocol.VersionMediaType)
            throw new ApiException(StatusCodes.Status415UnsupportedMediaType, $"A write is a signed version, {StorageProtocol.VersionMediaType}.", "Use florctl store put, or a client that signs.");
        var bytes = await context.BodyAsync(StorageProtocol.MaxVersionBytes).ConfigureAwait(false);
        return DocumentVersion.TryParse(bytes, out var version, out var problem) ? version : throw ApiException.Invalid(problem);
    }

    private static byte[]? Chain(HttpContext context)
    {
        if (context.Request.Headers[HeaderNames.Chain] is not [{ Length: > 0 } text]) return null;
        var chain = new byte[EncodedChain.MaxBytes];
        return Convert.TryFromBase64String(text, chain, out var length) ? chain[..length] : throw ApiException.Invalid($"{HeaderNames.Chain} is not base64 of at most {EncodedChain.MaxBytes} bytes.");
    }

    // False: whatever is there.
    private static bool TryExpected(HttpContext context, out VersionId? expected)
    {
        expected = null;
        var (match, noneMatch) = (context.Request.Headers.IfMatch, context.Request.Headers.IfNoneMatch);
        if (match.Count == 0 && noneMatch.Count == 0) return false;
        if (match.Count == 0 && noneMatch == "*") return true;
        if (noneMatch.Count > 0 || !VersionId.TryParse(match.ToString().Trim('"'), out var id)) throw ApiException.Invalid("A compare-and-swap has If-Match: \"<id>\" or If-None-Match: *.", "Take the id from ETag.");
        expected = id;
        return true;
    }

    private static DocumentKey KeyOf(PrepareRequest request)
    {
        if (!CollectionName.TryParse(request.Collection, out var collection, out var problem) || !DocumentName.TryParse(request.Name, out var name, out problem)
            || !UnitName.TryParse(request.Unit ?? "", out var unit, out problem))
        {
            throw ApiException.Invalid(problem);
        }
        return new DocumentKey(collection, name, unit);
    }
}
