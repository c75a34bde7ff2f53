using System.Buffers.Binary;
using System.Net.Sockets;

namespace Florete.PortalSocket;

/// <summary>
/// Frames over a stream socket. Reads exactly one frame at a time and nothing beyond it, because the byte stream may begin there. One
/// reader; writes may come from several.
/// </summary>
public sealed class FrameSocket(Socket socket) : IDisposable
{
    private readonly SemaphoreSlim writing = new(1);
    private readonly byte[] length = new byte[2];

    public Socket Socket => socket;

    /// <summary>Reads one frame; null at the end of the stream.</summary>
    /// <exception cref="InvalidDataException">It is malformed.</exception>
    /// <exception cref="EndOfStreamException">The stream ended inside it.</exception>
    /// <exception cref="SocketException">The socket failed.</exception>
    public async ValueTask<(PortalFrameType Type, byte[] Body)?> ReadAsync(CancellationToken cancellationToken)
    {
        // Until something comes no memory is held.
        await socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, cancellationToken).ConfigureAwait(false);
        if (!await FillAsync(length, true, cancellationToken).ConfigureAwait(false)) return null;
        var bytes = BinaryPrimitives.ReadUInt16BigEndian(length);
        if (bytes is 0 or > PortalSocketProtocol.MaxFrameBytes) throw new InvalidDataException($"A frame of {bytes} bytes is not between 1 and {PortalSocketProtocol.MaxFrameBytes}.");
        var frame = new byte[bytes];
        await FillAsync(frame, false, cancellationToken).ConfigureAwait(false);
        return ((PortalFrameType)frame[0], frame[1..]);
    }

    /// <exception cref="SocketException">The socket failed.</exception>
    public async ValueTask WriteAsync(byte[] frame, CancellationToken cancellationToken)
    {
        await writing.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            // A cancelled send might leave half a frame: it is not cancelled, the socket's owner closes it.
            await socket.SendAsync(frame, SocketFlags.None, CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            writing.Release();
        }
    }

    public void Dispose()
    {
        socket.Dispose();
        writing.Dispose();
    }

    private async ValueTask<bool> FillAsync(Memory<byte> memory, bool mayEnd, CancellationToken cancellationToken)
    {
        for (var filled = 0; filled < memory.Length;)
        {
            var count = await socket.ReceiveAsync(memory[filled..], SocketFlags.None, cancellationToken).ConfigureAwait(false);
            if (count == 0)
            {
                return filled == 0 && mayEnd ? false : throw new EndOfStreamException("The stream ended inside a frame.");
            }
            filled += count;
        }
        return true;
    }
}
