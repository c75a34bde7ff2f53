using System.Net;

namespace Florete.Links.Tests;

/// <summary>Forged, replayed, altered and endless packets.</summary>
public class HostileTests
{
    [Fact]
    public void A_million_replayed_and_altered_datagrams_deliver_nothing_and_every_one_is_counted()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        b.Sink.CountsOnly = true;
        var link = meeting.Wait(a.Connect("b"));
        var captured = new List<byte[]>();
        meeting.Network.Tap = (from, _, datagram) =>
        {
            if (from == a.Socket.Local && captured.Count < 20_000) captured.Add(datagram);
            return true;
        };
        var random = new Random(11);
        var injected = 0L;
        var sent = 0;
        var memory = 0L;
        for (var round = 0; round < 1000; round++)
        {
            foreach (var bytes in new[] { 100, 1300, 17_131 })
            {
                a.Send(link, bytes, (byte)round);
                sent++;
            }
            meeting.Clock.Run(TimeSpan.FromMilliseconds(4));
            for (var i = 0; i < 1000; i++)
            {
                var copy = captured[random.Next(captured.Count)].ToArray();
                var kind = random.Next(4);
                if (kind == 1) copy[random.Next(copy.Length)] ^= (byte)(1 << random.Next(8));
                else if (kind == 2) copy[random.Next(Math.Min(24, copy.Length))] ^= (byte)(1 << random.Next(8));
                else if (kind == 3 && i % 10 == 0) copy = copy[..random.Next(copy.Length)];
                meeting.Network.Inject(a.Socket.Local, b.Socket.Local, copy);
                injected++;
            }
            meeting.Clock.Run(TimeSpan.FromMilliseconds(1));
            if (round == 100) memory = GC.GetTotalMemory(true);
        }
        meeting.Clock.Run(TimeSpan.FromSeconds(3));
        Assert.Equal(1_000_000, injected);
        Assert.False(link.Closed.IsCancellationRequested, string.Join('\n', a.Notes.Concat(b.Notes)));
        Assert.Equal(sent, b.Sink.Count);
        Assert.Equal(b.Portal.Counters.Received, b.Portal.Counters.Settled);
        Assert.True(b.Portal.Counters.Received >= injected);
        Assert.True(GC.GetTotalMemory(true) - memory < 50_000_000);
        Assert.Empty(b.Faults);
        Assert.Equal(0, b.Pool.Rented);
    }

    [Fact]
    public void Random_datagrams_begin_nothing_and_are_all_counted()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        var random = new Random(4);
        for (var i = 0; i < 20_000; i++)
        {
            var datagram = new byte[random.Next(0, 1500)];
            random.NextBytes(datagram);
            meeting.Network.Inject(UdpAddress.Of(new IPEndPoint(random.Next(1 << 20), 9)), b.Socket.Local, datagram);
            if (i % 100 == 0) meeting.Clock.Run(TimeSpan.FromMilliseconds(1));
        }
        meeting.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(20_000, b.Portal.Counters.Received);
        Assert.Equal(20_000, b.Portal.Counters.Settled);
        Assert.Empty(b.Faults);
    }

    [Fact]
    public void Half_open_handshakes_are_bounded_and_a_good_one_still_gets_through()
    {
        using var meeting = new Meeting();
        var options = new UdpLinkOptions { MaxHalfOpen = 40, RetryAbove = 10, MaxHalfOpenPerHost = 4 };
        var b = meeting.Join("b", "10.0.0.2:7000", options);
        byte[]? initial = null;
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        meeting.Network.Tap = (from, _, datagram) =>
        {
            if (from == a.Socket.Local) initial ??= datagram;
            return false;
        };
        var connecting = a.Connect("b").AsTask();
        meeting.Clock.Run(TimeSpan.FromMilliseconds(100));
        var random = new Random(8);
        for (var i = 0; i < 500; i++)
        {
            // Other connection IDs cannot be had without new keys, so most of these fail; they still cost a slot or a Retry.
            var copy = initial!.ToArray();
            meeting.Network.Inject(UdpAddress.Of(new IPEndPoint(0x0A000100 + (i % 100), 9000 + i)), b.Socket.Local, copy);
            var other = initial!.ToArray();
            random.NextBytes(other.AsSpan(6, 8));
            meeting.Network.Inject(UdpAddress.Of(new IPEndPoint(0x0A000100 + (i % 100), 9000 + i)), b.Socket.Local, other);
        }
        meeting.Network.Tap = null;
        Assert.Equal(Meeting.Id("b"), meeting.Wait(connecting, 40).Remote);
        Assert.True(meeting.Wait(b.Portal.StatusAsync()).HalfOpenHandshakes <= 40);
        Assert.Equal(b.Portal.Counters.Received, b.Portal.Counters.Settled);
    }

    [Fact]
    public void A_hello_is_read_back_and_any_bytes_are_read_or_refused()
    {
        var hello = new Hello
        {
            ClusterHash = new byte[32],
            LinkIndex = 7,
            Run = 9,
            Renews = 3,
            Observed = UdpAddress.Of(IPEndPoint.Parse("1.2.3.4:5")),
            Candidates = [UdpAddress.Of(IPEndPoint.Parse("[2001:db8::1]:6"))],
        };
        var body = new byte[ControlChannel.MaxBodyBytes];
        var bytes = hello.Write(body);
        Assert.True(Hello.TryRead(body.AsSpan(0, bytes), out var read, out _));
        Assert.Equal((7u, 9ul, 3u, hello.Observed, hello.Candidates[0]), (read.LinkIndex, read.Run, read.Renews!.Value, read.Observed, read.Candidates[0]));
        var random = new Random(2);
        for (var i = 0; i < 100_000; i++)
        {
            var copy = body.AsSpan(0, random.Next(bytes + 1)).ToArray();
            if (copy.Length > 0 && i % 3 != 0) copy[random.Next(copy.Length)] = (byte)random.Next(256);
            if (Hello.TryRead(copy, out var other, out var error)) Assert.True(other.LinkIndex != 0 && other.Candidates.Count <= Hello.MaxCandidates);
            else Assert.NotEmpty(error);
        }
    }

    [Fact]
    public void Unknown_tlvs_are_skipped_unless_critical()
    {
        var body = new byte[ControlChannel.MaxBodyBytes];
        var bytes = new Hello { ClusterHash = new byte[32], LinkIndex = 7, Run = 9 }.Write(body);
        new byte[] { 0x01, 0x00, 0, 2, 5, 5 }.CopyTo(body, bytes);
        Assert.True(Hello.TryRead(body.AsSpan(0, bytes + 6), out _, out _));
        body[bytes] = 0x81;
        Assert.False(Hello.TryRead(body.AsSpan(0, bytes + 6), out _, out _));
    }

    [Fact]
    public void Keep_alives_are_read_back()
    {
        var message = new KeepAlive(true, 40, 1, 2, 3, 4, 5);
        var bytes = new byte[KeepAlive.Bytes];
        message.Write(bytes);
        Assert.True(KeepAlive.TryRead(bytes, out var read));
        Assert.Equal(message, read);
        Assert.False(KeepAlive.TryRead(bytes.AsSpan(0, KeepAlive.Bytes - 1), out _));
    }
}
