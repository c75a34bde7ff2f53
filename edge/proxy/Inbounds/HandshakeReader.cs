using System.Buffers;
using System.Net.Sockets;
using Florete.Proxy.Local;

namespace Florete.Proxy.Inbounds;

/// <summary>
/// Reads the beginning of a client's stream, a request of bounded size, holding memory only for what has arrived: a client that is silent
/// costs no buffer.
/// </summary>
internal sealed class HandshakeReader(LocalSocket socket, HandshakeGate.Client client, int maxBytes) : IDisposable
{
    // Every SOCKS message but a long name, and most of a request line, fit.
    private const int FirstBytes = 256;

    private byte[]? array;
    private int start;
    private int end;

    /// <summary>What has arrived and is not consumed.</summary>
    public ReadOnlyMemory<byte> Buffered => array.AsMemory(start, end - start);

    /// <summary>No more fits: the request is too large, or too many unfinished ones are waiting.</summary>
    public bool IsFull { get; private set; }

    /// <summary>Waits for more; false at the end of the stream, or when <see cref="IsFull"/>.</summary>
    /// <exception cref="SocketException">The socket failed, or its time was up.</exception>
    public async ValueTask<bool> FillAsync()
    {
        while (true)
        {
            await socket.ReadableAsync();
            if (!MakeRoom())
            {
                IsFull = true;
                return false;
            }
            var count = socket.Receive(array.AsSpan(end));
            if (count < 0) continue;
            end += count;
            return count > 0;
        }
    }

    public void Consume(int bytes)
    {
        start += bytes;
        if (start == end) Release();
    }

    /// <summary>What was read beyond the request, as the caller's own.</summary>
    public byte[] TakeRest()
    {
        var rest = Buffered.ToArray();
        Release();
        return rest;
    }

    public void Dispose() => Release();

    private bool MakeRoom()
    {
        if (array is null)
        {
            array = ArrayPool<byte>.Shared.Rent(FirstBytes);
            return true;
        }
        if (end < array.Length) return true;
        if (start > 0)
        {
            array.AsSpan(start, end - start).CopyTo(array);
            (start, end) = (0, end - start);
            return true;
        }
        if (array.Length >= maxBytes || !client.TryTake(array.Length)) return false;
        var larger = ArrayPool<byte>.Shared.Rent(array.Length * 2);
        array.CopyTo(larger, 0);
        ArrayPool<byte>.Shared.Return(array, clearArray: true);
        array = larger;
        return true;
    }

    private void Release()
    {
        // It may have held a password.
        if (array is not null) ArrayPool<byte>.Shared.Return(array, clearArray: true);
        array = null;
        start = end = 0;
    }
}
