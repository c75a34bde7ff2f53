using System.Net;
using System.Runtime.CompilerServices;
using Florete.Identities;
using Florete.Portals;
using Florete.Storage.Contracts;

namespace Florete.Storage.Client;

/// <summary>
/// The storage as one identity has it, through its portal: the replica on its own node, or the nearest that answers. What it writes is signed by the
/// portal as that identity. Thread-safe.
/// </summary>
public sealed class StorageClient : IDisposable
{
    private readonly StorageConnection connection;
    private readonly VersionWriter writer;

    /// <param name="portal">Of the identity that reads and writes.</param>
    /// <param name="instance">The vertex whose replica is wanted; null: the nearest.</param>
    public StorageClient(IProgramPortal portal, SpiffeId? instance = null)
    {
        connection = new StorageConnection(portal, instance);
        writer = new VersionWriter(connection, new AuthorSigner(portal));
    }

    /// <summary>The current version of a unit; null: there is none, or it is deleted.</summary>
    /// <exception cref="StorageClientException">Not allowed, or no replica answers.</exception>
    public async Task<StorageDocument?> GetAsync(DocumentKey key, CancellationToken cancellationToken = default)
    {
        var path = Paths.Document(key);
        using var answer = await connection.SendAsync(() => new HttpRequestMessage(HttpMethod.Get, path), cancellationToken).ConfigureAwait(false);
        if (answer.StatusCode == HttpStatusCode.NotFound) return null;
        if (!answer.IsSuccessStatusCode) throw await StorageConnection.ErrorAsync(answer, cancellationToken).ConfigureAwait(false);
        var body = await answer.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
        return Described(key, answer, body);
    }

    /// <summary>The versions that lost against the current one of a unit, newest first.</summary>
    /// <exception cref="StorageClientException">Not allowed, or no replica answers.</exception>
    public async Task<IReadOnlyList<StorageDocument>> SupersededAsync(DocumentKey key, CancellationToken cancellationToken = default)
    {
        var page = await connection.AskAsync($"{Paths.Document(key)}&superseded=true", StorageJson.Default.ListPage, cancellationToken).ConfigureAwait(false);
        return [.. page.Items.Select(StorageDocument.Of)];
    }

    /// <summary>Writes a unit, whatever is there.</summary>
    /// <param name="key">Which.</param>
    /// <param name="json">One JSON value, UTF-8, at most 256 KiB.</param>
    /// <param name="cancellationToken">Ends the wait; it may have been written nevertheless.</param>
    /// <exception cref="StorageClientException">Not allowed, malformed, no room, or no replica answers.</exception>
    public Task<WrittenVersion> PutAsync(DocumentKey key, ReadOnlyMemory<byte> json, CancellationToken cancellationToken = default) =>
        writer.WriteAsync(key, json, Expectation.Any, cancellationToken);

    /// <summary>Deletes a unit, whatever is there.</summary>
    /// <exception cref="StorageClientException">Not allowed, or no replica answers.</exception>
    public Task<WrittenVersion> DeleteAsync(DocumentKey key, CancellationToken cancellationToken = default) =>
        writer.WriteAsync(key, null, Expectation.Any, cancellationToken);

    /// <summary>
    /// Replaces one version by another. Among replicas that can reach each other one succeeds; between groups that cannot, two may: then one is
    /// current after they met, and the other is superseded, which watches tell.
    /// </summary>
    /// <param name="key">Which unit.</param>
    /// <param name="expected">The version to replace; null: the unit must not exist.</param>
    /// <param name="json">One JSON value, UTF-8; null deletes.</param>
    /// <param name="cancellationToken">Ends the wait; it may have been written nevertheless.</param>
    /// <exception cref="StorageClientException">Conflict: another version is current. Or not allowed, malformed, no room, nobody answers.</exception>
    public Task<WrittenVersion> CompareAndSwapAsync(
        DocumentKey key, VersionId? expected, ReadOnlyMemory<byte>? json, CancellationToken cancellationToken = default) =>
        writer.WriteAsync(key, json, new Expectation(true, expected), cancellationToken);

    /// <summary>The documents of a collection, in the order of names, then units.</summary>
    /// <exception cref="StorageClientException">Not allowed, or no replica answers.</exception>
    public async IAsyncEnumerable<StorageDocument> ListAsync(
        CollectionName collection, string prefix = "", [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        string? after = null;
        do
        {
            var page = await PageAsync(collection, prefix, after, cancellationToken).ConfigureAwait(false);
            foreach (var item in page.Items) yield return StorageDocument.Of(item);
            after = page.Next;
        }
        while (after is not null);
    }

    /// <summary>
    /// Tells everything that is there, then every change, until cancelled: the newest version of every unit that changed at least once. Goes on at
    /// the same place when a connection breaks; at another replica it lists again, and tells the difference.
    /// </summary>
    /// <exception cref="StorageClientException">Not allowed, or malformed. Replicas that do not answer are waited for.</exception>
    public IAsyncEnumerable<StorageChange> WatchAsync(CollectionName collection, string prefix = "", CancellationToken cancellationToken = default) =>
        new CollectionWatch(this, connection, collection, prefix).RunAsync(cancellationToken);

    /// <summary>The collections that this identity may read.</summary>
    /// <exception cref="StorageClientException">No replica answers.</exception>
    public async Task<IReadOnlyList<CollectionItem>> CollectionsAsync(CancellationToken cancellationToken = default) =>
        (await connection.AskAsync("v1/collections", StorageJson.Default.CollectionList, cancellationToken).ConfigureAwait(false)).Items;

    /// <summary>Superseded versions that are kept, of the collections that this identity may read.</summary>
    /// <exception cref="StorageClientException">No replica answers.</exception>
    public async Task<IReadOnlyList<ConflictItem>> ConflictsAsync(CancellationToken cancellationToken = default) =>
        (await connection.AskAsync("v1/conflicts", StorageJson.Default.ConflictList, cancellationToken).ConfigureAwait(false)).Items;

    /// <summary>What the replica holds, in two numbers: replicas with equal ones are equal.</summary>
    /// <exception cref="StorageClientException">No replica answers.</exception>
    public Task<DigestAnswer> DigestAsync(CancellationToken cancellationToken = default) =>
        connection.AskAsync("v1/digest", StorageJson.Default.DigestAnswer, cancellationToken);

    /// <summary>Is the replica ready, and what is missing?</summary>
    /// <exception cref="StorageClientException">No replica answers.</exception>
    public async Task<HealthAnswer> HealthAsync(CancellationToken cancellationToken = default)
    {
        using var answer = await connection.OpenAsync(new HttpRequestMessage(HttpMethod.Get, "v1/health"), cancellationToken).ConfigureAwait(false);
        return await StorageConnection.ReadAsync(answer, StorageJson.Default.HealthAnswer, cancellationToken).ConfigureAwait(false);
    }

    public void Dispose() => connection.Dispose();

    internal Task<ListPage> PageAsync(CollectionName collection, string prefix, string? after, CancellationToken cancellationToken) =>
        connection.AskAsync(Paths.Documents(collection, prefix, after), StorageJson.Default.ListPage, cancellationToken);

    private static StorageDocument Described(DocumentKey key, HttpResponseMessage answer, byte[] body)
    {
        if (VersionId.TryParse(answer.Headers.ETag?.Tag.Trim('"'), out var version)
            && Stamp.TryParse(Header(answer, HeaderNames.Stamp), out var stamp)
            && SpiffeId.TryParse(Header(answer, HeaderNames.Author) ?? "", out var author, out _)
            && ReplicaName.TryParse(Header(answer, HeaderNames.Replica), out var replica, out _))
        {
            var superseded = int.TryParse(Header(answer, HeaderNames.Superseded), out var count) ? count : (int?)null;
            return new StorageDocument(key, version, stamp, author, replica, superseded, body);
        }
        throw new StorageClientException(StorageError.Unexpected, "The replica's answer is not understood; use programs of one version.");
    }

    private static string? Header(HttpResponseMessage answer, string name) => answer.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;
}

/// <summary>Names of headers of the HTTP API.</summary>
public static class HeaderNames
{
    public const string Stamp = "Florete-Stamp";
    public const string Author = "Florete-Author";
    public const string Replica = "Florete-Replica";
    public const string Superseded = "Florete-Superseded";
    public const string Chain = "Florete-Chain";
}

/// <summary>Paths of the HTTP API. Names of collections, documents and units need no escaping.</summary>
internal static class Paths
{
    public static string Document(DocumentKey key) => $"v1/collections/{key.Collection}/documents/{key.Name}?unit={key.Unit}";

    public static string Documents(CollectionName collection, string prefix, string? after) =>
        $"v1/collections/{collection}/documents?prefix={Uri.EscapeDataString(prefix)}{(after is null ? "" : $"&after={Uri.EscapeDataString(after)}")}";

    public static string Watch(CollectionName collection, string prefix, string after) =>
        $"v1/collections/{collection}/watch?prefix={Uri.EscapeDataString(prefix)}&after={Uri.EscapeDataString(after)}";
}
