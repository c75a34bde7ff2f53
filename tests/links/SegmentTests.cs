using Florete.Runtime;
using Florete.Sealing;
using FsCheck.Fluent;

namespace Florete.Links.Tests;

public class SegmentTests
{
    [Fact]
    public void A_cut_covers_the_total_with_equal_segments_and_each_tells_the_whole()
    {
        var check = Prop.ForAll<(ushort Total, ushort Most)>(input =>
        {
            var total = 17 + (input.Total % (LinkSizes.MaxSealedBytes - 17));
            var most = 1180 + (input.Most % 253);
            var cut = SegmentCut.Of(total, most);
            if (cut.TotalBytes != total || cut.Count > LinkSizes.MaxSegments || cut.Size > most || cut.Padding >= cut.Count) return false;
            for (var i = 0; i < cut.Count; i++)
            {
                var header = new SegmentHeader(3, i, cut.Count, cut.Padding, 77, PacketCounter.Of(3, 9), 5);
                var datagram = new byte[SegmentHeader.Bytes + cut.Size];
                header.Write(datagram);
                if (!SegmentHeader.TryRead(datagram, out var read) || read != header) return false;
                if (!SegmentCut.TryRead(read, datagram.Length - SegmentHeader.Bytes, out var told) || told != cut) return false;
            }
            return true;
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void Any_bytes_are_read_or_refused_and_what_is_read_stays_within_limits()
    {
        var random = new Random(3);
        var bytes = new byte[1500];
        for (var i = 0; i < 200_000; i++)
        {
            var datagram = bytes.AsSpan(0, random.Next(bytes.Length));
            random.NextBytes(datagram[..Math.Min(24, datagram.Length)]);
            if (i % 2 == 0 && datagram.Length > 3) (datagram[0], datagram[3]) = (SegmentHeader.Kind, (byte)(datagram[3] & 15));
            if (!SegmentHeader.TryRead(datagram, out var header)) continue;
            Assert.InRange(header.Count, 1, LinkSizes.MaxSegments);
            Assert.InRange(header.Index, 0, header.Count - 1);
            if (!SegmentCut.TryRead(header, datagram.Length - SegmentHeader.Bytes, out var cut)) continue;
            Assert.InRange(cut.TotalBytes, Sealer.TagBytes, LinkSizes.MaxSealedBytes);
            Assert.True((header.Index * cut.Size) + cut.Size <= cut.PaddedBytes);
            Assert.Equal(datagram.Length - SegmentHeader.Bytes, cut.Size);
        }
    }

    [Fact]
    public void Large_packets_of_a_layer_are_twelve_equal_segments_over_both_families()
    {
        foreach (var datagram in new[] { LinkSizes.DatagramBytesIPv4, LinkSizes.DatagramBytesIPv6 })
        {
            Assert.Equal(new SegmentCut(12, 1430, 0), SegmentCut.Of(17_131 + 13 + Sealer.TagBytes, datagram - SegmentHeader.Bytes));
        }
        Assert.True(SegmentCut.Of(LinkSizes.MaxSealedBytes, LinkSizes.BaseDatagramBytes - SegmentHeader.Bytes).Count <= LinkSizes.MaxSegments);
    }

    [Fact]
    public void Segments_in_any_order_with_duplicates_make_the_packet_once_and_the_counters_add_up()
    {
        var pool = new PacketPool();
        var check = Prop.ForAll<int>(seed =>
        {
            var random = new Random(seed);
            var counters = new DatagramCounters();
            var reassembler = new Reassembler(pool, counters);
            var flight = new List<(SegmentHeader Header, byte[] Payload)>();
            var whole = new Dictionary<PacketCounter, byte[]>();
            for (ulong sdu = 1; sdu <= 20; sdu++)
            {
                var total = random.Next(1200, LinkSizes.MaxSealedBytes);
                var cut = SegmentCut.Of(total, 1180);
                var bytes = new byte[cut.PaddedBytes];
                random.NextBytes(bytes.AsSpan(0, total));
                var counter = PacketCounter.Of(3, sdu);
                whole[counter] = bytes;
                for (var i = 0; i < cut.Count; i++)
                {
                    var header = new SegmentHeader(0, i, cut.Count, cut.Padding, 1, counter, (uint)sdu);
                    if (cut.Count == 1 || random.Next(200) == 0) continue;
                    flight.Add((header, bytes.AsSpan(i * cut.Size, cut.Size).ToArray()));
                    if (random.Next(20) == 0) flight.Add(flight[^1]);
                }
            }
            var given = 0;
            foreach (var (header, payload) in flight.OrderBy(_ => random.Next()).ToArray())
            {
                given++;
                if (!SegmentCut.TryRead(header, payload.Length, out var cut)) return false;
                var packet = reassembler.Add(header, cut, payload, new Instant(1), out _);
                if (packet is not null)
                {
                    if (!packet.Span.SequenceEqual(whole[header.Counter].AsSpan(0, cut.TotalBytes))) return false;
                    counters.Count(DatagramFate.Accepted, cut.Count);
                    packet.Return();
                }
                if (counters.Settled + counters.Pending != given) return false;
            }
            reassembler.Clear();
            return counters.Settled == given && counters.Pending == 0;
        });
        FsCheck.Check.QuickThrowOnFailure(check);
        Assert.Equal(0, pool.Rented);
    }

    [Fact]
    public void The_oldest_slot_gives_way_and_nothing_grows()
    {
        var pool = new PacketPool();
        var counters = new DatagramCounters();
        var reassembler = new Reassembler(pool, counters);
        var payload = new byte[1000];
        for (ulong i = 1; i <= 1000; i++)
        {
            var header = new SegmentHeader(0, 0, 2, 0, 1, PacketCounter.Of(3, i), 0);
            Assert.True(SegmentCut.TryRead(header, payload.Length, out var cut));
            Assert.Null(reassembler.Add(header, cut, payload, new Instant(1), out var advanced));
            Assert.True(advanced);
        }
        Assert.Equal(Reassembler.SlotCount, pool.Rented);
        Assert.Equal(1000 - Reassembler.SlotCount, counters[DatagramFate.Incomplete]);
        reassembler.Expire(new Instant(1) + Reassembler.Patience);
        Assert.Equal(1000, counters[DatagramFate.Incomplete]);
        Assert.Equal(1000, reassembler.MissingSegments);
    }
}
