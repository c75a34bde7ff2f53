using Florete.Runtime;
using FsCheck.Fluent;

namespace Florete.Sealing.Tests;

public class SealingTests
{
    private static readonly Instant Now = new(1_000_000_000);
    private static readonly byte[] Header = [1, 2, 3];

    private static (Sealer, Opener) Pair(int lanes = 4, RekeyLimits? limits = null)
    {
        var encoded = new byte[SealingKey.Bytes];
        var key = SealingKey.Generate();
        key.Write(encoded);
        Assert.True(SealingKey.TryRead(encoded, out var copy));
        return (new Sealer(7, key, lanes, limits ?? RekeyLimits.Default), new Opener(7, copy!, lanes));
    }

    [Fact]
    public void What_was_sealed_opens_once_and_to_the_same_bytes()
    {
        var (sealer, opener) = Pair();
        var pool = new PacketPool();
        var check = Prop.ForAll<(byte[] Body, byte Lane)>(input =>
        {
            var packet = pool.Rent();
            input.Body.CopyTo(packet.Append(input.Body.Length));
            var counter = sealer.Next((byte)(input.Lane % 4));
            sealer.Seal(packet, counter, Header, Now);
            var again = packet.Span.ToArray();
            var first = opener.Open(packet, counter, Header) == OpenResult.Opened && packet.Span.SequenceEqual(input.Body);
            packet.Clear();
            again.CopyTo(packet.Append(again.Length));
            var second = opener.Open(packet, counter, Header);
            packet.Return();
            return first && second == OpenResult.Replayed;
        });
        FsCheck.Check.QuickThrowOnFailure(check);
        Assert.Equal(0, pool.Rented);
    }

    [Fact]
    public void A_flipped_bit_a_cut_or_a_wrong_counter_is_unauthentic_and_leaves_no_mark()
    {
        var (sealer, opener) = Pair();
        var pool = new PacketPool();
        var random = new Random(5);
        for (var i = 0; i < 300; i++)
        {
            var packet = pool.Rent();
            random.NextBytes(packet.Append(random.Next(0, 200)));
            var counter = sealer.Next(1);
            sealer.Seal(packet, counter, Header, Now);
            var good = packet.Span.ToArray();
            byte[] header = [.. Header];
            var asked = counter;
            switch (i % 4)
            {
                case 0: packet.Span[random.Next(packet.Length)] ^= (byte)(1 << random.Next(8)); break;
                case 1: packet.TrimEnd(random.Next(1, packet.Length + 1)); break;
                case 2: header[random.Next(3)] ^= 1; break;
                default: asked = PacketCounter.Of(2, counter.Sequence); break;
            }
            Assert.Equal(OpenResult.Unauthentic, opener.Open(packet, asked, header));
            packet.Clear();
            good.CopyTo(packet.Append(good.Length));
            Assert.Equal(OpenResult.Opened, opener.Open(packet, counter, Header));
            packet.Return();
        }
    }

    [Fact]
    public void A_lane_that_is_not_in_use_is_out_of_range()
    {
        var (_, opener) = Pair(lanes: 2);
        Assert.Equal(OpenResult.OutOfRange, opener.Check(PacketCounter.Of(2, 1)));
    }

    [Fact]
    public void A_key_is_due_by_count_by_bytes_and_by_age_and_exhausted_at_twice_that()
    {
        var pool = new PacketPool();
        var packet = pool.Rent();
        void SealOne(Sealer sealer)
        {
            packet.Clear();
            packet.Append(100).Clear();
            sealer.Seal(packet, sealer.Next(0), Header, Now);
        }
        var (byCount, _) = Pair(limits: new RekeyLimits(2, 1 << 30, TimeSpan.FromHours(1)));
        SealOne(byCount);
        Assert.False(byCount.IsDue(Now));
        SealOne(byCount);
        Assert.True(byCount.IsDue(Now));
        Assert.False(byCount.IsExhausted(Now));
        SealOne(byCount);
        SealOne(byCount);
        Assert.True(byCount.IsExhausted(Now));
        var (byBytes, _) = Pair(limits: new RekeyLimits(1 << 20, 150, TimeSpan.FromHours(1)));
        SealOne(byBytes);
        Assert.False(byBytes.IsDue(Now));
        SealOne(byBytes);
        Assert.True(byBytes.IsDue(Now));
        var (byAge, _) = Pair(limits: new RekeyLimits(1 << 20, 1 << 30, TimeSpan.FromMinutes(1)));
        SealOne(byAge);
        Assert.False(byAge.IsDue(Now + TimeSpan.FromSeconds(59)));
        Assert.True(byAge.IsDue(Now + TimeSpan.FromSeconds(60)));
    }

    [Fact]
    public void Rekeying_under_reordered_traffic_loses_nothing_and_forgets_the_old_key_in_time()
    {
        var pool = new PacketPool();
        using var sending = new SealerPhases(1, new RekeyLimits(600, 1 << 30, TimeSpan.FromHours(1)));
        using var receiving = new OpenerPhases(1);
        var encoded = new byte[SealingKey.Bytes];
        var random = new Random(9);
        var now = Now;
        var flight = new List<(byte Epoch, PacketCounter Counter, PacketBuffer Packet)>();
        void Carry()
        {
            var epoch = sending.Prepare(encoded);
            Assert.True(SealingKey.TryRead(encoded, out var key));
            Assert.True(receiving.TryInstall(epoch, key!, now));
            Assert.True(sending.Confirm(epoch));
        }
        Carry();
        (byte Epoch, PacketCounter Counter, byte[] Bytes) oldest = default;
        var opened = 0;
        for (var i = 0; i < 160_000; i++)
        {
            now += TimeSpan.FromMilliseconds(10);
            if (sending.IsDue(now)) Carry();
            var packet = pool.Rent();
            packet.Append(4).Fill((byte)i);
            var counter = sending.Current!.Next(0);
            sending.Current!.Seal(packet, counter, Header, now);
            if (i == 0) oldest = (sending.Current!.Epoch, counter, packet.Span.ToArray());
            flight.Add((sending.Current!.Epoch, counter, packet));
            if (flight.Count < 20) continue;
            var (epoch, c, late) = flight[random.Next(flight.Count)];
            flight.Remove((epoch, c, late));
            Assert.Equal(OpenResult.Opened, receiving.Open(late, epoch, c, Header, now));
            receiving.Expire(now);
            opened++;
            late.Return();
        }
        Assert.Equal(160_000 - 19, opened);
        // More than 256 epochs later the epoch number has wrapped; the oldest packet must not open under its namesake.
        var old = pool.Rent();
        Assert.NotNull(oldest.Bytes);
        oldest.Bytes.CopyTo(old.Append(oldest.Bytes.Length));
        Assert.NotEqual(OpenResult.Opened, receiving.Open(old, oldest.Epoch, oldest.Counter, Header, now));
    }

    [Fact]
    public void A_receiver_refuses_a_skipped_epoch_and_a_fourth_key()
    {
        using var receiving = new OpenerPhases(1);
        Assert.True(receiving.TryInstall(0, SealingKey.Generate(), Now));
        Assert.False(receiving.TryInstall(2, SealingKey.Generate(), Now));
        Assert.False(receiving.TryInstall(0, SealingKey.Generate(), Now));
        Assert.True(receiving.TryInstall(1, SealingKey.Generate(), Now));
        Assert.True(receiving.TryInstall(2, SealingKey.Generate(), Now));
        Assert.False(receiving.TryInstall(3, SealingKey.Generate(), Now));
        Assert.Equal(OpenResult.UnknownEpoch, receiving.Check(9, PacketCounter.Of(0, 1)));
    }

    [Fact]
    public void Sealing_and_opening_allocate_nothing()
    {
        var (sealer, opener) = Pair();
        var pool = new PacketPool();
        void Round()
        {
            var packet = pool.Rent();
            packet.Append(1400);
            var counter = sealer.Next(0);
            sealer.Seal(packet, counter, Header, Now);
            Assert.True(opener.Open(packet, counter, Header) == OpenResult.Opened);
            packet.Return();
        }
        for (var i = 0; i < 100; i++) Round();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) Round();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }
}
