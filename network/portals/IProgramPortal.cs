using System.Runtime.CompilerServices;
using Florete.Identities;

namespace Florete.Portals;

/// <summary>
/// A portal as one identity has it: all that a program on the mesh needs. A process of its own gets it from its portal socket
/// (<c>PortalSocketClient</c>); one that shares the process with a vertex from <see cref="PortalExtensions.As"/>. Thread-safe.
/// </summary>
public interface IProgramPortal
{
    /// <summary>Connects to a name (<c>hello.rete</c>) or a SPIFFE ID; completes when the target has accepted.</summary>
    /// <exception cref="PortalException">As <see cref="IPortal.ConnectAsync"/>; NotFound also when it is no name of the mesh.</exception>
    Task<PortalConnection> ConnectAsync(string target, ConnectOptions? options = null, CancellationToken cancellationToken = default);

    /// <summary>Publishes the identity. When the publication ends by itself, publish again, backing off.</summary>
    /// <exception cref="PortalException">As <see cref="IPortal.PublishAsync"/>.</exception>
    Task<IPortalPublication> PublishAsync(IAcceptor acceptor, CancellationToken cancellationToken = default);

    /// <inheritdoc cref="IPortal.DiscoverAsync"/>
    IAsyncEnumerable<ServiceChange> DiscoverAsync(ServiceQuery query, bool watch, CancellationToken cancellationToken = default);
}

/// <summary>A published identity. Disposing withdraws it; connections that are open go on.</summary>
public interface IPortalPublication : IAsyncDisposable
{
    /// <summary>What is published: who the portal's program is.</summary>
    SpiffeId Identity { get; }

    /// <summary>The vertex that publishes it; null: the portal does not say.</summary>
    SpiffeId? Vertex => null;

    /// <summary>Completes when it is withdrawn: null after disposing, else why the portal ended it.</summary>
    Task<PortalException?> Ended { get; }
}

/// <summary>Portals for programs.</summary>
public static class PortalExtensions
{
    /// <summary>The portal as this identity has it.</summary>
    public static IProgramPortal As(this IPortal portal, HeldIdentity identity) => new IdentityPortal(portal, identity);

    private sealed class IdentityPortal(IPortal portal, HeldIdentity identity) : IProgramPortal
    {
        public async Task<PortalConnection> ConnectAsync(string target, ConnectOptions? options, CancellationToken cancellationToken)
        {
            if (!SpiffeId.TryParse(target, out var id, out _) && !MeshName.TryParse(target, identity.Id.Cluster, out id, out var error))
                throw new PortalException(PortalError.NotFound, error);
            return await portal.ConnectAsync(identity, id, options ?? ConnectOptions.Default, cancellationToken).ConfigureAwait(false);
        }

        public async Task<IPortalPublication> PublishAsync(IAcceptor acceptor, CancellationToken cancellationToken) =>
            new Publication(await portal.PublishAsync(identity, acceptor, cancellationToken).ConfigureAwait(false), identity.Id);

        public async IAsyncEnumerable<ServiceChange> DiscoverAsync(
            ServiceQuery query, bool watch, [EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await foreach (var change in portal.DiscoverAsync(query, watch, cancellationToken).ConfigureAwait(false)) yield return change;
        }

        public override string ToString() => MeshName.ToSni(identity.Id);
    }

    private sealed class Publication(IAsyncDisposable inner, SpiffeId identity) : IPortalPublication
    {
        private readonly TaskCompletionSource<PortalException?> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public SpiffeId Identity => identity;

        public Task<PortalException?> Ended => ended.Task;

        public async ValueTask DisposeAsync()
        {
            await inner.DisposeAsync().ConfigureAwait(false);
            ended.TrySetResult(null);
        }
    }
}
