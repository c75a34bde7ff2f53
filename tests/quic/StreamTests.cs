using System.Security.Cryptography;

namespace Florete.Quic.Tests;

public class StreamTests
{
    private readonly SendChunkPool pool = new();

    [Theory]
    [InlineData(1376, 0.05, 1)]
    [InlineData(17131, 0.05, 2)]
    [InlineData(17131, 0, 3)]
    public void Ten_megabytes_each_way_on_several_streams_arrive_whole(int packetBytes, double loss, int seed)
    {
        const int streams = 4;
        const int bytesEach = 10_000_000 / streams;
        var weather = new Weather(seed) { Loss = loss, Duplicate = loss / 2, Reorder = loss, Delay = TimeSpan.FromMilliseconds(2) };
        using var pair = new Pair(new QuicOptions { Alpn = "t", MaxPacketBytes = packetBytes, SendBufferBytes = 16 << 20 }, weather).Confirm();
        var sent = new Dictionary<(bool, long), byte[]>();
        var random = new Random(seed);
        void Fill(QuicStream stream, bool fromClient)
        {
            var data = new byte[bytesEach];
            random.NextBytes(data);
            sent[(fromClient, stream.Id)] = data;
            Write(stream, data);
            stream.FinishWriting();
        }
        pair.ServerSees.Opened = stream => Fill(stream, fromClient: false);
        for (var i = 0; i < streams; i++) Fill(pair.Client!.OpenStream()!, fromClient: true);
        bool Done(Recorder recorder) => recorder.Events.Count(e => e.StartsWith("ended", StringComparison.Ordinal)) == streams;
        pair.RunUntil(() => Done(pair.ClientSees) && Done(pair.ServerSees), TimeSpan.FromMinutes(10));
        foreach (var ((fromClient, id), data) in sent)
        {
            var received = (fromClient ? pair.ServerSees : pair.ClientSees).Received[id];
            Assert.Equal(SHA256.HashData(data), SHA256.HashData(received.ToArray()));
        }
        Assert.Equal(0, pool.Rented);
        Assert.Equal(0, pair.Client!.OpenStreams);
        if (loss > 0) Assert.True(pair.Client.Statistics.LostStreamFrames > 0);
    }

    [Fact]
    public void One_direction_ends_while_the_other_goes_on()
    {
        using var pair = new Pair().Confirm();
        var stream = pair.Client!.OpenStream()!;
        QuicStream? there = null;
        pair.ServerSees.Opened = s => there = s;
        Write(stream, "question"u8);
        stream.FinishWriting();
        pair.RunUntil(() => pair.ServerSees.Events.Contains($"fin {stream.Id}"), TimeSpan.FromSeconds(1));
        Assert.False(stream.Enqueue(pool.Rent(), 0, 1));
        Write(there!, "answer"u8);
        there!.FinishWriting();
        pair.RunUntil(() => stream.IsClosed && there.IsClosed, TimeSpan.FromSeconds(1));
        Assert.Equal("answer"u8.ToArray(), pair.ClientSees.Received[stream.Id]);
    }

    [Fact]
    public void A_reset_and_a_stop_reach_the_other_side()
    {
        using var pair = new Pair().Confirm();
        var stream = pair.Client!.OpenStream()!;
        QuicStream? there = null;
        pair.ServerSees.Opened = s => there = s;
        Write(stream, new byte[100_000]);
        pair.RunUntil(() => there is not null, TimeSpan.FromSeconds(1));
        stream.StopSending(8);
        Assert.False(stream.IsWritingOver);
        Write(there!, new byte[2_000_000]);
        pair.RunUntil(() => pair.ServerSees.Events.Contains($"stop {stream.Id}"), TimeSpan.FromSeconds(1));
        Assert.True(there!.IsWritingOver);
        stream.Reset(7);
        pair.RunUntil(() => stream.IsClosed && there!.IsClosed, TimeSpan.FromSeconds(1));
        Assert.Contains($"reset {stream.Id} 7", pair.ServerSees.Events);
        Assert.Equal(0, pool.Rented);
    }

    [Fact]
    public void A_writer_that_waits_for_credit_hears_that_its_reader_has_gone()
    {
        using var pair = new Pair(new QuicOptions { Alpn = "t", StreamWindowBytes = 50_000 }).Confirm();
        pair.ServerSees.ConsumesAll = false;
        QuicStream? there = null;
        pair.ServerSees.Opened = s => there = s.Id == 0 ? s : there;
        var stream = pair.Client!.OpenStream()!;
        var idle = pair.Client.OpenStream()!;
        Write(idle, "x"u8);
        Write(stream, new byte[300_000]);
        pair.Run(TimeSpan.FromSeconds(2));
        Assert.Equal(250_000, stream.UnsentBytes);
        there!.StopSending(1);
        pair.RunUntil(() => pair.ClientSees.Events.Contains($"stop {stream.Id}"), TimeSpan.FromMilliseconds(100));
        Assert.Equal(0, stream.UnsentBytes);
        Assert.DoesNotContain($"stop {idle.Id}", pair.ClientSees.Events);
        Assert.Equal(QuicConnectionState.Confirmed, pair.Client.State);
    }

    [Fact]
    public void A_writer_waits_for_a_reader_that_does_not_consume()
    {
        var options = new QuicOptions { Alpn = "t", StreamWindowBytes = 100_000, ConnectionWindowBytes = 150_000 };
        using var pair = new Pair(options).Confirm();
        pair.ServerSees.ConsumesAll = false;
        var open = new List<QuicStream>();
        pair.ServerSees.Opened = open.Add;
        var first = pair.Client!.OpenStream()!;
        var second = pair.Client.OpenStream()!;
        Write(first, new byte[300_000]);
        Write(second, new byte[300_000]);
        pair.Run(TimeSpan.FromSeconds(5));
        int Total() => pair.ServerSees.Received.Values.Sum(r => r.Count);
        Assert.Equal(150_000, Total());
        Assert.All(pair.ServerSees.Received.Values, r => Assert.InRange(r.Count, 1, 100_000));
        pair.ServerSees.ConsumesAll = true;
        foreach (var stream in open) stream.Consume(pair.ServerSees.Received[stream.Id].Count);
        pair.Run(TimeSpan.FromSeconds(5));
        Assert.Equal(600_000, Total());
    }

    [Fact]
    public void No_more_streams_than_the_peer_allows_and_it_tells_when_there_are_more()
    {
        using var pair = new Pair(new QuicOptions { Alpn = "t", MaxPeerStreams = 3 }).Confirm();
        var opened = Enumerable.Range(0, 3).Select(_ => pair.Client!.OpenStream()!).ToList();
        Assert.Null(pair.Client!.OpenStream());
        pair.ServerSees.Opened = s => s.FinishWriting();
        opened[0].FinishWriting();
        pair.RunUntil(() => pair.ClientSees.StreamsAvailable > 0, TimeSpan.FromSeconds(1));
        Assert.NotNull(pair.Client.OpenStream());
    }

    private void Write(QuicStream stream, ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            var chunk = pool.Rent();
            var part = Math.Min(data.Length, chunk.CapacityBytes);
            data[..part].CopyTo(chunk.Span);
            Assert.True(stream.Enqueue(chunk, 0, part));
            chunk.Release();
            data = data[part..];
        }
    }
}
