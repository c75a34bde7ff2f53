using System.Net;
using System.Net.Sockets;
using Florete.Identities;
using Florete.Portals;
using Florete.Proxy.Local;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Outbounds;

/// <summary>Delivers connections to a published service to a local program's TCP port.</summary>
internal sealed partial class TcpOutbound(SpiffeId service, EndPoint target, EdgeConnections connections, ILogger logger) : IAcceptor
{
    // The program runs on this machine or beside it; one that does not answer the handshake by then is down.
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    public bool RunsInTurn => true;

    public async ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        if (connection.Stream is null)
        {
            throw new PortalException(PortalError.Refused, $"{service} takes streams only; connect in stream mode.");
        }
        if (connections.IsFull)
        {
            throw new PortalException(PortalError.LimitReached, $"The node of {service} has {EdgeConnections.Max} connections, its limit; try again later.");
        }
        LocalSocket socket;
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(ConnectTimeout);
        try
        {
            socket = await LocalSocket.ConnectAsync(target, (connection.Stream as IPromptStream)?.Loop as ThreadLoop, deadline.Token);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var why = e is SocketException failure ? failure.SocketErrorCode.ToString() : $"no answer within {ConnectTimeout.TotalSeconds:0} s";
            TargetIsDown(service, target, why);
            // The address stays here: callers know identities only.
            throw new PortalException(PortalError.TargetFailed, $"The program behind {service} does not take connections ({why}); start it, or correct its outbound.", e);
        }
        // The connection flows only after this method has returned; the splice waits for it.
        _ = RunAsync(socket, connection);
    }

    private async Task RunAsync(LocalSocket socket, PortalConnection connection)
    {
        try
        {
            await connections.SpliceAsync(socket, connection, isInbound: false).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            SpliceFaulted(e, service);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Outbound of {Service}: nothing takes connections at {Target}: {Why}")]
    private partial void TargetIsDown(SpiffeId service, EndPoint target, string why);

    [LoggerMessage(Level = LogLevel.Error, Message = "Outbound of {Service}: a connection ended by a fault of this program")]
    private partial void SpliceFaulted(Exception fault, SpiffeId service);
}
