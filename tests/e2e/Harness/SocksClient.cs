using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>One TCP connection through the proxy of a node, by SOCKS5 with a domain name: for what curl cannot do, such as not reading.</summary>
public sealed class SocksClient : IDisposable
{
    private SocksClient(Socket socket) => Socket = socket;

    public Socket Socket { get; }

    /// <exception cref="InvalidOperationException">the proxy refuses; the text carries its reply code (RFC 1928 §6)</exception>
    public static async Task<SocksClient> ConnectAsync(NetworkNamespace network, string host, int port, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        var socket = network.Enter(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, Plan.ProxyPort, cancellation);
            _ = await socket.SendAsync(new byte[] { 5, 1, 0 }, cancellation);
            var answer = new byte[2];
            await FillAsync(socket, answer, cancellation);
            if (answer[1] != 0)
            {
                throw new InvalidOperationException($"the proxy wants the authentication method {answer[1]}");
            }

            var request = new byte[7 + host.Length];
            (request[0], request[1], request[3], request[4]) = (5, 1, 3, (byte)host.Length);
            _ = Encoding.ASCII.GetBytes(host, request.AsSpan(5));
            BinaryPrimitives.WriteUInt16BigEndian(request.AsSpan(5 + host.Length), (ushort)port);
            _ = await socket.SendAsync(request, cancellation);
            var reply = new byte[4];
            await FillAsync(socket, reply, cancellation);
            if (reply[1] != 0)
            {
                throw new InvalidOperationException($"the proxy answered {host}:{port} with the SOCKS reply {reply[1]}");
            }

            await FillAsync(socket, new byte[reply[3] == 4 ? 18 : 6], cancellation);
            return new SocksClient(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Asks for a path of the content server and reads the answer's head.</summary>
    /// <returns>The length of the body; −1 when the end of the connection is its end.</returns>
    public async Task<long> GetAsync(string path, CancellationToken cancellation = default)
    {
        _ = await Socket.SendAsync(Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: hello.rete\r\n\r\n"), cancellation);
        var head = new StringBuilder();
        var one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            await FillAsync(Socket, one, cancellation);
            _ = head.Append((char)one[0]);
        }

        var line = head.ToString().Split("\r\n").FirstOrDefault(text => text.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase));
        return line is null ? -1 : long.Parse(line["Content-Length:".Length..], System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>Reads a body of so many bytes (−1: to the end) and tells its checksum and the pauses in it.</summary>
    public async Task<Download> ReadAsync(long length, Download? progress = null, CancellationToken cancellation = default)
    {
        progress ??= new Download();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[256 * 1024];
        while (length < 0 || progress.Bytes < length)
        {
            var room = length < 0 ? buffer.Length : (int)Math.Min(buffer.Length, length - progress.Bytes);
            var got = await Socket.ReceiveAsync(buffer.AsMemory(0, room), cancellation);
            if (got == 0)
            {
                break;
            }

            hash.AppendData(buffer, 0, got);
            progress.Add(got);
        }

        progress.Checksum = Convert.ToHexStringLower(hash.GetHashAndReset());
        return progress;
    }

    public void Dispose() => Socket.Dispose();

    private static async Task FillAsync(Socket socket, Memory<byte> buffer, CancellationToken cancellation)
    {
        while (buffer.Length > 0)
        {
            var got = await socket.ReceiveAsync(buffer, cancellation);
            if (got == 0)
            {
                throw new InvalidOperationException("the proxy closed the connection");
            }

            buffer = buffer[got..];
        }
    }
}

/// <summary>A body being read. Its numbers may be looked at from another task.</summary>
public sealed class Download
{
    private long bytes;
    private long last = Stopwatch.GetTimestamp();
    private long longest;

    public long Bytes => Interlocked.Read(ref bytes);

    /// <summary>The longest time without a byte since the last <see cref="Watch"/>, ended pauses only.</summary>
    public TimeSpan LongestPause => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref longest));

    public string Checksum { get; set; } = "";

    /// <summary>Forgets the pauses so far.</summary>
    public void Watch() => Interlocked.Exchange(ref longest, 0);

    internal void Add(int count)
    {
        var now = Stopwatch.GetTimestamp();
        var pause = now - last;
        last = now;
        if (pause > Interlocked.Read(ref longest))
        {
            _ = Interlocked.Exchange(ref longest, pause);
        }

        _ = Interlocked.Add(ref bytes, count);
    }
}
