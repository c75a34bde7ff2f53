using System.Net;
using System.Net.Sockets;

namespace Florete.Proxy.Tests.Harness;

/// <summary>A TCP program behind an outbound, by a function over its sockets.</summary>
internal sealed class RawServer : IAsyncDisposable
{
    private readonly Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly Task accepting;

    public RawServer(Func<Socket, Task> serve)
    {
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1024);
        accepting = AcceptAsync(serve);
    }

    public int Port => ((IPEndPoint)listener.LocalEndPoint!).Port;

    public async ValueTask DisposeAsync()
    {
        listener.Dispose();
        await accepting;
    }

    private async Task AcceptAsync(Func<Socket, Task> serve)
    {
        try
        {
            while (true) _ = ServeAsync(await listener.AcceptAsync(), serve);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private static async Task ServeAsync(Socket socket, Func<Socket, Task> serve)
    {
        await Task.Yield();
        using (socket) await serve(socket);
    }
}
