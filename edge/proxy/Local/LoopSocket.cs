// TryConnectNow is Linux only: connect(2).
using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Florete.Runtime;

namespace Florete.Proxy.Local;

/// <summary>Waits and works in turns of a loop: bytes pass between socket and connection without a change of thread.</summary>
internal sealed partial class LoopSocket(Socket socket, ThreadLoop loop) : LocalSocket(socket)
{
    // Well under IOV_MAX (1024); longer sequences take several calls.
    private const int MaxSegments = 256;

    private const int InProgress = 115;

    private readonly SocketSignals signals = loop.SignalsOf((int)socket.SafeHandle.DangerousGetHandle());
    private readonly List<ArraySegment<byte>> segments = [];

    public override ThreadLoop Loop => loop;

    /// <summary>Begins to connect; false: <see cref="ConnectedAsync"/> tells how it ended.</summary>
    /// <remarks>Socket.Connect reports that it has begun by an exception, and ConnectAsync has a thread of its own watch the socket as long as it lives.</remarks>
    /// <exception cref="SocketException">Refused.</exception>
    public static bool TryConnectNow(Socket socket, EndPoint target)
    {
        socket.Blocking = false;
        var address = target.Serialize();
        if (Connect(socket.SafeHandle, address.Buffer.Span, address.Size) == 0) return true;
        var error = Marshal.GetLastPInvokeError();
        return error == InProgress ? false : throw new SocketException(error, Marshal.GetPInvokeErrorMessage(error));
    }

    /// <summary>Waits until a connect that was begun is done.</summary>
    /// <exception cref="SocketException">It failed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static async Task<LocalSocket> ConnectedAsync(Socket socket, ThreadLoop loop, CancellationToken cancellationToken)
    {
        var local = (LoopSocket)Over(socket, loop);
        try
        {
            using (cancellationToken.UnsafeRegister(static local => ((LocalSocket)local!).Dispose(), local)) await local.signals.WritableAsync();
            var error = (int)socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!;
            return error == 0 ? local : throw new SocketException(error);
        }
        catch (ObjectDisposedException)
        {
            throw new OperationCanceledException(cancellationToken);
        }
        catch
        {
            local.Dispose();
            throw;
        }
    }

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

    protected override void StopWatching() => signals.Dispose();

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

    [LibraryImport("libc", EntryPoint = "connect", SetLastError = true)]
    private static partial int Connect(SafeHandle socket, ReadOnlySpan<byte> address, int bytes);
}
