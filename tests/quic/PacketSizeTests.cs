namespace Florete.Quic.Tests;

public class PacketSizeTests
{
    private readonly SendChunkPool pool = new();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Packets_stay_within_a_bound_that_changes_with_every_packet(int seed)
    {
        var random = new Random(seed);
        int[] bounds = [1200, 1376, 1376, 9000, 17131];
        var weather = new Weather(seed) { Loss = 0.02, Reorder = 0.1 };
        using var pair = new Pair(new QuicOptions { Alpn = "t", MaxPacketBytes = 17131 }, weather) { PacketBound = () => bounds[random.Next(bounds.Length)] }.Confirm();
        Assert.Equal(2_000_000, Transfer(pair, 2_000_000));
    }

    [Fact]
    public void Packets_fill_the_bound()
    {
        using var pair = new Pair(new QuicOptions { Alpn = "t", MaxPacketBytes = 17131 }).Confirm();
        pair.Records = true;
        Transfer(pair, 1_000_000);
        Assert.True(pair.Sent.Count(p => p.Length == 17131) > 40);
        pair.PacketBound = () => 1376;
        pair.Sent.Clear();
        Transfer(pair, 1_000_000);
        Assert.True(pair.Sent.Count(p => p.Length == 1376) > 600);
    }

    [Theory]
    [InlineData(1472, 1452)]
    [InlineData(1440, 1392)]
    [InlineData(1200, 1200)]
    public void A_link_finds_what_the_path_carries(int maxPacketBytes, int expected)
    {
        using var pair = new Pair(new QuicOptions { Alpn = "t", ProbedPacketBytes = QuicOptions.EthernetPacketBytes, MaxPacketBytes = maxPacketBytes }) { Carries = 1460 }.Confirm();
        Transfer(pair, 1_000_000);
        pair.Run(TimeSpan.FromSeconds(20));
        Assert.Equal(expected, pair.Client!.PathPacketBytes);
    }

    [Fact]
    public void Nothing_is_allocated_per_packet()
    {
        using var pair = new Pair(new QuicOptions { Alpn = "t", MaxPacketBytes = 17131, ConnectionWindowBytes = 16 << 20, StreamWindowBytes = 16 << 20 }).Confirm();
        pair.ServerSees.Keeps = false;
        var (client, server) = (pair.Client!, pair.Server!);
        var streams = Enumerable.Range(0, 3).Select(_ => client.OpenStream()!).ToArray();
        var buffer = new byte[17131];
        var chunk = pool.Rent();
        var now = pair.Now;
        var packets = 0;
        void Round()
        {
            foreach (var stream in streams)
            {
                if (stream.BufferedBytes < 4 * chunk.CapacityBytes) stream.Enqueue(chunk, 0, chunk.CapacityBytes);
            }
            int length;
            while ((length = client.Write(buffer, now)) > 0)
            {
                server.Receive(buffer.AsSpan(0, length), now);
                packets++;
            }
            while ((length = server.Write(buffer, now)) > 0)
            {
                client.Receive(buffer.AsSpan(0, length), now);
                packets++;
            }
            now += TimeSpan.FromMilliseconds(1);
            client.HandleExpiry(now);
            server.HandleExpiry(now);
        }
        for (var i = 0; i < 200; i++) Round();
        packets = 0;
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 500; i++) Round();
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(packets > 1000, $"{packets} packets");
        Assert.Equal(0, allocated);
    }

    private int Transfer(Pair pair, int bytes)
    {
        var stream = pair.Client!.OpenStream()!;
        for (var left = bytes; left > 0;)
        {
            var chunk = pool.Rent();
            var part = Math.Min(left, chunk.CapacityBytes);
            stream.Enqueue(chunk, 0, part);
            chunk.Release();
            left -= part;
        }
        stream.FinishWriting();
        pair.RunUntil(() => pair.ServerSees.Events.Contains($"fin {stream.Id}"), TimeSpan.FromMinutes(10));
        return pair.ServerSees.Received[stream.Id].Count;
    }
}
