using System.Buffers;
using System.Net.Sockets;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Proxy.Splicing;

/// <summary>
/// The local side of a splice: a connected stream socket that is waited for in one of two ways, and read and written without blocking. One reader
/// and one writer. Owns the socket.
/// </summary>
internal abstract class SplicedSocket(Socket socket) : IDisposable
{
    // Unless told, the system lets a program that does not read have up to 4 MB of the mesh's bytes in its socket.
    private const int SendBufferBytes = 512 * 1024;

    public Socket Socket => socket;

    /// <summary>In the turns of the stream's loop where it has one and the system can watch sockets, else on threads of the pool.</summary>
    /// <exception cref="SocketException">The socket is gone already.</exception>
    /// <exception cref="ObjectDisposedException">As before.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">As before, or the system allows no more watches.</exception>
    public static SplicedSocket Over(Socket socket, object stream)
    {
        socket.Blocking = false;
        socket.SendBufferSize = SendBufferBytes;
        if (stream is not IPromptStream { Loop: ThreadLoop { CanWatch: true } loop } prompt) return new PoolSocket(socket);
        prompt.ResumesInTurn = true;
        return new LoopSocket(socket, loop);
    }

    /// <summary>Until there is something to read, or the end; holds no memory meanwhile, so an idle connection costs none.</summary>
    public abstract ValueTask ReadableAsync();

    /// <summary>Sends all of it.</summary>
    /// <exception cref="SocketException">The socket failed.</exception>
    public abstract ValueTask SendAsync(ReadOnlySequence<byte> data);

    /// <summary>What is there now: 0 at the end of the stream, -1: nothing.</summary>
    /// <exception cref="SocketException">The socket failed.</exception>
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

    public virtual void Dispose() => socket.Dispose();
}
