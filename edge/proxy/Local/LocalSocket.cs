using System.Buffers;
using System.Net;
using System.Net.Sockets;
using Florete.Runtime;

namespace Florete.Proxy.Local;

/// <summary>
/// A connected stream socket of a local program. It is waited for in one of two ways, and read and written without blocking: one reader, one writer.
/// Owns the socket; disposing it, from any thread, ends whoever waits.
/// </summary>
internal abstract class LocalSocket(Socket socket) : IDisposable
{
    // Sending: unless told, the system lets a program that does not read have up to 4 MB of the mesh's bytes in its socket. Receiving: it starts with
    // 128 KB and stays there while we read as fast as a program writes, so that both change places for every 64 KB.
    private const int BufferBytes = 512 * 1024;

    public Socket Socket => socket;

    /// <summary>Whose turns its waiters go on in; null: threads of the pool.</summary>
    public abstract ThreadLoop? Loop { get; }

    /// <param name="socket">Connected; owned from here on.</param>
    /// <param name="loop">Whose turns its waiters shall go on in; null, or a system that cannot watch sockets: threads of the pool.</param>
    /// <exception cref="SocketException">The socket is gone already, or the system allows no more watches.</exception>
    public static LocalSocket Over(Socket socket, ThreadLoop? loop)
    {
        try
        {
            socket.Blocking = false;
            SetBuffers(socket);
            if (socket.AddressFamily != AddressFamily.Unix) socket.NoDelay = true;
            return loop is { CanWatch: true } ? new LoopSocket(socket, loop) : new PoolSocket(socket);
        }
        catch (Exception e)
        {
            socket.Dispose();
            if (e is SocketException) throw;
            throw new SocketException((int)(e is ObjectDisposedException ? SocketError.ConnectionReset : SocketError.TooManyOpenSockets), e.Message);
        }
    }

    /// <summary>Connects to a local program: to the first of its addresses that takes the connection.</summary>
    /// <exception cref="SocketException">None does, or the name has no address.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static async Task<LocalSocket> ConnectAsync(EndPoint target, ThreadLoop? loop, CancellationToken cancellationToken)
    {
        EndPoint[] candidates = target is DnsEndPoint name
            ? [.. (await Dns.GetHostAddressesAsync(name.Host, cancellationToken)).Select(a => new IPEndPoint(a, name.Port))]
            : [target];
        for (var i = 0; ; i++)
        {
            var socket = new Socket(candidates[i].AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                SetBuffers(socket);
                if (loop is not { CanWatch: true }) await socket.ConnectAsync(candidates[i], cancellationToken);
                else if (LoopSocket.TryConnectNow(socket, candidates[i]) is false) return await LoopSocket.ConnectedAsync(socket, loop, cancellationToken);
                return Over(socket, loop);
            }
            catch (SocketException) when (i + 1 < candidates.Length)
            {
                socket.Dispose();
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
    }

    /// <summary>For a socket that is to listen or to connect: its first window follows from the buffers that it has by then.</summary>
    public static void SetBuffers(Socket socket) => socket.SendBufferSize = socket.ReceiveBufferSize = BufferBytes;

    /// <summary>Until there is something to read, or the end; holds no memory meanwhile, so an idle connection costs none.</summary>
    /// <exception cref="SocketException">The socket failed.</exception>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    public abstract ValueTask ReadableAsync();

    /// <summary>Sends all of it.</summary>
    /// <exception cref="SocketException">The socket failed.</exception>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    public abstract ValueTask SendAsync(ReadOnlySequence<byte> data);

    public ValueTask SendAsync(ReadOnlyMemory<byte> data) => SendAsync(new ReadOnlySequence<byte>(data));

    /// <summary>What is there now: 0 at the end of the stream, -1: nothing.</summary>
    /// <exception cref="SocketException">The socket failed.</exception>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    public int Receive(Span<byte> into)
    {
        var count = socket.Receive(into, SocketFlags.None, out var error);
        return error switch
        {
            SocketError.Success => count,
            SocketError.WouldBlock => -1,
            _ => throw new SocketException((int)error),
        };
    }

    /// <summary>Gives the socket to somebody else, who may wait for it in other ways.</summary>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    public Socket Release()
    {
        StopWatching();
        socket.Blocking = true;
        return socket;
    }

    public void Dispose()
    {
        // Before the descriptor is somebody else's.
        StopWatching();
        socket.Dispose();
    }

    protected abstract void StopWatching();
}
