using System.Buffers;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Florete.Runtime;

namespace Florete.Proxy.Splicing;

/// <summary>Waits and works in turns of a loop: bytes pass between socket and connection without a change of thread.</summary>
internal sealed class LoopSocket(Socket socket, ThreadLoop loop) : SplicedSocket(socket)
{
    // Well under IOV_MAX (1024); longer sequences take several calls.
    private const int MaxSegments = 256;

    private readonly SocketSignals signals = loop.SignalsOf((int)socket.SafeHandle.DangerousGetHandle());
    private readonly List<ArraySegment<byte>> segments = [];

    public override ValueTask ReadableAsync() => signals.ReadableAsync();

    // Pooled: a plain one ends as a task, whose continuations never go on inside a turn, which has a context of its own.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public override async ValueTask SendAsync(ReadOnlySequence<byte> data)
    {
        while (true)
        {
            var sent = SendNow(data, out var isAll);
            data = data.Slice(sent);
            if (data.IsEmpty) return;
            if (!isAll) await signals.WritableAsync().ConfigureAwait(false);
        }
    }

    public override void Dispose()
    {
        // Before the descriptor is somebody else's.
        signals.Dispose();
        base.Dispose();
    }

    // What the socket takes now of what one call can give it, and whether that was all.
    private int SendNow(ReadOnlySequence<byte> data, out bool isAll)
    {
        int offered, sent;
        SocketError error;
        if (data.IsSingleSegment || !TryList(data, out offered))
        {
            offered = data.First.Length;
            sent = Socket.Send(data.FirstSpan, SocketFlags.None, out error);
        }
        else
        {
            sent = Socket.Send(segments, SocketFlags.None, out error);
        }
        if (error is not (SocketError.Success or SocketError.WouldBlock)) throw new SocketException((int)error);
        isAll = sent == offered;
        return sent;
    }

    // Memory that is no array (native) cannot be listed: it travels alone.
    private bool TryList(ReadOnlySequence<byte> data, out int bytes)
    {
        segments.Clear();
        bytes = 0;
        foreach (var memory in data)
        {
            if (segments.Count == MaxSegments || !MemoryMarshal.TryGetArray(memory, out var segment)) break;
            if (segment.Count == 0) continue;
            segments.Add(segment);
            bytes += segment.Count;
        }
        return segments.Count > 0;
    }
}
