using System.Net;
using System.Net.Sockets;
using Florete.Proxy.Local;
using Florete.Runtime;
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
    private readonly ThreadLoop? loop;
    private readonly Func<LocalSocket, Task> serve;
    private readonly ILogger logger;
    private readonly string name;
    private readonly Task accepting;
    private readonly SocketSignals? signals;
    private volatile bool stopping;

    /// <param name="name">For people: the field of the configuration.</param>
    /// <param name="bound">Bound and not yet listening; owned from here on.</param>
    /// <param name="serve">Owns the accepted socket.</param>
    /// <param name="logger">For faults.</param>
    /// <param name="loop">Whose turns clients are accepted and served in; null: threads of the pool.</param>
    public Listener(string name, Socket bound, Func<LocalSocket, Task> serve, ILogger logger, ThreadLoop? loop = null)
    {
        (this.name, socket, this.serve, this.logger) = (name, bound, serve, logger);
        this.loop = loop is { CanWatch: true } ? loop : null;
        LocalSocket.SetBuffers(socket);
        socket.Listen(Backlog);
        if (this.loop is null)
        {
            accepting = Task.Run(AcceptAsync);
            return;
        }
        socket.Blocking = false;
        signals = this.loop.SignalsOf((int)socket.SafeHandle.DangerousGetHandle());
        accepting = this.loop.RunAsync(AcceptAsync);
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
        signals?.Dispose();
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
                if (signals is null)
                {
                    client = await socket.AcceptAsync();
                }
                else
                {
                    // One at a time: the kernel tells again while there are more.
                    await signals.ReadableAsync();
                    client = socket.Accept();
                }
            }
            catch (Exception e) when (stopping && e is SocketException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.WouldBlock)
            {
                continue;
            }
            catch (SocketException e)
            {
                AcceptFailed(name, e.Message);
                await Task.Delay(Pause);
                continue;
            }
            _ = ServeAsync(client);
        }
    }

    private async Task ServeAsync(Socket accepted)
    {
        // The accept loop goes on at once.
        await Task.Yield();
        LocalSocket? client = null;
        try
        {
            client = LocalSocket.Over(accepted, loop);
            await serve(client);
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
            client?.Dispose();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name}: accepting clients pauses: {Why}")]
    private partial void AcceptFailed(string name, string why);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Name}: a client ended by a fault of this program")]
    private partial void ServeFaulted(Exception fault, string name);
}
