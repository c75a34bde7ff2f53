using System.Net;
using System.Net.Http.Headers;
using Florete.Storage.Contracts;

namespace Florete.Storage.Client;

/// <summary>What must be current for a write to succeed.</summary>
/// <param name="IsSwap">False: nothing.</param>
/// <param name="Version">The version; null: the unit must not exist.</param>
internal readonly record struct Expectation(bool IsSwap, VersionId? Version)
{
    public static Expectation Any => default;
}

/// <summary>Writes by the steps of docs/protocols/storage.md: prepare, sign, send, and again where another write came first.</summary>
internal sealed class VersionWriter(StorageConnection connection, AuthorSigner signer)
{
    // Each try loses against a write that won. Of n that write without a pause one in n wins: with 32 tries three lose never, ten now and then.
    private const int MaxTries = 32;

    public async Task<WrittenVersion> WriteAsync(DocumentKey key, ReadOnlyMemory<byte>? body, Expectation expected, CancellationToken cancellationToken)
    {
        PrepareAnswer? prepared = null;
        DocumentVersion? sent = null;
        for (var tries = 0; tries < MaxTries; tries++)
        {
            // What a refusal tells is as good as another question, and newer.
            prepared ??= await PrepareAsync(key, expected.IsSwap, cancellationToken).ConfigureAwait(false);
            // An answer that was lost on the way: it had been accepted.
            if (sent is not null && prepared.Version == sent.Id.ToString()) return Written(sent);
            Check(key, expected, prepared);
            var (version, chain) = await SignAsync(key, body, expected, prepared, cancellationToken).ConfigureAwait(false);
            sent = version;
            prepared = await SendAsync(version, chain, expected, cancellationToken).ConfigureAwait(false);
            if (prepared is null) return Written(version);
        }
        throw new StorageClientException(StorageError.Conflict, $"{key}: other writes came first {MaxTries} times; try again, or write it from fewer places.");
    }

    private async Task<PrepareAnswer> PrepareAsync(DocumentKey key, bool isSwap, CancellationToken cancellationToken)
    {
        var request = System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(
            new PrepareRequest(key.Collection.ToString(), key.Name.ToString(), key.Unit.ToString(), isSwap), StorageJson.Default.PrepareRequest);
        using var answer = await connection.SendAsync(
            () => new HttpRequestMessage(HttpMethod.Post, "v1/prepare") { Content = Content(request, "application/json") }, cancellationToken).ConfigureAwait(false);
        if (!answer.IsSuccessStatusCode) throw await StorageConnection.ErrorAsync(answer, cancellationToken).ConfigureAwait(false);
        return await StorageConnection.ReadAsync(answer, StorageJson.Default.PrepareAnswer, cancellationToken).ConfigureAwait(false);
    }

    private static void Check(DocumentKey key, Expectation expected, PrepareAnswer prepared)
    {
        if (!expected.IsSwap) return;
        var current = prepared.Exists && VersionId.TryParse(prepared.Version, out var id) ? id : (VersionId?)null;
        if (current == expected.Version) return;
        throw new StorageClientException(
            StorageError.Conflict,
            current is null ? $"{key} does not exist, and version {expected.Version} was to be replaced; read it again."
                : expected.Version is null ? $"{key} exists already, as version {current}; read it, and replace that version."
                : $"{key} has version {current}, and not {expected.Version}, which was to be replaced; read it again.")
        {
            CurrentVersion = current?.ToString(),
        };
    }

    // What is malformed here came from the replica; what is malformed when it is signed came from the caller.
    private async Task<(DocumentVersion Version, byte[] Chain)> SignAsync(
        DocumentKey key, ReadOnlyMemory<byte>? body, Expectation expected, PrepareAnswer prepared, CancellationToken cancellationToken)
    {
        ReplicaName replica;
        Stamp stamp;
        SeenVector seen;
        try
        {
            (replica, stamp) = (ReplicaName.Parse(prepared.Replica), Stamp.Parse(prepared.Clock));
            seen = SeenVector.Of(prepared.Seen.Select(static item => new SeenEntry(ReplicaName.Parse(item.Replica), Stamp.Parse(item.Stamp))));
        }
        catch (FormatException e)
        {
            throw new StorageClientException(StorageError.Unexpected, "The replica's answer is not understood; use programs of one version.", e);
        }
        try
        {
            return await signer.SignAsync(
                (author, chain) => new VersionDraft
                {
                    Key = key,
                    Replica = replica,
                    Stamp = stamp,
                    Seen = seen,
                    Author = author,
                    Chain = chain,
                    Body = body,
                    CompareAndSwap = expected.IsSwap,
                },
                cancellationToken).ConfigureAwait(false);
        }
        catch (FormatException e)
        {
            throw new StorageClientException(StorageError.Invalid, $"{key}: {e.Message}", e);
        }
    }

    // Null: it is accepted; else what to sign instead.
    private async Task<PrepareAnswer?> SendAsync(DocumentVersion version, byte[] chain, Expectation expected, CancellationToken cancellationToken)
    {
        var withChain = false;
        while (true)
        {
            using var answer = await connection.SendAsync(() => Request(version, withChain ? chain : null, expected), cancellationToken).ConfigureAwait(false);
            if (answer.IsSuccessStatusCode) return null;
            if (answer.StatusCode == HttpStatusCode.PreconditionRequired && !withChain)
            {
                withChain = true;
                continue;
            }
            var problem = await StorageConnection.ProblemAsync(answer, cancellationToken).ConfigureAwait(false);
            if (answer.StatusCode == HttpStatusCode.PreconditionFailed && problem?.Prepare is { } prepare) return prepare;
            throw StorageConnection.Error(answer.StatusCode, problem);
        }
    }

    private static HttpRequestMessage Request(DocumentVersion version, byte[]? chain, Expectation expected)
    {
        var request = new HttpRequestMessage(HttpMethod.Put, Paths.Document(version.Key)) { Content = Content(version.Bytes, StorageProtocol.VersionMediaType) };
        if (chain is not null) request.Headers.Add(HeaderNames.Chain, Convert.ToBase64String(chain));
        if (!expected.IsSwap) return request;
        if (expected.Version is { } id) request.Headers.IfMatch.Add(StorageConnection.Tag(id.ToString()));
        else request.Headers.IfNoneMatch.Add(EntityTagHeaderValue.Any);
        return request;
    }

    private static ReadOnlyMemoryContent Content(ReadOnlyMemory<byte> bytes, string type)
    {
        var content = new ReadOnlyMemoryContent(bytes);
        content.Headers.ContentType = new MediaTypeHeaderValue(type);
        return content;
    }

    private static WrittenVersion Written(DocumentVersion version) => new(version.Id, version.Stamp, version.Replica);
}
