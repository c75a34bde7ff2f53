using System.Net;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Florete.Storage.Contracts;

namespace Florete.Storage.Client;

/// <summary>
/// One watch: a list, then the changes from its position on, from whichever replica answers. It remembers which version of which unit it has told, so
/// that after another list it tells the difference.
/// </summary>
internal sealed class CollectionWatch(StorageClient client, StorageConnection connection, CollectionName collection, string prefix)
{
    // Replicas say where they are every 10 s.
    private static readonly TimeSpan SilenceLimit = TimeSpan.FromSeconds(25);
    private static readonly TimeSpan LeastPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MostPause = TimeSpan.FromSeconds(2);

    private readonly Dictionary<DocumentKey, VersionId> told = [];
    private string? position;
    private bool isCaughtUp;

    public async IAsyncEnumerable<StorageChange> RunAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var pause = LeastPause;
        while (true)
        {
            // An iterator cannot yield where it catches, so each source is drained by hand.
            var (isList, isBroken) = (position is null, false);
            var source = (position is null ? ListAsync(cancellationToken) : FollowAsync(cancellationToken)).GetAsyncEnumerator(cancellationToken);
            await using (source.ConfigureAwait(false))
            {
                while (true)
                {
                    StorageChange? change = null;
                    try
                    {
                        if (await source.MoveNextAsync().ConfigureAwait(false)) change = source.Current;
                    }
                    catch (StorageClientException e) when (e.Error is StorageError.Unavailable or StorageError.Unexpected)
                    {
                        // Replicas come and go; they are asked again.
                        isBroken = true;
                    }
                    if (change is null) break;
                    pause = LeastPause;
                    yield return change;
                }
            }
            if (isList && !isBroken) continue;
            await Task.Delay(pause * (0.5 + Random.Shared.NextDouble()), cancellationToken).ConfigureAwait(false);
            pause = pause * 2 < MostPause ? pause * 2 : MostPause;
        }
    }

    private async IAsyncEnumerable<StorageChange> ListAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var gone = new HashSet<DocumentKey>(told.Keys);
        string? after = null, begin = null;
        do
        {
            var page = await client.PageAsync(collection, prefix, after, cancellationToken).ConfigureAwait(false);
            // What changes while the pages are read is told again by the watch that begins before the first.
            begin ??= page.Position;
            foreach (var document in page.Items.Select(StorageDocument.Of))
            {
                gone.Remove(document.Key);
                if (Tell(StorageChangeKind.Put, document) is { } change) yield return change;
            }
            after = page.Next;
        }
        while (after is not null);
        foreach (var key in gone)
        {
            told.Remove(key);
            yield return new StorageChange(StorageChangeKind.Delete, key, null);
        }
        position = begin;
        if (isCaughtUp) yield break;
        isCaughtUp = true;
        yield return new StorageChange(StorageChangeKind.CaughtUp, default, null);
    }

    private async IAsyncEnumerable<StorageChange> FollowAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        silence.CancelAfter(SilenceLimit);
        using var request = new HttpRequestMessage(HttpMethod.Get, Paths.Watch(collection, prefix, position!));
        using var answer = await connection.OpenAsync(request, silence.Token).ConfigureAwait(false);
        if (answer.StatusCode == HttpStatusCode.Gone)
        {
            position = null;
            yield break;
        }
        if (!answer.IsSuccessStatusCode) throw await StorageConnection.ErrorAsync(answer, silence.Token).ConfigureAwait(false);
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync(silence.Token).ConfigureAwait(false));
        while (await NextAsync(reader, silence, cancellationToken).ConfigureAwait(false) is { } line)
        {
            position = line.Position;
            if (line.Item is null) continue;
            var document = StorageDocument.Of(line.Item);
            var kind = line.Type switch
            {
                "put" => StorageChangeKind.Put,
                "delete" => StorageChangeKind.Delete,
                "superseded" => StorageChangeKind.Superseded,
                _ => default,
            };
            // What a later version of the protocol tells as well is not for this client.
            if (kind != default && Tell(kind, document) is { } change) yield return change;
        }
    }

    // Null: the stream has ended.
    private static async Task<WatchLine?> NextAsync(StreamReader reader, CancellationTokenSource silence, CancellationToken cancellationToken)
    {
        try
        {
            silence.CancelAfter(SilenceLimit);
            return await reader.ReadLineAsync(silence.Token).ConfigureAwait(false) is { Length: > 0 } line
                ? JsonSerializer.Deserialize(line, StorageJson.Default.WatchLine)
                : null;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or HttpRequestException or JsonException)
        {
            return null;
        }
    }

    // Null: it was told already.
    private StorageChange? Tell(StorageChangeKind kind, StorageDocument document)
    {
        switch (kind)
        {
            case StorageChangeKind.Put:
                if (told.TryGetValue(document.Key, out var known) && known == document.Version) return null;
                told[document.Key] = document.Version;
                break;
            case StorageChangeKind.Delete:
                if (!told.Remove(document.Key)) return null;
                break;
            case StorageChangeKind.Superseded:
                // Told each time: it is for people, and rare.
                break;
        }
        return new StorageChange(kind, document.Key, document);
    }
}
