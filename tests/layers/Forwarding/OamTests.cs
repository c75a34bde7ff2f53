using Florete.Portals;
using FsCheck.Fluent;

namespace Florete.Layers.Tests;

public class OamTests
{
    [Fact]
    public void A_trace_names_every_vertex_with_its_round_trip()
    {
        var layer = SimulatedLayer.Line(4);
        var hops = Ask(layer, () => layer[0].Engine.TraceAsync(layer[3].Id));
        Assert.Equal(new[] { layer[1].Id, layer[2].Id, layer[3].Id }, hops.Select(h => h.Vertex));
        Assert.Equal(new[] { ProbeOutcome.Passed, ProbeOutcome.Passed, ProbeOutcome.Reached }, hops.Select(h => h.Outcome));
        Assert.Equal(new double?[] { 1, 2, 3 }, hops.Select(h => h.RoundTrip?.TotalMilliseconds));
        layer.AssertNoLeak();
    }

    [Fact]
    public void A_trace_ends_where_no_path_goes_on()
    {
        var layer = SimulatedLayer.Line(4);
        // The third vertex knows already that the last is gone; the first does not yet.
        layer.InTurn(layer[2], () => layer[2].Engine.RemoveAdjacency(layer[2].Adjacencies[layer[3].Id]));
        var hops = Ask(layer, () => layer[0].Engine.TraceAsync(layer[3].Id));
        Assert.Equal(new[] { ProbeOutcome.Passed, ProbeOutcome.Passed, ProbeOutcome.Unreachable }, hops.Select(h => h.Outcome));
        Assert.Equal(layer[2].Id, hops[^1].Vertex);
        Assert.Equal(UnreachableCode.NoRepair, hops[^1].Code);
        layer.AssertNoLeak();
    }

    [Fact]
    public void Silent_hops_time_out_and_are_given_up_in_the_end()
    {
        var layer = SimulatedLayer.Line(3);
        layer.Flow(1, 2).IsCut = layer.Flow(2, 1).IsCut = true;
        var hops = Ask(layer, () => layer[0].Engine.TraceAsync(layer[2].Id, timeout: TimeSpan.FromMilliseconds(100)));
        Assert.Equal(6, hops.Count);
        Assert.Equal(ProbeOutcome.Passed, hops[0].Outcome);
        Assert.All(hops.Skip(1), h => Assert.Equal(ProbeOutcome.TimedOut, h.Outcome));
    }

    [Fact]
    public void A_ping_returns_its_data_and_a_ping_to_itself_works()
    {
        var layer = SimulatedLayer.Line(3);
        Assert.Equal(ProbeOutcome.Reached, Ask(layer, () => layer[0].Engine.PingAsync(layer[2].Id, dataBytes: 5000)).Outcome);
        Assert.Equal(layer[0].Id, Ask(layer, () => layer[0].Engine.PingAsync(layer[0].Id)).Vertex);
        Assert.Equal(0, layer[1].Engine.Counters.Delivered);
        layer.AssertNoLeak();
    }

    [Fact]
    public void A_ping_without_a_path_fails_at_once()
    {
        var layer = new SimulatedLayer(2);
        layer.Publish();
        var answer = Ask(layer, () => layer[0].Engine.PingAsync(layer[1].Id));
        Assert.Equal(ProbeOutcome.Unreachable, answer.Outcome);
        Assert.Equal(UnreachableCode.NoRoute, answer.Code);
    }

    [Fact]
    public void Outstanding_echo_requests_are_bounded_and_end()
    {
        var layer = SimulatedLayer.Line(2);
        layer.Flow(0, 1).IsCut = layer.Flow(1, 0).IsCut = true;
        var tasks = new List<Task<TraceHop>>();
        layer.InTurn(layer[0], () =>
        {
            for (var i = 0; i < 300; i++) tasks.Add(layer[0].Engine.PingAsync(layer[1].Id));
        });
        layer.Run(TimeSpan.FromSeconds(2));
        Assert.All(tasks, t => Assert.True(t.IsCompleted));
        Assert.Equal(44, tasks.Count(t => t.IsFaulted && t.Exception!.InnerException is PortalException { Error: PortalError.LimitReached }));
        Assert.Equal(ProbeOutcome.Unreachable, Ask(layer, () => layer[0].Engine.PingAsync(SimulatedLayer.Line(9)[8].Id)).Outcome);
    }

    [Fact]
    public void Answers_to_packets_that_cannot_go_on_are_limited_in_rate_and_reach_the_maker()
    {
        var layer = SimulatedLayer.Line(3);
        var refusals = new List<PacketRefusal>();
        layer[0].Engine.PacketRefused += refusals.Add;
        for (var i = 0; i < 500; i++) layer.Send(0, 2, flow: 4711, timeToLive: 1);
        layer.Run(TimeSpan.FromMilliseconds(10));
        Assert.Equal(500, layer[1].Engine.Counters.Dropped(DropReason.TimeToLive));
        Assert.InRange(refusals.Count, 95, 105);
        Assert.Equal(new PacketRefusal(PayloadType.Quic, 4711, layer[2].Segment, layer[1].Id, true, UnreachableCode.None), refusals[0]);
        layer.AssertNoLeak();
    }

    [Fact]
    public void Messages_read_as_they_were_written_and_random_bytes_never_throw()
    {
        var roundTrip = Prop.ForAll<byte, ulong, uint>((kind, correlator, label) =>
        {
            var message = new OamMessage((OamKind)((kind % 4) + 1), UnreachableCode.TooLarge, correlator, new Label(label & Label.Max), 0xFFFFF, PayloadType.Quic, 3);
            var bytes = new byte[OamMessage.FixedBytes + 3];
            message.Write(bytes);
            return OamMessage.TryParse(bytes, out var read) && read == message && !OamMessage.TryParse(bytes.AsSpan(..^1), out _);
        });
        FsCheck.Check.QuickThrowOnFailure(roundTrip);
        var hostile = Prop.ForAll<byte[]>(bytes => !OamMessage.TryParse(bytes, out var read) || bytes.Length >= OamMessage.FixedBytes + read.IdentityBytes);
        FsCheck.Check.QuickThrowOnFailure(hostile);
    }

    private static T Ask<T>(SimulatedLayer layer, Func<Task<T>> ask)
    {
        Task<T>? task = null;
        layer.InTurn(layer[0], () => task = ask());
        Assert.True(layer.Clock.RunUntil(() => task!.IsCompleted, TimeSpan.FromSeconds(60)));
        return task!.GetAwaiter().GetResult();
    }
}
