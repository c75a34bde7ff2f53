using System.Net;
using Florete.Links.Linux;
using Florete.Runtime;

namespace Florete.Links.Tests;

/// <summary>Real UDP sockets on loopback.</summary>
public class SocketTests
{
    private sealed class Collector(int expected) : IDatagramReceiver
    {
        private readonly TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public List<byte[]> Datagrams { get; } = [];

        public UdpAddress From { get; private set; }

        public int LargestBatch { get; private set; }

        public Task Done => done.Task;

        public void OnDatagrams(UdpAddress from, ReadOnlySpan<byte> datagrams, int datagramBytes)
        {
            From = from;
            LargestBatch = Math.Max(LargestBatch, (datagrams.Length + datagramBytes - 1) / datagramBytes);
            for (; !datagrams.IsEmpty; datagrams = datagrams[Math.Min(datagramBytes, datagrams.Length)..])
            {
                Datagrams.Add(datagrams[..Math.Min(datagramBytes, datagrams.Length)].ToArray());
            }
            if (Datagrams.Count >= expected) done.TrySetResult();
        }

        public void OnWritable()
        {
        }

        public void OnMediumChanged()
        {
        }
    }

    private static DatagramBatch Batch(UdpAddress to, byte[] bodies, int count, int bytes)
    {
        var batch = new DatagramBatch();
        batch.Clear(to);
        for (var i = 0; i < count; i++)
        {
            bodies.AsSpan(i * bytes, bytes).Fill((byte)i);
            Assert.True(batch.TryAdd([1, 2, (byte)i], bodies.AsSpan(i * bytes, i == count - 1 ? bytes - 7 : bytes)));
        }
        Assert.False(batch.TryAdd([1], bodies.AsSpan(0, 1)));
        return batch;
    }

    private static async Task Exchange(IPAddress address, Func<ThreadLoop, IPEndPoint, IDatagramSocket> make, Action<IDatagramSocket, IDatagramSocket, Collector> check)
    {
        await using var loop = new ThreadLoop("sockets");
        var bodies = GC.AllocateArray<byte>(64 * 1400, pinned: true);
        var collector = new Collector(40);
        IDatagramSocket? a = null, b = null;
        await loop.RunAsync(() =>
        {
            a = make(loop, new IPEndPoint(address, 0));
            b = make(loop, new IPEndPoint(address, 0));
            a.Start(new Collector(1));
            b.Start(collector);
            Assert.Equal(SendResult.Sent, a.Send(Batch(b.Local, bodies, 40, 1400)));
            return Task.CompletedTask;
        });
        await collector.Done.WaitAsync(TimeSpan.FromSeconds(10));
        await loop.RunAsync(() =>
        {
            Assert.Equal(a!.Local, collector.From);
            Assert.Equal(40, collector.Datagrams.Count);
            for (var i = 0; i < 40; i++)
            {
                Assert.Equal(new byte[] { 1, 2, (byte)i }, collector.Datagrams[i][..3]);
                Assert.Equal((i == 39 ? 1393 : 1400) + 3, collector.Datagrams[i].Length);
                Assert.True(collector.Datagrams[i].AsSpan(3).IndexOfAnyExcept((byte)i) < 0);
            }
            check(a!, b!, collector);
            a!.Dispose();
            b!.Dispose();
            return Task.CompletedTask;
        });
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    public async Task A_batch_leaves_and_arrives_in_one_piece_each_with_offloads_of_the_kernel(string address)
    {
        await Exchange(IPAddress.Parse(address), static (loop, local) => new LinuxUdpSocket(loop, local), static (a, b, collector) =>
        {
            Assert.True(((LinuxUdpSocket)a).UsesSegmentationOffload);
            Assert.Equal(1, ((LinuxUdpSocket)a).OffloadedBatches.Sent);
            Assert.True(((LinuxUdpSocket)b).UsesReceiveOffload);
            Assert.Equal(40, collector.LargestBatch);
        });
    }

    [Fact]
    public Task The_portable_socket_carries_the_same() =>
        Exchange(IPAddress.Loopback, static (loop, local) => new PortableUdpSocket(loop, local), static (_, _, _) => { });

    [Fact]
    public async Task A_destination_without_listener_or_route_does_not_break_the_socket()
    {
        await using var loop = new ThreadLoop("sockets");
        await loop.RunAsync(async () =>
        {
            using IDatagramSocket socket = OperatingSystem.IsLinux()
                ? new LinuxUdpSocket(loop, new IPEndPoint(IPAddress.Any, 0))
                : new PortableUdpSocket(loop, new IPEndPoint(IPAddress.Any, 0));
            var collector = new Collector(1);
            socket.Start(collector);
            var body = GC.AllocateArray<byte>(9000, pinned: true);
            var batch = new DatagramBatch();
            for (var i = 0; i < 3; i++)
            {
                batch.Clear(UdpAddress.Of(new IPEndPoint(IPAddress.Loopback, 9)));
                batch.TryAdd([1], body.AsSpan(0, 100));
                socket.Send(batch);
            }
            batch.Clear(UdpAddress.Of(IPEndPoint.Parse("[ff02::1%9999]:9")));
            batch.TryAdd([1], body.AsSpan(0, 100));
            Assert.Equal(SendResult.Unreachable, socket.Send(batch));
            batch.Clear(socket.Local with { Ip = UdpAddress.Of(new IPEndPoint(IPAddress.Loopback, 1)).Ip });
            batch.TryAdd([1], body.AsSpan(0, 100));
            Assert.Equal(SendResult.Sent, socket.Send(batch));
            await collector.Done.WaitAsync(TimeSpan.FromSeconds(10));
        });
    }

    [Fact]
    public void Addresses_keep_their_value_through_every_form()
    {
        foreach (var text in new[] { "10.1.2.3:4", "[2001:db8::1]:65535", "[fe80::1%3]:9", "0.0.0.0:0", "[::]:7" })
        {
            var endPoint = IPEndPoint.Parse(text);
            var address = UdpAddress.Of(endPoint);
            Assert.Equal(endPoint, address.ToEndPoint());
            var bytes = new byte[UdpAddress.Bytes];
            address.Write(bytes);
            Assert.True(UdpAddress.TryRead(bytes, out var read));
            Assert.Equal(address with { Scope = 0 }, read);
            Assert.Equal(endPoint.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork, address.IsIPv4);
            var raw = new byte[32];
            SocketCalls.WriteAddress(raw, address, true);
            Assert.Equal(address, SocketCalls.ReadAddress(raw));
        }
    }
}
