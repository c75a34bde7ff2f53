using System.Runtime.CompilerServices;
using Florete.Audit;
using Florete.Storage.Client;
using Florete.Storage.Contracts;

namespace Florete.Identity.Audit;

/// <summary>Where the trail is kept. Tests keep it in memory.</summary>
internal interface IAuditStore
{
    /// <exception cref="StorageClientException">It is not written.</exception>
    Task PutAsync(DocumentKey key, ReadOnlyMemory<byte> json, CancellationToken cancellationToken);

    /// <exception cref="StorageClientException">It is not deleted.</exception>
    Task DeleteAsync(DocumentKey key, CancellationToken cancellationToken);

    /// <summary>What is there, and when it was written.</summary>
    /// <exception cref="StorageClientException">It cannot be read.</exception>
    IAsyncEnumerable<(DocumentKey Key, DateTimeOffset Written)> ListAsync(string prefix, CancellationToken cancellationToken);
}

/// <summary>In the storage: the node's own replica, since readers take a node's documents from there alone.</summary>
internal sealed class StorageAuditStore(StorageClient storage) : IAuditStore
{
    public Task PutAsync(DocumentKey key, ReadOnlyMemory<byte> json, CancellationToken cancellationToken) => storage.PutAsync(key, json, cancellationToken);

    public Task DeleteAsync(DocumentKey key, CancellationToken cancellationToken) => storage.DeleteAsync(key, cancellationToken);

    public async IAsyncEnumerable<(DocumentKey Key, DateTimeOffset Written)> ListAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var document in storage.ListAsync(AuditCollection.Name, prefix, cancellationToken).ConfigureAwait(false)) yield return (document.Key, document.Stamp.Time);
    }
}
