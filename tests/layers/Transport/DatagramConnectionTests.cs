using Florete.Identities;
using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;
using Florete.Sealing;
using FsCheck.Fluent;

namespace Florete.Layers.Tests.Transport;

[Collection(nameof(WholeVertices))]
public class DatagramConnectionTests
{
    private static byte[][] Some(int count, int bytes = 100) => [.. Enumerable.Range(0, count).Select(i => Bytes(bytes, i))];

    private static byte[] Bytes(int count, int seed)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    [Fact]
    public void Datagrams_of_every_size_reach_the_peer_unchanged_in_both_directions()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(3));
        var ends = lab.Open();
        var flow = ends.Near.Datagrams!;
        Assert.Equal(17_099, flow.MaxDatagramBytes);
        Assert.Equal(lab.Layer[2].Id, ends.Near.RemoteVertex);
        Assert.Equal(SpiffeId.Of("home", IdentityKind.User, "alice"), ends.Far.Remote);
        byte[][] sent = [[], .. Enumerable.Range(0, 15).Select(i => Bytes(1 << i, i)), Bytes(17_099, 7)];
        lab.Send(0, ends.Near, sent);
        lab.Send(2, ends.Far, sent);
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(sent, ends.AtFar.Datagrams);
        Assert.Equal(sent, ends.AtNear.Datagrams);
        lab.Send(0, ends.Near, Bytes(17_100, 1));
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(sent.Length, ends.AtFar.Datagrams.Count);
        Assert.Equal(1, lab.Endpoints[0].Datagrams.Counters.Unsent);
        Assert.NotNull(flow.Quality.RoundTrip);
    }

    [Fact]
    public void What_the_way_loses_is_lost_and_counted_and_nothing_else()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(3));
        var ends = lab.Open();
        var count = 0;
        var passed = lab.Watch(0, 1, _ => ++count % 3 != 0 || count >= 299);
        lab.Send(0, ends.Near, Some(300));
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(300, passed.Count);
        Assert.Equal(Some(300).Where((_, i) => (i + 1) % 3 != 0 || i + 1 >= 299), ends.AtFar.Datagrams);
        Assert.Equal(new FlowTally(201, 99), ends.Far.Datagrams!.Tally);
    }

    [Fact]
    public void A_replayed_datagram_is_dropped_whoever_replays_it()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(3));
        var ends = lab.Open();
        var seen = lab.Watch(0, 1);
        lab.Send(0, ends.Near, Some(50));
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        foreach (var payload in seen.ToArray())
        {
            lab.Forge(1, 2, payload);
            lab.Forge(0, 2, payload);
        }
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(50, ends.AtFar.Datagrams.Count);
        Assert.Equal(100, lab.Endpoints[2].Datagrams.Counters.Replayed);
    }

    [Fact]
    public void Forged_datagrams_are_dropped_and_each_is_counted_once()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(3));
        var ends = lab.Open();
        // These are caught on their way: what is forged from them is fresh.
        var seen = lab.Watch(0, 1, static _ => false);
        lab.Send(0, ends.Near, Some(100));
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        var random = new Random(3);
        var forged = 0;
        foreach (var payload in seen)
        {
            for (var i = 0; i < 20; i++, forged++)
            {
                var bad = payload.ToArray();
                bad[random.Next(bad.Length)] ^= (byte)(1 << random.Next(8));
                lab.Forge(1, 2, i % 4 == 0 ? bad[..random.Next(bad.Length)] : bad);
            }
            lab.Forge(1, 2, Bytes(random.Next(100), forged++));
        }
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Empty(ends.AtFar.Datagrams);
        var counters = lab.Endpoints[2].Datagrams.Counters;
        Assert.Equal(forged, counters.Malformed + counters.UnknownIndex + counters.UnknownEpoch + counters.OutOfRange + counters.Unauthentic);
        Assert.True(counters is { Malformed: > 0, UnknownIndex: > 0, UnknownEpoch: > 0, OutOfRange: > 0, Unauthentic: > 0 });
        // The true ones are still welcome.
        foreach (var payload in seen) lab.Forge(1, 2, payload);
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(Some(100), ends.AtFar.Datagrams);
    }

    [Fact]
    public void A_caller_without_a_rule_is_refused_by_its_own_vertex_and_by_the_targets()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(3));
        var target = lab.Publish(2, "far", static _ => { });
        var alice = lab.Hold(IdentityKind.User, "alice");
        lab.Bounds[0].Narrow(static (_, _) => false);
        var early = Assert.Throws<PortalException>(() => lab.Connect(0, alice, target.Id));
        Assert.Equal(PortalError.Refused, early.Error);
        Assert.Empty(lab.Endpoints[0].Connections);
        lab.Bounds[0].Narrow(static (_, _) => true);
        lab.Bounds[2].Narrow(static (_, _) => false);
        var late = Assert.Throws<PortalException>(() => lab.Connect(0, alice, target.Id));
        Assert.Equal(PortalError.Refused, late.Error);
        Assert.Contains("no rule lets", late.Message, StringComparison.Ordinal);
        Assert.Equal(0, lab.Endpoints[2].Datagrams.Count);
    }

    [Fact]
    public void A_rule_that_is_taken_away_ends_the_connection_at_both_ends()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(3));
        var ends = lab.Open();
        lab.Bounds[2].Narrow(static (_, _) => false);
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(PortalError.Refused, ends.Near.CloseReason!.Error);
        Assert.Equal(PortalError.Refused, ends.Far.CloseReason!.Error);
        Assert.All(lab.Endpoints, static e => Assert.Equal(0, e.Datagrams.Count));
    }

    [Fact]
    public void A_program_that_does_not_take_the_connection_says_why()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(2));
        var target = lab.Publish(1, "shy", static _ => throw new PortalException(PortalError.TargetFailed, "I am shy."));
        var refused = Assert.Throws<PortalException>(() => lab.Connect(0, lab.Hold(IdentityKind.User, "alice"), target.Id));
        Assert.Equal((PortalError.TargetFailed, "I am shy."), (refused.Error, refused.Message));
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.All(lab.Endpoints, static e => Assert.Equal(0, e.Datagrams.Count));
    }

    [Fact]
    public void A_program_for_streams_is_not_asked_about_datagrams()
    {
        using var mesh = new Mesh(2);
        var service = mesh.Hold(IdentityKind.Service, "web");
        mesh[1].Run(async () => await mesh[1].Vertex.PublishAsync(service, new RecursionTests.Echo(mesh[1].Loop)));
        mesh[0].Discover(service.Id);
        var refused = Assert.Throws<PortalException>(() => mesh[0].Run(async () => await mesh[0].Vertex.ConnectAsync(
            mesh.Hold(IdentityKind.User, "alice"), service.Id, new ConnectOptions(ConnectionMode.Datagram))));
        Assert.Equal(PortalError.TargetFailed, refused.Error);
        Assert.Contains("takes no datagram connections", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ConnectionMode.Stream)]
    [InlineData(ConnectionMode.Datagram)]
    public void A_caller_that_gives_up_leaves_nothing_behind(ConnectionMode mode)
    {
        using var mesh = new Mesh(2);
        var service = mesh.Hold(IdentityKind.Service, "slow");
        var slow = new Slow();
        mesh[1].Run(async () => await mesh[1].Vertex.PublishAsync(service, slow));
        mesh[0].Discover(service.Id);
        using var patience = new CancellationTokenSource();
        var connecting = mesh[0].Loop.RunAsync(async () => await mesh[0].Vertex.ConnectAsync(
            mesh.Hold(IdentityKind.User, "alice"), service.Id, new ConnectOptions(mode), patience.Token));
        mesh.WaitFor(() => slow.IsAsked);
        patience.Cancel();
        Assert.Throws<OperationCanceledException>(() => mesh.Wait(connecting));
        mesh.WaitFor(() => slow.HasGivenUp, 5);
        mesh.Clock.Run(TimeSpan.FromMilliseconds(100));
        for (var i = 0; i < 2; i++)
        {
            var member = mesh[i];
            Assert.Equal(0, Assert.Single(member.Run(async () => await member.Vertex.StatusAsync()).Transport.Connections).Users);
        }
    }

    [Fact]
    public void A_burst_above_the_queues_of_the_link_is_dropped_and_holds_no_memory()
    {
        const int Count = 20_000;
        using var mesh = new Mesh(2);
        var sink = new Ends.Sink();
        var service = mesh.Hold(IdentityKind.Service, "far");
        mesh[1].Publish(service, c =>
        {
            c.Datagrams!.Sink = sink;
            return Task.CompletedTask;
        });
        mesh[0].Discover(service.Id);
        var connection = mesh[0].Run(async () => await mesh[0].Vertex.ConnectAsync(
            mesh.Hold(IdentityKind.User, "alice"), service.Id, new ConnectOptions(ConnectionMode.Datagram)));
        var rented = 0;
        void Burst(int count) => mesh[0].Loop.Post(() =>
        {
            for (var i = 0; i < count; i++)
            {
                var packet = mesh[0].Pool.Rent();
                packet.Append(1000);
                connection.Datagrams!.Send(packet, TrafficClass.Bulk);
            }
            rented = mesh[0].Pool.Rented;
        });
        Burst(Count);
        mesh.Clock.Run(TimeSpan.FromSeconds(2));
        // A bulk queue holds 2 MiB.
        Assert.InRange(rented, 1500, 2100);
        Assert.InRange(sink.Datagrams.Count, 1500, 2100);
        sink.Datagrams.Clear();
        Burst(10);
        mesh.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(10, sink.Datagrams.Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_end_in_order_and_an_abort_reach_the_other_side(bool isAborted)
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(3));
        var ends = lab.Open();
        if (isAborted) ends.Far.Abort(new PortalException(PortalError.LimitReached, "enough"));
        else _ = ends.Far.DisposeAsync().AsTask();
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.True(ends.Near.Closed.IsCancellationRequested && ends.Far.Closed.IsCancellationRequested);
        Assert.Equal(isAborted ? PortalError.LimitReached : null, ends.Near.CloseReason?.Error);
        Assert.All(lab.Endpoints, static e => Assert.Equal(0, e.Datagrams.Count));
        lab.Send(0, ends.Near, Some(3));
        Assert.Equal(3, lab.Endpoints[0].Datagrams.Counters.Unsent);
    }

    [Fact]
    public void The_connection_ends_when_the_peers_vertex_is_gone_for_a_minute()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(3));
        var ends = lab.Open();
        lab.Layer.CutVertex(2);
        lab.Clock.Run(TimeSpan.FromSeconds(50));
        Assert.False(ends.Near.Closed.IsCancellationRequested);
        lab.Clock.Run(TimeSpan.FromSeconds(30));
        Assert.Equal(PortalError.Unreachable, ends.Near.CloseReason!.Error);
    }

    [Fact]
    public void Keys_are_replaced_under_traffic_without_a_loss()
    {
        var options = new TransportOptions { DatagramRekeyLimits = new RekeyLimits(200, 1 << 30, TimeSpan.FromHours(1)) };
        using var lab = new EndpointLab(SimulatedLayer.Line(3), options);
        var ends = lab.Open();
        var epochs = lab.Watch(0, 1);
        for (var i = 0; i < 300; i++)
        {
            lab.Send(0, ends.Near, Some(10, 20));
            lab.Send(2, ends.Far, Some(10, 20));
            lab.Clock.Run(TimeSpan.FromMilliseconds(1));
        }
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(3000, ends.AtFar.Datagrams.Count);
        Assert.Equal(3000, ends.AtNear.Datagrams.Count);
        Assert.True(epochs.Select(static p => p[4]).Distinct().Count() > 10);
    }

    [Fact]
    public void A_key_that_is_used_up_while_the_peer_is_silent_stops_the_sender()
    {
        var options = new TransportOptions { DatagramRekeyLimits = new RekeyLimits(50, 1 << 30, TimeSpan.FromHours(1)) };
        using var lab = new EndpointLab(SimulatedLayer.Line(2), options);
        var ends = lab.Open();
        var seen = lab.Watch(0, 1);
        lab.Send(0, ends.Near, Some(500));
        // Twice the limit left, the packets after it wait for the key, the rest is dropped.
        Assert.Equal(100, seen.Count);
        Assert.Equal(500 - 100 - 64, lab.Endpoints[0].Datagrams.Counters.Unsent);
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(Some(500)[..164], ends.AtFar.Datagrams);
    }

    [Fact]
    public void What_the_target_sends_before_its_key_is_ready_waits_in_bounds()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(2));
        var far = new Ends.Sink();
        var near = new Ends.Sink();
        var target = lab.Publish(1, "eager", c =>
        {
            c.Datagrams!.Sink = far;
            for (var i = 0; i < 100; i++)
            {
                var packet = c.Datagrams.Pool.Rent();
                packet.Append(1)[0] = (byte)i;
                c.Datagrams.Send(packet, TrafficClass.Bulk);
            }
        });
        var connection = lab.Connect(0, lab.Hold(IdentityKind.User, "alice"), target.Id);
        connection.Datagrams!.Sink = near;
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(Enumerable.Range(0, 64).Select(static i => new[] { (byte)i }), near.Datagrams);
        Assert.Equal(36, lab.Endpoints[1].Datagrams.Counters.Unsent);
    }

    [Fact]
    public void Connections_are_limited_for_a_pair_and_for_a_vertex()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(2), new TransportOptions { MaxDatagramConnections = 7, MaxDatagramConnectionsPerPair = 5 });
        var target = lab.Publish(1, "far", static _ => { });
        var (alice, bob) = (lab.Hold(IdentityKind.User, "alice"), lab.Hold(IdentityKind.User, "bob"));
        for (var i = 0; i < 5; i++) lab.Connect(0, alice, target.Id);
        Assert.Equal(PortalError.LimitReached, Assert.Throws<PortalException>(() => lab.Connect(0, alice, target.Id)).Error);
        for (var i = 0; i < 2; i++) lab.Connect(0, bob, target.Id);
        Assert.Equal(PortalError.LimitReached, Assert.Throws<PortalException>(() => lab.Connect(0, bob, target.Id)).Error);
    }

    [Fact]
    public void Nonsense_on_the_key_stream_ends_that_connection_alone()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(2));
        var ends = lab.Open();
        var transport = Assert.Single(lab.Endpoints[0].Connections);
        var key = new byte[KeyFrame.KeyBytes];
        KeyFrame.WriteKeyHead(key, 5).Fill(1);
        var (keyOfLaterEpoch, keyOfOtherIndex, shortKey) = (key.ToArray(), key.ToArray(), key[..^1]);
        KeyFrame.WriteEpoch(keyOfLaterEpoch, 3);
        KeyFrame.WriteKeyHead(keyOfOtherIndex, 6);
        shortKey[3]--;
        byte[][] nonsense =
        [
            [.. key, .. key], [.. key, .. keyOfLaterEpoch], [.. key, .. keyOfOtherIndex], shortKey, KeyFrame.Ready(9), [KeyFrame.KeyReady, 0, 0, 2, 0, 0], [0xff, 0, 0, 0], [1, 0, 0xff, 0xff],
            .. Enumerable.Range(0, 60).Select(static i => Bytes(60, i)),
        ];
        foreach (var bytes in nonsense)
        {
            lab.Layer.InTurn(lab.Layer[0], () =>
            {
                var stream = transport.Quic.OpenStream()!;
                transport.Enqueue(stream, StreamHeaders.Request(StreamKind.Datagrams));
                transport.Enqueue(stream, bytes);
                stream.FinishWriting();
            });
            lab.Clock.Run(TimeSpan.FromMilliseconds(20));
        }
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(1, lab.Endpoints[1].Datagrams.Count);
        lab.Send(0, ends.Near, Some(5));
        lab.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(QuicConnectionState.Confirmed, transport.Quic.State);
        Assert.Equal(5, ends.AtFar.Datagrams.Count);
    }

    [Fact]
    public void A_stream_gets_through_where_a_later_link_carries_less_than_the_first()
    {
        // As in a layer that mixes links of udp with links that a layer carries.
        using var lab = new EndpointLab(SimulatedLayer.Line(3));
        lab.Layer.Flow(1, 2).MaxBytes = 17_098;
        lab.Layer.Flow(2, 1).MaxBytes = 17_098;
        var target = lab.Publish(2, "echo", static c => _ = StreamConnectionTests.EchoAsync(c));
        var connection = lab.Connect(0, lab.Hold(IdentityKind.User, "alice"), target.Id, ConnectionMode.Stream);
        var sent = RecursionTests.Bytes(20_000_000);
        Assert.Equal(sent, lab.Run(0, () => RecursionTests.ExchangeAsync(connection, sent), 300));
        // Large packets were tried, and given up as their loss showed.
        Assert.InRange(lab.Layer[1].Engine.Counters.Dropped(DropReason.TooLarge), 1, 200);
    }

    [Fact]
    public void Sending_and_receiving_allocate_nothing()
    {
        using var lab = new EndpointLab(SimulatedLayer.Line(1));
        var counting = new Counting();
        var target = lab.Publish(0, "self", c => c.Datagrams!.Sink = counting);
        var connection = lab.Connect(0, lab.Hold(IdentityKind.User, "alice"), target.Id);
        long Burst()
        {
            long allocated = 0;
            lab.Layer.InTurn(lab.Layer[0], () =>
            {
                counting.Begin();
                for (var i = 0; i < 400; i++)
                {
                    var packet = connection.Datagrams!.Pool.Rent();
                    packet.Append(1200);
                    connection.Datagrams.Send(packet, TrafficClass.Bulk);
                }
            });
            Assert.Equal(400, counting.Count);
            allocated = counting.Last - counting.First;
            return allocated;
        }
        for (var i = 0; i < 5; i++) Burst();
        Assert.Equal(0, Burst());
    }

    [Fact]
    public void A_header_reads_as_it_was_written_and_nothing_makes_the_readers_throw()
    {
        var roundTrip = Prop.ForAll<(uint Index, byte Epoch, ulong Counter)>(static input =>
        {
            var packet = new byte[DatagramHeader.OverheadBytes];
            var header = new DatagramHeader(Math.Max(1, input.Index), input.Epoch, new PacketCounter(input.Counter));
            header.Write(packet);
            return DatagramHeader.TryRead(packet, out var read) && read == header;
        });
        FsCheck.Check.QuickThrowOnFailure(roundTrip);
        var keys = Prop.ForAll<(uint Index, byte Epoch)>(static input =>
        {
            var frame = new byte[KeyFrame.KeyBytes];
            using var key = SealingKey.Generate();
            key.Write(KeyFrame.WriteKeyHead(frame, Math.Max(1, input.Index)));
            KeyFrame.WriteEpoch(frame, input.Epoch);
            var isRead = KeyFrame.TryReadKey(frame.AsSpan(StreamHeaders.HeadBytes), out var index, out var epoch, out var copy);
            var encoded = new byte[SealingKey.Bytes];
            copy?.Write(encoded);
            return isRead && index == Math.Max(1, input.Index) && epoch == input.Epoch && frame.AsSpan()[^SealingKey.Bytes..].SequenceEqual(encoded)
                && StreamHeaders.Measure(frame, out var total) == HeaderState.Complete && total == frame.Length;
        });
        FsCheck.Check.QuickThrowOnFailure(keys);
        var hostile = Prop.ForAll<byte[]>(static bytes =>
        {
            DatagramHeader.TryRead(bytes, out _);
            return !KeyFrame.TryReadKey(bytes, out _, out _, out _) || bytes.Length == KeyFrame.KeyBytes - StreamHeaders.HeadBytes;
        });
        FsCheck.Check.QuickThrowOnFailure(hostile);
    }

    private sealed class Slow : IAcceptor
    {
        public ConnectionMode Modes => ConnectionMode.Both;

        public bool IsAsked { get; private set; }

        public bool HasGivenUp { get; private set; }

        public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
        {
            IsAsked = true;
            var never = new TaskCompletionSource();
            cancellationToken.Register(() =>
            {
                HasGivenUp = true;
                never.TrySetCanceled();
            });
            return new ValueTask(never.Task);
        }
    }

    private sealed class Counting : IDatagramSink
    {
        public int Count { get; private set; }

        public long First { get; private set; }

        public long Last { get; private set; }

        public void Begin()
        {
            Count = 0;
            First = GC.GetAllocatedBytesForCurrentThread();
        }

        public void OnDatagram(PacketBuffer packet)
        {
            Count++;
            packet.Return();
            Last = GC.GetAllocatedBytesForCurrentThread();
        }

        public void OnQualityChanged()
        {
        }
    }
}
