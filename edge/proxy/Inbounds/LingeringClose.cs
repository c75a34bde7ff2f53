using System.Buffers;
using System.Net.Sockets;
using Florete.Proxy.Local;

namespace Florete.Proxy.Inbounds;

/// <summary>
/// Ends a connection whose client may still be sending. Closing a socket with unread input sends a reset, which can overtake the answer and
/// make the client drop it (RFC 9112 §9.6): so the sending side ends first, and what still comes is read and thrown away for a while.
/// </summary>
internal static class LingeringClose
{
    /// <summary>A client that has not read the answer after this much will not read it at all.</summary>
    public const long MaxBytes = 16 * 1024 * 1024;

    private const int PieceBytes = 16 * 1024;

    /// <summary>Returns when the client has ended too, or has sent enough; the caller disposes the socket.</summary>
    /// <param name="socket">All that is to be said has been sent.</param>
    /// <param name="gate">Bounds the waiting in time and the waiting clients in number, as in a handshake.</param>
    /// <exception cref="SocketException">The client went away, or its time was up.</exception>
    public static async Task EndAsync(LocalSocket socket, HandshakeGate gate)
    {
        socket.Socket.Shutdown(SocketShutdown.Send);
        using var client = gate.Enter(socket);
        for (var left = MaxBytes; left > 0;)
        {
            // A silent client holds no buffer.
            await socket.ReadableAsync();
            var piece = ArrayPool<byte>.Shared.Rent(PieceBytes);
            try
            {
                var count = socket.Receive(piece);
                if (count == 0) return;
                left -= Math.Max(count, 0);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(piece);
            }
        }
    }
}
