using System.Runtime.CompilerServices;
using System.Security.Cryptography;
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

    /// <summary>
    /// Signs content as the identity, for a purpose: anybody can check it by <see cref="ProgramSignature.Verify(ReadOnlySpan{byte}, string, ReadOnlySpan{byte}, ReadOnlySpan{byte})"/>, and the
    /// chain by an <see cref="IPeerVerifier"/>. A program that is no vertex holds no key: its node signs for it.
    /// </summary>
    /// <param name="purpose">What it is signed for, and for nothing else: 1 to 64 of <c>a-z 0-9 - . /</c>, as <c>storage/version</c>.</param>
    /// <param name="content">What is signed, of any length.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="ArgumentException">It is no purpose.</exception>
    /// <exception cref="PortalException">Flor does not run; LimitReached: more is signed than the node allows; Refused: the identity's key cannot sign.</exception>
    Task<PortalSignature> SignAsync(string purpose, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default);
}

/// <summary>A signature of a program's identity.</summary>
/// <param name="Bytes">64 bytes: ECDSA P-256, IEEE P1363 (<see cref="ProgramSignature"/>).</param>
/// <param name="Chain">The certificates that prove whose it is: DER, leaf first. The same object until the SVID is renewed.</param>
public sealed record PortalSignature(ReadOnlyMemory<byte> Bytes, IReadOnlyList<byte[]> Chain);

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
        private readonly Lock gate = new();
        private (X509Svid Svid, IReadOnlyList<byte[]> Chain)? last;

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

        public Task<PortalSignature> SignAsync(string purpose, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
        {
            var svid = identity.Current;
            try
            {
                return Task.FromResult(new PortalSignature(ProgramSignature.Sign(svid, purpose, SHA256.HashData(content.Span)), ChainOf(svid)));
            }
            catch (CryptographicException e)
            {
                throw new PortalException(PortalError.Refused, e.Message, e);
            }
        }

        public override string ToString() => MeshName.ToSni(identity.Id);

        private IReadOnlyList<byte[]> ChainOf(X509Svid svid)
        {
            lock (gate)
            {
                if (last is not var (known, _) || !ReferenceEquals(known, svid)) last = (svid, [svid.Leaf.RawData, .. svid.Intermediates.Select(static c => c.RawData)]);
                return last.Value.Chain;
            }
        }
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
