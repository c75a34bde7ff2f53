using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// A small web server inside a namespace: `/bytes/N` is N bytes that are the same every time and differ in every block, made as they are
/// sent; `/timed/S/R` sends such bytes for S seconds at R bytes a second (0: as fast as they go) and then closes; `/` is a greeting. So
/// gigabytes are fetched and checked without a file.
/// </summary>
public sealed class ContentServer : IDisposable
{
    private const int Block = 64 * 1024;
    private static readonly byte[] Pattern = MakePattern();

    private readonly TcpListener listener;
    private readonly CancellationTokenSource end = new();
    private readonly ConcurrentQueue<long> timed = new();
    private int open;
    private int total;

    public ContentServer(NetworkNamespace network, int port)
    {
        ArgumentNullException.ThrowIfNull(network);
        Port = port;
        listener = network.Enter(() =>
        {
            var made = new TcpListener(IPAddress.Any, port);
            made.Start(2048);
            return made;
        });
        _ = Task.Run(AcceptAsync);
    }

    public int Port { get; }

    /// <summary>The kernel's congestion control for what is sent, such as "cubic"; null: its own choice.</summary>
    public string? CongestionControl { get; set; }

    /// <summary>Connections that are open now.</summary>
    public int Open => Volatile.Read(ref open);

    /// <summary>Connections ever.</summary>
    public int Total => Volatile.Read(ref total);

    /// <summary>What each `/timed` answer that came to its end has sent, in bytes, in the order of their ends.</summary>
    public IReadOnlyCollection<long> Timed => timed;

    /// <summary>SHA-256 of `/bytes/N`, as sha256sum writes it.</summary>
    public static string Checksum(long bytes)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var block = new byte[Block];
        for (long at = 0; at < bytes; at += Block)
        {
            Fill(block, at);
            hash.AppendData(block, 0, (int)Math.Min(Block, bytes - at));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>The bytes of `/bytes/N` from a multiple of the block size on.</summary>
    public static void Fill(Span<byte> block, long at)
    {
        Pattern.CopyTo(block);
        BinaryPrimitives.WriteInt64LittleEndian(block, at);
    }

    public void Dispose()
    {
        end.Cancel();
        listener.Dispose();
        end.Dispose();
    }

    private static byte[] MakePattern()
    {
        var made = new byte[Block];
        new Random(7).NextBytes(made);
        return made;
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await listener.AcceptSocketAsync(end.Token);
                _ = Task.Run(() => ServeAsync(client));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException or SocketException)
        {
            // Disposed.
        }
    }

    private async Task ServeAsync(Socket client)
    {
        _ = Interlocked.Increment(ref open);
        _ = Interlocked.Increment(ref total);
        try
        {
            using (client)
            {
                client.NoDelay = true;
                if (CongestionControl is { } name)
                {
                    // IPPROTO_TCP, TCP_CONGESTION: a namespace's sysctl offers only what the machine allows to everybody.
                    client.SetRawSocketOption(6, 13, Encoding.ASCII.GetBytes(name));
                }

                var request = new byte[8192];
                var have = 0;
                while (await client.ReceiveAsync(request.AsMemory(have), end.Token) is var got && got > 0)
                {
                    have += got;
                    var head = Encoding.ASCII.GetString(request, 0, have);
                    var close = head.IndexOf("\r\n\r\n", StringComparison.Ordinal);
                    if (close < 0)
                    {
                        if (have == request.Length)
                        {
                            return;
                        }

                        continue;
                    }

                    have = 0;
                    if (!await AnswerAsync(client, head.Split(' ')[1]))
                    {
                        // The end of the answer, in order: what is still on its way must arrive before it.
                        client.Shutdown(SocketShutdown.Send);
                        _ = await client.ReceiveAsync(request, end.Token);
                        return;
                    }
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException or SocketException)
        {
            // The client went away, or the test ended.
        }
        finally
        {
            _ = Interlocked.Decrement(ref open);
        }
    }

    /// <returns>False when the connection ends with the answer.</returns>
    private async Task<bool> AnswerAsync(Socket client, string path)
    {
        // A proxy may ask with the whole address.
        path = path.StartsWith("http://", StringComparison.Ordinal) ? new Uri(path).AbsolutePath : path;
        if (path.StartsWith("/timed/", StringComparison.Ordinal))
        {
            var words = path.Split('/');
            await SendTimedAsync(client, int.Parse(words[2], CultureInfo.InvariantCulture), long.Parse(words[3], CultureInfo.InvariantCulture));
            return false;
        }

        if (!path.StartsWith("/bytes/", StringComparison.Ordinal))
        {
            const string greeting = "Hello from the other side.\n";
            _ = await client.SendAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {greeting.Length}\r\n\r\n{greeting}"), end.Token);
            return true;
        }

        var size = long.Parse(path["/bytes/".Length..], CultureInfo.InvariantCulture);
        _ = await client.SendAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"), end.Token);
        var block = new byte[Block];
        for (long at = 0; at < size; at += Block)
        {
            Fill(block, at);
            await SendAsync(client, block.AsMemory(0, (int)Math.Min(Block, size - at)));
        }

        return true;
    }

    private async Task SendTimedAsync(Socket client, int seconds, long rate)
    {
        _ = await client.SendAsync("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\r\n"u8.ToArray(), end.Token);
        var block = new byte[Block];
        var watch = Stopwatch.StartNew();
        long at = 0;
        while (watch.Elapsed.TotalSeconds < seconds)
        {
            if (rate > 0 && at > watch.Elapsed.TotalSeconds * rate)
            {
                await Task.Delay(5, end.Token);
                continue;
            }

            Fill(block, at);
            await SendAsync(client, block);
            at += Block;
        }

        timed.Enqueue(at);
    }

    private async Task SendAsync(Socket client, ReadOnlyMemory<byte> rest)
    {
        while (rest.Length > 0)
        {
            rest = rest[await client.SendAsync(rest, end.Token)..];
        }
    }
}
