using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Florete.Proxy.Tests.Harness;

/// <summary>A SOCKS5 client that shows each answer.</summary>
internal static class SocksClient
{
    public static async Task<Socket> DialAsync(IPEndPoint proxy)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(proxy);
        return socket;
    }

    /// <summary>Connects without authentication; fails unless the reply is 0.</summary>
    public static async Task<Socket> ConnectAsync(IPEndPoint proxy, string host)
    {
        var socket = await DialAsync(proxy);
        Assert.Equal(0, await RequestAsync(socket, host));
        return socket;
    }

    /// <summary>Greets, asks, and returns the reply's code.</summary>
    public static async Task<int> RequestAsync(Socket socket, string host, byte command = 1, int port = 80)
    {
        await socket.SendAsync(new byte[] { 5, 1, 0 });
        Assert.Equal(new byte[] { 5, 0 }, await ReadAsync(socket, 2));
        byte[] address = IPAddress.TryParse(host, out var ip)
            ? [ip.AddressFamily == AddressFamily.InterNetwork ? (byte)1 : (byte)4, .. ip.GetAddressBytes()]
            : [3, (byte)host.Length, .. Encoding.ASCII.GetBytes(host)];
        await socket.SendAsync((byte[])[5, command, 0, .. address, (byte)(port >> 8), (byte)port]);
        var reply = await ReadAsync(socket, 10);
        Assert.Equal(5, reply[0]);
        return reply[1];
    }

    public static async Task<byte[]> ReadAsync(Socket socket, int bytes)
    {
        var buffer = new byte[bytes];
        for (var got = 0; got < bytes;)
        {
            var count = await socket.ReceiveAsync(buffer.AsMemory(got));
            if (count == 0) return buffer[..got];
            got += count;
        }
        return buffer;
    }

    public static async Task<byte[]> ReadToEndAsync(Socket socket)
    {
        using var all = new MemoryStream();
        var buffer = new byte[64 * 1024];
        while (await socket.ReceiveAsync(buffer) is > 0 and var count) all.Write(buffer, 0, count);
        return all.ToArray();
    }
}
