using System.Net.Sockets;
using Florete.Identities;
using Florete.Portals;
using Florete.Proxy.Local;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Inbounds;

/// <summary>Connects every client to one target. The bytes have no place for an error, so a failure is a reset and a line in the log.</summary>
internal sealed partial class ForwardInbound(
    Dialer dialer, SpiffeId target, ConnectOptions options, ILogger logger, CancellationToken stopping)
{
    // Each waits up to the timeout of a connect, while the target's node is away; more are a runaway program.
    private const int MaxWaiting = 1024;

    private readonly LogRate rate = new();
    private int waiting;

    /// <summary>Serves one client until it is gone.</summary>
    public async Task ServeAsync(LocalSocket socket)
    {
        PortalConnection connection;
        try
        {
            if (Interlocked.Increment(ref waiting) > MaxWaiting)
            {
                throw new PortalException(PortalError.LimitReached, $"{MaxWaiting} clients of this forward wait for {target.Path} already.");
            }
            connection = await dialer.ConnectAsync(target, options, stopping);
        }
        catch (PortalException e)
        {
            if (rate.TryTake(out var suppressed)) Failed(dialer.Caller.Id.Path, target.Path, e.Error, e.Message, suppressed);
            // Closing with linger 0 sends RST (tcp(7) SO_LINGER): an orderly end would look like an empty answer.
            socket.Socket.LingerState = new LingerOption(true, 0);
            return;
        }
        finally
        {
            Interlocked.Decrement(ref waiting);
        }
        await dialer.Connections.SpliceAsync(socket, connection, isInbound: true);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Forward of {Caller} to {Target} failed ({Error}): {Why} ({Suppressed} more since the last such line)")]
    private partial void Failed(string caller, string target, PortalError error, string why, long suppressed);
}
