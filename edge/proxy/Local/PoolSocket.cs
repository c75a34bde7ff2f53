using System.Buffers;
using System.Net.Sockets;
using Florete.Runtime;

namespace Florete.Proxy.Local;

/// <summary>Waits and works on threads of the pool: for what is not of a loop, and where the system cannot watch sockets.</summary>
internal sealed class PoolSocket(Socket socket) : LocalSocket(socket)
{
    public override ThreadLoop? Loop => null;

    public override async ValueTask ReadableAsync() => await Socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None).ConfigureAwait(false);

    public override async ValueTask SendAsync(ReadOnlySequence<byte> data)
    {
        foreach (var memory in data)
        {
            for (var rest = memory; !rest.IsEmpty;) rest = rest[await Socket.SendAsync(rest, SocketFlags.None).ConfigureAwait(false)..];
        }
    }

    protected override void StopWatching()
    {
    }
}
