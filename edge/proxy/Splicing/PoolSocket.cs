using System.Buffers;
using System.Net.Sockets;

namespace Florete.Proxy.Splicing;

/// <summary>Waits and works on threads of the pool: for streams of other processes, and where the system cannot watch sockets.</summary>
internal sealed class PoolSocket(Socket socket) : SplicedSocket(socket)
{
    public override async ValueTask ReadableAsync() => await Socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None).ConfigureAwait(false);

    public override async ValueTask SendAsync(ReadOnlySequence<byte> data)
    {
        foreach (var memory in data)
        {
            for (var rest = memory; !rest.IsEmpty;) rest = rest[await Socket.SendAsync(rest, SocketFlags.None).ConfigureAwait(false)..];
        }
    }
}
