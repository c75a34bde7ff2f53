using System.Buffers;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;

namespace Florete.Proxy.Splicing;

/// <summary>
/// Sends whole sequences to a stream socket, many segments in one system call, without allocating per send. One send at a time.
/// </summary>
internal sealed class SocketSender : SocketAsyncEventArgs, IValueTaskSource
{
    // Well under IOV_MAX (1024); longer sequences take several calls.
    private const int MaxSegments = 256;

    private readonly Socket socket;
    private readonly List<ArraySegment<byte>> segments = [];
    private ManualResetValueTaskSourceCore<bool> completion = new() { RunContinuationsAsynchronously = false };

    // Execution contexts carry nothing here, and capturing them costs.
    public SocketSender(Socket socket) : base(true) => this.socket = socket;

    /// <summary>Sends all of it.</summary>
    /// <exception cref="SocketException">The socket failed.</exception>
    public async ValueTask SendAsync(ReadOnlySequence<byte> data)
    {
        while (!data.IsEmpty)
        {
            var bytes = Take(data);
            await StartAsync().ConfigureAwait(false);
            data = data.Slice(bytes);
        }
    }

    private long Take(ReadOnlySequence<byte> data)
    {
        if (data.IsSingleSegment)
        {
            if (BufferList is not null) BufferList = null;
            SetBuffer(MemoryMarshal.AsMemory(data.First));
            return data.Length;
        }
        SetBuffer(null, 0, 0);
        segments.Clear();
        long bytes = 0;
        foreach (var memory in data)
        {
            if (memory.IsEmpty) continue;
            if (segments.Count == MaxSegments) break;
            // Memory that is no array (native) cannot be listed: it travels alone.
            if (!MemoryMarshal.TryGetArray(memory, out var segment))
            {
                if (segments.Count > 0) break;
                BufferList = null;
                SetBuffer(MemoryMarshal.AsMemory(memory));
                return memory.Length;
            }
            segments.Add(segment);
            bytes += segment.Count;
        }
        BufferList = segments;
        return bytes;
    }

    private ValueTask StartAsync()
    {
        completion.Reset();
        if (socket.SendAsync(this)) return new ValueTask(this, completion.Version);
        return SocketError == SocketError.Success
            ? ValueTask.CompletedTask
            : ValueTask.FromException(new SocketException((int)SocketError));
    }

    protected override void OnCompleted(SocketAsyncEventArgs e)
    {
        if (SocketError == SocketError.Success) completion.SetResult(true);
        else completion.SetException(new SocketException((int)SocketError));
    }

    void IValueTaskSource.GetResult(short token) => completion.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => completion.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        completion.OnCompleted(continuation, state, token, flags);
}
