using Florete.Portals;
using Florete.Simulation;

namespace Florete.Links.Tests;

public class LinkTests
{
    [Fact]
    public void A_link_carries_packets_of_every_size_both_ways()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        var link = meeting.Wait(a.Connect("b"));
        link.Datagrams!.Sink = a.Sink;
        Assert.Equal(Meeting.Id("b"), link.Remote);
        var accepted = Assert.Single(b.Accepted);
        foreach (var bytes in new[] { 1, 100, 1400, 2000, 17_131, LinkSizes.MaxSduBytes })
        {
            a.Send(link, bytes, (byte)bytes);
            b.Send(accepted, bytes, (byte)bytes, TrafficClass.Interactive);
        }
        meeting.Clock.Run(TimeSpan.FromSeconds(2));
        Assert.Equal([1, 100, 1400, 2000, 17_131, LinkSizes.MaxSduBytes], b.Sink.Datagrams.Select(static d => d.Length));
        Assert.Equal([1, 100, 1400, 2000, 17_131, LinkSizes.MaxSduBytes], a.Sink.Datagrams.Select(static d => d.Length));
        Assert.Equal(LinkSizes.UnsegmentedSdu(LinkSizes.DatagramBytesIPv4), link.Datagrams.UnsegmentedDatagramBytes);
        Assert.InRange(link.Datagrams.Quality.RoundTrip!.Value.TotalMilliseconds, 2, 3);
        meeting.Clock.Run(TimeSpan.FromSeconds(30));
        Assert.False(link.Closed.IsCancellationRequested, string.Join('\n', a.Notes));
        foreach (var member in new[] { a, b })
        {
            Assert.Empty(member.Faults);
            Assert.Equal(0, member.Pool.Rented);
            Assert.Equal(member.Portal.Counters.Received, member.Portal.Counters.Settled);
        }
    }

    private static (Meeting, Member A, Member B, PortalConnection Link) Linked(int seed = 1, PathProperties? path = null, UdpLinkOptions? options = null)
    {
        var meeting = new Meeting(seed);
        if (path is not null) meeting.Network.SetAll(path);
        var b = meeting.Join("b", "10.0.0.2:7000", options, neighbours: ("a", "10.0.0.1:7000"));
        var a = meeting.Join("a", "10.0.0.1:7000", options, neighbours: ("b", "10.0.0.2:7000"));
        var link = meeting.Wait(a.Connect("b"));
        link.Datagrams!.Sink = a.Sink;
        return (meeting, a, b, link);
    }

    private static void AllSettled(params Member[] members)
    {
        foreach (var member in members)
        {
            Assert.Empty(member.Faults);
            Assert.Equal(member.Portal.Counters.Received, member.Portal.Counters.Settled + member.Portal.Counters.Pending);
        }
    }

    [Theory]
    [InlineData(0.01, 1)]
    [InlineData(0.05, 2)]
    [InlineData(0.05, 3)]
    [InlineData(0.15, 4)]
    public void Loss_reordering_and_duplication_neither_end_a_link_nor_deliver_anything_twice(double loss, int seed)
    {
        var path = new PathProperties { Delay = TimeSpan.FromMilliseconds(20), Jitter = TimeSpan.FromMilliseconds(5), Loss = loss, Duplication = 0.02 };
        var (meeting, a, b, link) = Linked(seed, path);
        for (var i = 0; i < 6000; i++)
        {
            a.Send(link, 50 + (i % 1000), (byte)i, TrafficClass.Interactive);
            meeting.Clock.Run(TimeSpan.FromMilliseconds(10));
        }
        Assert.False(link.Closed.IsCancellationRequested, string.Join('\n', a.Notes.Concat(b.Notes)));
        Assert.InRange(b.Sink.Count, 6000 * (1 - loss) * 0.95, 6000);
        Assert.InRange(link.Datagrams!.Quality.Loss, loss * 0.4, loss * 2);
        Assert.InRange(link.Datagrams.Quality.RoundTrip!.Value.TotalMilliseconds, 40, 52);
        AllSettled(a, b);
    }

    [Fact]
    public void A_slow_medium_full_of_large_packets_is_not_taken_for_dead()
    {
        var path = new PathProperties { Delay = TimeSpan.FromMilliseconds(20), BitsPerSecond = 1_000_000, QueueBytes = 100_000 };
        var (meeting, a, b, link) = Linked(5, path);
        for (var i = 0; i < 120; i++)
        {
            a.Send(link, 17_131, 1);
            meeting.Clock.Run(TimeSpan.FromMilliseconds(160));
        }
        Assert.False(link.Closed.IsCancellationRequested, string.Join('\n', a.Notes.Concat(b.Notes)));
        Assert.InRange(b.Sink.Count, 80, 120);
        AllSettled(a, b);
    }

    [Fact]
    public void Silence_in_both_directions_is_seen_within_150_ms_on_a_clean_link()
    {
        var (meeting, a, b, link) = Linked();
        meeting.Clock.Run(TimeSpan.FromSeconds(20));
        meeting.Network.Cut(a.Socket.Local, b.Socket.Local);
        meeting.Network.Cut(b.Socket.Local, a.Socket.Local);
        var began = meeting.Clock.Now;
        Assert.True(meeting.Clock.RunUntil(() => link.Closed.IsCancellationRequested && b.Accepted[0].Closed.IsCancellationRequested, TimeSpan.FromSeconds(1)));
        Assert.InRange((meeting.Clock.Now - began).TotalMilliseconds, 70, 150);
        Assert.Equal(PortalError.Unreachable, link.CloseReason!.Error);
    }

    [Fact]
    public void Silence_in_one_direction_brings_both_ends_down()
    {
        var (meeting, a, b, link) = Linked();
        meeting.Clock.Run(TimeSpan.FromSeconds(20));
        meeting.Network.Cut(a.Socket.Local, b.Socket.Local);
        Assert.True(meeting.Clock.RunUntil(() => link.Closed.IsCancellationRequested && b.Accepted[0].Closed.IsCancellationRequested, TimeSpan.FromMilliseconds(150)));
        meeting.Network.Cut(a.Socket.Local, b.Socket.Local, isCut: false);
        var again = meeting.Wait(a.Connect("b"));
        Assert.NotSame(link, again);
        Assert.Equal(2, b.Accepted.Count);
    }

    [Fact]
    public void Sends_that_all_fail_bring_the_link_down_in_50_ms()
    {
        var (meeting, a, _, link) = Linked();
        meeting.Clock.Run(TimeSpan.FromSeconds(1));
        a.Socket.HasRoute = false;
        a.Send(link, 100, 1);
        Assert.True(meeting.Clock.RunUntil(() => link.Closed.IsCancellationRequested, TimeSpan.FromMilliseconds(50)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(13)]
    [InlineData(26)]
    [InlineData(39)]
    public void A_device_that_goes_down_ends_an_idle_link_at_once_and_one_that_changes_ends_none(int phase)
    {
        var (meeting, a, b, link) = Linked();
        meeting.Clock.Run(TimeSpan.FromMilliseconds(1000 + phase));
        a.Socket.TellOfChange();
        meeting.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.False(link.Closed.IsCancellationRequested);
        Assert.False(b.Accepted[0].Closed.IsCancellationRequested);
        a.Socket.HasRoute = false;
        a.Socket.TellOfChange();
        Assert.True(meeting.Clock.RunUntil(() => link.Closed.IsCancellationRequested, TimeSpan.FromMilliseconds(30)));
    }

    [Fact]
    public void A_loop_that_did_not_run_blames_itself()
    {
        // The neighbour's turns are held back while ours jump ahead: only a pause of the whole clock is seen by both.
        var liveness = new Liveness(new Florete.Runtime.Instant(0));
        var later = new Florete.Runtime.Instant(0) + TimeSpan.FromSeconds(2);
        Assert.NotNull(liveness.Check(later));
        liveness.Forgive(TimeSpan.FromSeconds(1.95), later);
        Assert.Null(liveness.Check(later));
    }

    [Fact]
    public void Between_two_keep_alives_the_loop_sleeps()
    {
        var start = new Florete.Runtime.Instant(0) + TimeSpan.FromSeconds(10);
        var liveness = new Liveness(start);
        var pulse = new LinkPulse(liveness, new PathQuality(null), follows: false);
        var now = start + LivenessTimes.Udp.Interval;
        liveness.OnAuthenticated(now);
        Assert.True(pulse.KeepAliveAt(start, now) <= now);
        pulse.Next(0, 0, now);
        // It leaves at the end of the turn: what was sent last is still what was sent before.
        Assert.Equal(now + LivenessTimes.Udp.Interval, pulse.WakeAt(Florete.Runtime.Instant.Never, start, now));
    }

    [Fact]
    public void A_vertex_at_rest_speaks_to_all_neighbours_in_turns_that_one_of_them_begins()
    {
        using var meeting = new Meeting();
        meeting.Network.SetAll(new PathProperties { Delay = TimeSpan.FromMilliseconds(1), Jitter = TimeSpan.FromMilliseconds(0.5) });
        var b = meeting.Join("b", "10.0.0.2:7000");
        Member[] others = [meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000")), meeting.Join("c", "10.0.0.3:7000", neighbours: ("b", "10.0.0.2:7000"))];
        foreach (var other in others)
        {
            _ = meeting.Wait(other.Connect("b"));
            meeting.Clock.Run(TimeSpan.FromMilliseconds(1015));
        }
        // Beyond the search for the MTU.
        meeting.Clock.Run(TimeSpan.FromSeconds(30));
        var (turns, turnsOfC, heard) = (b.Loop.Turns, others[1].Loop.Turns, b.Portal.Counters.Received);
        meeting.Clock.Run(TimeSpan.FromSeconds(10));
        // 25 keep-alives a second in each direction of each link: 100 events, of which those of one direction of one link at least fall into turns of others.
        Assert.InRange(b.Portal.Counters.Received - heard, 480, 600);
        Assert.InRange(b.Loop.Turns - turns, 480, 780);
        // c follows b: it wakes only when it hears from it.
        Assert.InRange(others[1].Loop.Turns - turnsOfC, 240, 300);
    }

    [Fact]
    public void A_silence_that_the_neighbour_survived_is_expected_of_it_for_a_while()
    {
        var start = new Florete.Runtime.Instant(0);
        var liveness = new Liveness(start);
        var now = start + TimeSpan.FromSeconds(6);
        liveness.OnAuthenticated(start + TimeSpan.FromSeconds(4.9));
        liveness.OnAuthenticated(start + TimeSpan.FromSeconds(4.98));
        for (var at = 5.0; at < 6; at += 0.03) liveness.OnAuthenticated(start + TimeSpan.FromSeconds(at));
        liveness.OnLossMeasured(0, now);
        Assert.Equal(LivenessTimes.Udp.LeastDetection, liveness.Detection);
        liveness.OnAuthenticated(now);
        liveness.OnAuthenticated(now += TimeSpan.FromMilliseconds(110));
        Assert.Equal(330, liveness.Detection.TotalMilliseconds, 3);
        liveness.OnLossMeasured(0, now + TimeSpan.FromSeconds(30));
        Assert.InRange(liveness.Detection.TotalMilliseconds, 220, 250);
        liveness.OnLossMeasured(0, now + TimeSpan.FromSeconds(300));
        Assert.Equal(LivenessTimes.Udp.LeastDetection, liveness.Detection);
    }

    [Fact]
    public void A_neighbour_that_was_only_slow_is_given_more_time_by_the_next_link()
    {
        using var meeting = new Meeting(7);
        var (a, b) = (meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000")), meeting.Join("b", "10.0.0.2:7000"));
        var first = meeting.Wait(a.Connect("b"));
        meeting.Clock.Run(TimeSpan.FromSeconds(20));
        Stall(b);
        Assert.True(first.Closed.IsCancellationRequested);
        var second = meeting.Wait(a.Connect("b"));
        meeting.Clock.Run(TimeSpan.FromSeconds(8));
        Stall(b);
        Assert.False(second.Closed.IsCancellationRequested, string.Join('\n', a.Notes.Concat(b.Notes)));

        void Stall(Member member)
        {
            member.Loop.StalledUntil = meeting.Clock.Now + TimeSpan.FromMilliseconds(150);
            meeting.Clock.Run(TimeSpan.FromSeconds(1));
        }
    }

    [Fact]
    public void A_changed_address_is_validated_and_then_used_without_a_break()
    {
        var (meeting, a, b, link) = Linked();
        meeting.Clock.Run(TimeSpan.FromSeconds(1));
        a.Socket.MoveTo("192.168.7.7:4321");
        for (var i = 0; i < 100; i++)
        {
            a.Send(link, 500, (byte)i);
            b.Send(b.Accepted[0], 500, (byte)i);
            meeting.Clock.Run(TimeSpan.FromMilliseconds(10));
        }
        Assert.False(link.Closed.IsCancellationRequested, string.Join('\n', a.Notes.Concat(b.Notes)));
        Assert.Equal(100, b.Sink.Count);
        Assert.InRange(a.Sink.Count, 95, 100);
        var status = meeting.Wait(b.Portal.StatusAsync());
        Assert.Equal("192.168.7.7:4321", Assert.Single(status.Links).Address);
    }

    [Fact]
    public void Copies_of_packets_sent_from_elsewhere_do_not_move_the_link()
    {
        var (meeting, a, b, link) = Linked();
        var thief = Florete.Links.UdpAddress.Of(System.Net.IPEndPoint.Parse("10.6.6.6:666"));
        meeting.Network.Tap = (from, to, datagram) =>
        {
            // The copy overtakes the original: authentic, from a wrong address.
            if (from == a.Socket.Local && datagram[0] == SegmentHeader.Kind) meeting.Network.Inject(thief, to, datagram);
            return true;
        };
        meeting.Clock.Run(TimeSpan.FromSeconds(5));
        Assert.False(link.Closed.IsCancellationRequested);
        Assert.Equal("10.0.0.1:7000", Assert.Single(meeting.Wait(b.Portal.StatusAsync()).Links).Address);
    }

    [Fact]
    public void Keys_change_under_traffic_and_nothing_is_lost()
    {
        var options = new UdpLinkOptions { RekeyLimits = new Florete.Sealing.RekeyLimits(400, 1L << 38, TimeSpan.FromHours(1)) };
        var (meeting, a, b, link) = Linked(1, new PathProperties { Jitter = TimeSpan.FromMilliseconds(3) }, options);
        for (var i = 0; i < 5000; i++)
        {
            a.Send(link, 300, (byte)i);
            if (i % 2 == 0) meeting.Clock.Run(TimeSpan.FromMilliseconds(25));
        }
        meeting.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.False(link.Closed.IsCancellationRequested, string.Join('\n', a.Notes.Concat(b.Notes)));
        Assert.Equal(5000, b.Sink.Count);
        Assert.True(Assert.Single(meeting.Wait(a.Portal.StatusAsync()).Links).Epoch > 5);
    }

    [Fact]
    public void Two_that_dial_at_once_end_with_one_link()
    {
        for (var seed = 0; seed < 12; seed++)
        {
            using var meeting = new Meeting(seed);
            meeting.Network.SetAll(new PathProperties { Delay = TimeSpan.FromMilliseconds(5), Jitter = TimeSpan.FromMilliseconds(10) });
            var b = meeting.Join("b", "10.0.0.2:7000", neighbours: ("a", "10.0.0.1:7000"));
            var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
            var fromA = a.Connect("b").AsTask();
            var fromB = b.Connect("a").AsTask();
            var linkA = meeting.Wait(fromA);
            var linkB = meeting.Wait(fromB);
            meeting.Clock.Run(TimeSpan.FromSeconds(5));
            Assert.False(linkA.Closed.IsCancellationRequested, string.Join('\n', a.Notes.Concat(b.Notes)));
            Assert.False(linkB.Closed.IsCancellationRequested, string.Join('\n', a.Notes.Concat(b.Notes)));
            Assert.Single(meeting.Wait(a.Portal.StatusAsync()).Links);
            Assert.Single(meeting.Wait(b.Portal.StatusAsync()).Links);
            AllSettled(a, b);
        }
    }

    [Fact]
    public void A_neighbour_that_starts_anew_replaces_its_old_link_at_once()
    {
        var (meeting, a, b, link) = Linked();
        a.Socket.Dispose();
        a.Loop.Post(() => { });
        var restarted = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        var again = meeting.Wait(restarted.Connect("b"));
        Assert.True(b.Accepted[0].Closed.IsCancellationRequested);
        Assert.False(b.Accepted[1].Closed.IsCancellationRequested);
        Assert.False(again.Closed.IsCancellationRequested);
        Assert.NotSame(link, again);
    }

    [Fact]
    public void A_renewed_svid_renews_the_link_under_traffic()
    {
        var (meeting, a, b, link) = Linked();
        var lifetime = TimeSpan.FromSeconds(30);
        for (var i = 0; i < 300; i++)
        {
            if (i % 20 == 0)
            {
                foreach (var member in new[] { a, b }) member.Identity.Renew(meeting.Authority.Issue(member.Identity.Id, lifetime, meeting.Clock.WallClock.GetUtcNow()));
            }
            a.Send(link, 800, (byte)i);
            b.Send(b.Accepted[0], 800, (byte)i);
            meeting.Clock.Run(TimeSpan.FromSeconds(1));
        }
        Assert.False(link.Closed.IsCancellationRequested, string.Join('\n', a.Notes.Concat(b.Notes)));
        Assert.Equal((300, 300), (a.Sink.Count, b.Sink.Count));
        var status = Assert.Single(meeting.Wait(a.Portal.StatusAsync()).Links);
        Assert.True(status.NeighbourSvidNotAfter > meeting.Clock.WallClock.GetUtcNow());
        AllSettled(a, b);
    }

    [Fact]
    public void A_link_ends_when_the_svid_has_expired_and_when_the_bounds_are_narrowed()
    {
        using var meeting = new Meeting();
        var shortLived = new Florete.Identities.HeldIdentity(meeting.Authority.Issue(Meeting.Id("b"), TimeSpan.FromSeconds(30), meeting.Clock.WallClock.GetUtcNow()));
        var b = meeting.Join("b", "10.0.0.2:7000", identity: shortLived);
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        var link = meeting.Wait(a.Connect("b"));
        meeting.Clock.Run(TimeSpan.FromSeconds(200));
        Assert.Equal(PortalError.Refused, link.CloseReason!.Error);
        shortLived.Renew(meeting.Authority.Issue(Meeting.Id("b"), TimeSpan.FromHours(1), meeting.Clock.WallClock.GetUtcNow()));
        link = meeting.Wait(a.Connect("b"));
        meeting.Bounds.Allow = static (_, _) => false;
        meeting.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(PortalError.Refused, link.CloseReason!.Error);
        Assert.Contains("No rule", link.CloseReason.Message, StringComparison.Ordinal);
    }
}
