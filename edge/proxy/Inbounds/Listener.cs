using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Inbounds;

/// <summary>
/// Accepts on one socket and starts a task per client. Disposing stops accepting; clients that are there go on. A shortage (file
/// descriptors, say) pauses accepting, so that waiting clients queue in the kernel.
/// </summary>
internal sealed partial class Listener : IAsyncDisposable
{
    // Enough for a burst while the machine is busy; Linux caps it at net.core.somaxconn.
    private const int Backlog = 4096;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private readonly Socket socket;
    private readonly Func<Socket, Task> serve;
    private readonly ILogger logger;
    private readonly string name;
    private readonly Task accepting;
    private volatile bool stopping;

    /// <param name="name">For people: the field of the configuration.</param>
    /// <param name="bound">Bound and not yet listening; owned from here on.</param>
    /// <param name="serve">Owns the accepted socket.</param>
    /// <param name="logger">For faults.</param>
    public Listener(string name, Socket bound, Func<Socket, Task> serve, ILogger logger)
    {
        (this.name, socket, this.serve, this.logger) = (name, bound, serve, logger);
        socket.Listen(Backlog);
        accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Where it listens.</summary>
    public EndPoint LocalEndPoint => socket.LocalEndPoint!;

    /// <summary>A TCP socket bound to the address.</summary>
    /// <exception cref="SocketException">The address is taken or not of this machine.</exception>
    public static Socket Bind(IPEndPoint endPoint)
    {
        var socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (endPoint.AddressFamily == AddressFamily.InterNetworkV6) socket.DualMode = false;
            // Connections of an earlier run that linger in TIME_WAIT do not hold the address (.NET sets SO_REUSEADDR on Unix by itself).
            socket.Bind(endPoint);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        stopping = true;
        socket.Dispose();
        await accepting.ConfigureAwait(false);
    }

    private async Task AcceptAsync()
    {
        while (!stopping)
        {
            Socket client;
            try
            {
                client = await socket.AcceptAsync().ConfigureAwait(false);
            }
            catch (Exception e) when (stopping && e is SocketException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.ConnectionAborted)
            {
                continue;
            }
            catch (SocketException e)
            {
                AcceptFailed(name, e.Message);
                await Task.Delay(Pause).ConfigureAwait(false);
                continue;
            }
            _ = ServeAsync(client);
        }
    }

    private async Task ServeAsync(Socket client)
    {
        // The accept loop goes on at once.
        await Task.Yield();
        try
        {
            await serve(client).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The client went away, was too slow, or the node stops.
        }
        catch (Exception e)
        {
            ServeFaulted(e, name);
        }
        finally
        {
            client.Dispose();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name}: accepting clients pauses: {Why}")]
    private partial void AcceptFailed(string name, string why);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Name}: a client ended by a fault of this program")]
    private partial void ServeFaulted(Exception fault, string name);
}
