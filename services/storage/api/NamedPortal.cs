using Florete.Identities;
using Florete.Portals;

namespace Florete.Storage.Api;

/// <summary>A portal that learns, by the first publication, who its program is and on which vertex.</summary>
internal sealed class NamedPortal(IProgramPortal portal) : IProgramPortal
{
    private readonly TaskCompletionSource<(SpiffeId Identity, SpiffeId? Vertex)> published = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes with the first publication.</summary>
    public Task<(SpiffeId Identity, SpiffeId? Vertex)> Published => published.Task;

    public Task<PortalConnection> ConnectAsync(string target, ConnectOptions? options = null, CancellationToken cancellationToken = default) =>
        portal.ConnectAsync(target, options, cancellationToken);

    public async Task<IPortalPublication> PublishAsync(IAcceptor acceptor, CancellationToken cancellationToken = default)
    {
        var publication = await portal.PublishAsync(acceptor, cancellationToken).ConfigureAwait(false);
        published.TrySetResult((publication.Identity, publication.Vertex));
        return publication;
    }

    public IAsyncEnumerable<ServiceChange> DiscoverAsync(ServiceQuery query, bool watch, CancellationToken cancellationToken = default) =>
        portal.DiscoverAsync(query, watch, cancellationToken);

    public Task<PortalSignature> SignAsync(string purpose, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) =>
        portal.SignAsync(purpose, content, cancellationToken);

    public override string ToString() => portal.ToString() ?? "portal";
}
