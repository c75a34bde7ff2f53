using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;

namespace Florete.AspNetCore;

/// <summary>Connections of one protocol, on their way from the publication to Kestrel.</summary>
internal sealed class PortalListener(PortalPublisher publisher, PortalEndPoint endpoint) : IConnectionListener
{
    // Kestrel takes them at once; those who arrive while it does not wait: back-pressure, not a queue.
    private const int MaxWaiting = 128;

    private readonly Channel<PortalConnectionContext> arriving = Channel.CreateBounded<PortalConnectionContext>(MaxWaiting);

    public EndPoint EndPoint => endpoint;

    /// <exception cref="ChannelClosedException">The server stops.</exception>
    public ValueTask OfferAsync(PortalConnectionContext connection, CancellationToken cancellationToken) =>
        arriving.Writer.WriteAsync(connection, cancellationToken);

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (await arriving.Reader.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
        {
            if (arriving.Reader.TryRead(out var connection)) return connection;
        }
        return null;
    }

    /// <summary>Withdraws the publication; what Kestrel has goes on.</summary>
    public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        await publisher.StopAsync().ConfigureAwait(false);
        arriving.Writer.TryComplete();
    }

    public async ValueTask DisposeAsync()
    {
        await UnbindAsync().ConfigureAwait(false);
        while (arriving.Reader.TryRead(out var connection))
        {
            connection.Abort(new ConnectionAbortedException("The server stops."));
            await connection.DisposeAsync().ConfigureAwait(false);
        }
        await publisher.DisposeAsync().ConfigureAwait(false);
    }
}
