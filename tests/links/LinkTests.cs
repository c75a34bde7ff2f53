using Florete.Portals;

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
}
