using Florete.Identities;
using Florete.Portals;

namespace Florete.PortalSocket;

/// <summary>An identity that is published through a portal socket. Disposing withdraws it; connections that are open go on.</summary>
public sealed class PortalPublication : IPortalPublication
{
    private readonly PortalSocketClient client;
    private readonly FrameSocket frames;
    private readonly IAcceptor acceptor;
    private readonly CancellationTokenSource stopping = new();

    internal PortalPublication(PortalSocketClient client, FrameSocket frames, ConnectionEnds ends, IAcceptor acceptor)
    {
        (this.client, this.frames, Identity, Vertex, this.acceptor) = (client, frames, ends.Local, ends.RemoteVertex, acceptor);
        Ended = Task.Run(ServeAsync);
    }

    /// <summary>The socket's identity.</summary>
    public SpiffeId Identity { get; }

    /// <summary>The node's vertex.</summary>
    public SpiffeId? Vertex { get; }

    /// <summary>Completes when it is withdrawn: null after disposing, else why flor ended it.</summary>
    public Task<PortalException?> Ended { get; }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await Ended.ConfigureAwait(false);
        frames.Dispose();
    }

    private async Task<PortalException?> ServeAsync()
    {
        try
        {
            while (true)
            {
                var (type, body) = await PortalSocketClient.ReadAsync(frames, stopping.Token).ConfigureAwait(false);
                if (type != PortalFrameType.Arrival || !PortalFrameReader.TryReadArrival(body, out _, out _)) return PortalSocketClient.Violation();
                // Flor bounds how many wait; each is decided on its own.
                _ = AcceptAsync(body[..PortalSocketProtocol.ArrivalBytes]);
            }
        }
        catch (OperationCanceledException)
        {
            return null;
        }
        catch (PortalException e)
        {
            return e;
        }
    }

    private async Task AcceptAsync(byte[] arrival)
    {
        await Task.Yield();
        PortalConnection? connection = null;
        try
        {
            connection = await client.AttachAsync(arrival, stopping.Token).ConfigureAwait(false);
            await acceptor.AcceptAsync(connection, stopping.Token).ConfigureAwait(false);
            await TellAsync(PortalFrameWriter.Accept(arrival)).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            var refusal = e as PortalException ?? new PortalException(
                PortalError.TargetFailed, e is OperationCanceledException ? "The program stops." : "The program failed to take the connection.", e);
            connection?.Abort(refusal);
            await TellAsync(PortalFrameWriter.Refuse(arrival, refusal.Error, refusal.Message)).ConfigureAwait(false);
        }
    }

    private async Task TellAsync(byte[] decision)
    {
        try
        {
            await frames.WriteAsync(decision, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception e) when (e is System.Net.Sockets.SocketException or ObjectDisposedException)
        {
            // The publication has ended, and with it every arrival that waits.
        }
    }
}
