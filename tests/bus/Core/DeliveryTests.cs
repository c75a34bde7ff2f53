using System.Buffers;
using Florete.Bus.Tests.Harness;
using FsCheck;
using FsCheck.Fluent;

namespace Florete.Bus.Tests.Core;

/// <summary>What the sender holds comes to a consumer, in virtual time.</summary>
public class DeliveryTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(5);

    [Fact]
    public void What_was_sent_before_anybody_received_is_consumed_in_order()
    {
        var lab = new BusLab(1);
        var sender = lab.AddSender("shop");
        for (var i = 0; i < 100; i++) Assert.Equal(HoldResult.Held, sender.Send("orders", i));
        var receiver = lab.AddReceiver("store", "a");
        lab.Connect(sender, receiver);
        Assert.True(lab.RunUntil(() => sender.Sender.Count == 0, Long));
        Assert.Equal(Enumerable.Range(0, 100), receiver.Completed);
        Assert.Equal(0, sender.Sender.Bytes);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Whatever_breaks_each_message_is_completed_and_the_order_of_each_sender_is_kept(int instances)
    {
        for (var seed = 0; seed < 200; seed++) Assert.True(Chaos(seed, instances), $"seed {seed}");
    }

    // Connections are cut, each end notices at another time, receivers die and forget; then peace.
    private static bool Chaos(int seed, int instances)
    {
        const int Count = 150;
        var lab = new BusLab(seed);
        var senders = new[] { lab.AddSender("shop"), lab.AddSender("bank") };
        var receivers = Enumerable.Range(0, instances).Select(i => lab.AddReceiver("store", $"v{i}")).ToList();
        var begun = new List<int>();
        foreach (var receiver in receivers)
        {
            receiver.Outcome = delivery =>
            {
                begun.Add(BitConverter.ToInt32(delivery.Message.Body.Span));
                return DeliveryOutcome.Completed;
            };
        }
        var sent = 0;
        void Send()
        {
            for (var i = 0; i < senders.Length; i++) Assert.Equal(HoldResult.Held, senders[i].Send("orders", (i * 1000) + sent));
            if (++sent < Count) lab.After(lab.Random.Next(20), Send);
        }
        lab.After(0, Send);
        var isPeace = false;
        void Trouble()
        {
            foreach (var sender in senders)
            {
                foreach (var receiver in receivers)
                {
                    var current = lab.Alive.FirstOrDefault(c => c.From == sender && c.To == receiver && !c.IsSenderClosed);
                    if (current is null)
                    {
                        if (isPeace || lab.Random.Next(3) == 0) lab.Connect(sender, receiver);
                    }
                    else if (!isPeace && lab.Random.Next(4) == 0)
                    {
                        current.Cut();
                        lab.After(lab.Random.Next(300), current.CloseAtSender);
                        lab.After(lab.Random.Next(300), current.CloseAtReceiver);
                    }
                    else if (isPeace && current.IsCut)
                    {
                        current.CloseAtSender();
                        current.CloseAtReceiver();
                    }
                }
            }
            if (!isPeace && lab.Random.Next(8) == 0)
            {
                var victim = receivers[lab.Random.Next(receivers.Count)];
                foreach (var connection in lab.Alive.Where(c => c.To == victim).ToList())
                {
                    connection.CloseAtReceiver();
                    lab.After(lab.Random.Next(200), connection.CloseAtSender);
                }
                victim.Restart();
            }
            lab.After(50, Trouble);
        }
        lab.After(0, Trouble);
        lab.RunUntil(() => sent == Count, Long);
        isPeace = true;
        if (!lab.RunUntil(() => senders.All(static s => s.Sender.Count == 0), Long)) return false;
        if (lab.Alive.Any(static c => c.Near.Failure is not null || c.Far.Failure is not null)) return false;
        if (senders.Any(static s => s.Dropped.Count > 0 || s.Sender.Bytes != 0)) return false;
        // Without repeats, each sender's messages were completed in the order in which they were sent, and none is missing.
        return senders.Select((_, i) => begun.Where(n => n / 1000 == i).Distinct().SequenceEqual(Enumerable.Range(i * 1000, Count))).All(static isRight => isRight);
    }

    [Fact]
    public void A_lost_acknowledgement_does_not_make_a_duplicate()
    {
        var lab = new BusLab(3) { MaxDelay = 0 };
        var sender = lab.AddSender("shop");
        var receiver = lab.AddReceiver("store", "a");
        var first = lab.Connect(sender, receiver);
        lab.RunUntil(() => first.Near.IsReady, Long);
        sender.Send("orders", 1);
        sender.Send("orders", 2);
        // It is consumed, and nobody hears of it.
        lab.RunUntil(() => receiver.Begun.Count == 1, Long);
        first.Cut();
        lab.RunUntil(() => receiver.Completed.Count == 2, Long);
        first.CloseAtSender();
        first.CloseAtReceiver();
        Assert.Equal(2, sender.Sender.Count);
        lab.Connect(sender, receiver);
        Assert.True(lab.RunUntil(() => sender.Sender.Count == 0, Long));
        Assert.Equal([1, 2], receiver.Begun);
        Assert.Equal(2, receiver.Suppressed);
    }

    [Fact]
    public void What_is_being_consumed_when_its_connection_breaks_is_not_consumed_twice()
    {
        var lab = new BusLab(4) { MaxDelay = 0 };
        var sender = lab.AddSender("shop");
        var receiver = lab.AddReceiver("store", "a");
        receiver.MaxWork = 2000;
        var first = lab.Connect(sender, receiver);
        for (var i = 0; i < 5; i++) sender.Send("orders", i);
        lab.RunUntil(() => receiver.Begun.Count == 2, Long);
        first.CloseAtReceiver();
        first.CloseAtSender();
        lab.Connect(sender, receiver);
        Assert.True(lab.RunUntil(() => sender.Sender.Count == 0, Long));
        Assert.Equal(Enumerable.Range(0, 5), receiver.Begun);
    }

    [Fact]
    public void A_withdrawn_queue_gives_back_what_waits_and_another_instance_goes_on()
    {
        var lab = new BusLab(5);
        var sender = lab.AddSender("shop");
        var (first, second) = (lab.AddReceiver("store", "a"), lab.AddReceiver("store", "b"));
        first.MaxWork = second.MaxWork = 50;
        lab.Connect(sender, first);
        lab.RunUntil(() => sender.Sender.Sessions.Any(static s => s.IsReady), Long);
        for (var i = 0; i < 40; i++) sender.Send("orders", i);
        lab.RunUntil(() => first.Completed.Count == 5, Long);
        lab.Connect(sender, second);
        lab.RunUntil(() => sender.Sender.Sessions.All(static s => s.IsReady), Long);
        first.Receiver.Withdraw(first.Queue);
        lab.Pump();
        Assert.True(lab.RunUntil(() => sender.Sender.Count == 0, Long));
        Assert.Equal(Enumerable.Range(0, 40), first.Completed.Concat(second.Completed));
        Assert.NotEmpty(second.Completed);
    }

    [Fact]
    public void A_faulted_message_comes_again_and_is_dropped_in_the_end()
    {
        var lab = new BusLab(6);
        var sender = lab.AddSender("shop");
        var receiver = lab.AddReceiver("store", "a");
        receiver.Outcome = delivery => BitConverter.ToInt32(delivery.Message.Body.Span) == 1 ? DeliveryOutcome.Faulted : DeliveryOutcome.Completed;
        var connection = lab.Connect(sender, receiver);
        sender.Send("orders", 1);
        sender.Send("orders", 2);
        Assert.True(lab.RunUntil(() => sender.Sender.Count == 0, TimeSpan.FromHours(1)));
        Assert.Null(connection.Near.Failure);
        Assert.Equal([2], receiver.Completed);
        Assert.Equal(10, receiver.Begun.Count(static n => n == 1));
        Assert.Equal(DropReason.FaultedTooOften, Assert.Single(sender.Dropped).Reason);
    }

    [Fact]
    public void Delayed_messages_wait_at_the_sender_and_expired_ones_are_dropped()
    {
        var lab = new BusLab(7);
        var sender = lab.AddSender("shop");
        sender.Send("orders", 1, delay: TimeSpan.FromMinutes(1));
        sender.Send("orders", 2, life: TimeSpan.FromSeconds(5));
        sender.Send("orders", 3);
        lab.RunUntil(static () => false, TimeSpan.FromSeconds(10));
        Assert.Equal(DropReason.Expired, Assert.Single(sender.Dropped).Reason);
        var receiver = lab.AddReceiver("store", "a");
        lab.Connect(sender, receiver);
        lab.RunUntil(static () => false, TimeSpan.FromSeconds(40));
        Assert.Equal([3], receiver.Completed);
        lab.RunUntil(static () => false, TimeSpan.FromSeconds(20));
        Assert.Equal([3, 1], receiver.Completed);
    }

    [Fact]
    public void What_nobody_receives_is_held_within_bounds_and_given_up_after_its_time()
    {
        var lab = new BusLab(8);
        var sender = lab.AddSender("shop", new SenderOptions { MaxQueueMessages = 10, MaxMessages = 15 });
        for (var i = 0; i < 10; i++) Assert.Equal(HoldResult.Held, sender.Send("nowhere", i));
        Assert.Equal(HoldResult.Full, sender.Send("nowhere", 10));
        // The last quarter of all is for queues that are received.
        for (var i = 0; i < 2; i++) Assert.Equal(HoldResult.Held, sender.Send("elsewhere", i));
        Assert.Equal(HoldResult.Full, sender.Send("elsewhere", 2));
        Assert.True(lab.RunUntil(() => sender.Sender.Count == 0, TimeSpan.FromMinutes(11)));
        Assert.True(sender.Dropped.All(static d => d.Reason == DropReason.NobodyReceives));
        Assert.Equal((12, 0L), (sender.Dropped.Count, sender.Sender.Bytes));
        Assert.Equal(HoldResult.Held, sender.Send("nowhere", 11));
    }

    [Fact]
    public void Absent_queues_and_slow_ones_however_many_leave_room_to_others()
    {
        var lab = new BusLab(17);
        var sender = lab.AddSender("shop", new SenderOptions { MaxQueueMessages = 200, MaxMessages = 800 });
        for (var queue = 0; queue < 10; queue++)
        {
            for (var i = 0; i < 200; i++) sender.Send($"absent{queue}", i);
        }
        Assert.Equal(600, sender.Sender.Count);
        var receiver = lab.AddReceiver("store", "a");
        lab.Connect(sender, receiver);
        Assert.Equal(HoldResult.Full, sender.Send("orders", 0));
        lab.RunUntil(() => sender.Sender.Sessions[0].IsReady, Long);
        // Many more than the room that is left, a few at a time.
        for (var i = 0; i < 2000; i++)
        {
            Assert.Equal(HoldResult.Held, sender.Send("orders", i));
            if (i % 50 == 0) Assert.True(lab.RunUntil(() => sender.Sender.Count == 600, Long));
        }
        Assert.True(lab.RunUntil(() => sender.Sender.Count == 600, Long));
        // A receiver that has stopped: its queue is received still, and takes half of what is left.
        receiver.MaxWork = 1_000_000_000;
        var taken = Enumerable.Range(0, 200).Count(i => sender.Send("orders", i) == HoldResult.Held);
        Assert.InRange(taken, 99, 101);
        Assert.Equal(HoldResult.Full, sender.Send("another", 0));
    }

    [Fact]
    public void A_silent_peer_is_given_up_and_its_messages_go_elsewhere()
    {
        var lab = new BusLab(9);
        var sender = lab.AddSender("shop");
        var (dead, alive) = (lab.AddReceiver("store", "a"), lab.AddReceiver("store", "b"));
        var connection = lab.Connect(sender, dead);
        lab.RunUntil(() => connection.Near.IsReady, Long);
        connection.Cut();
        for (var i = 0; i < 20; i++) sender.Send("orders", i);
        Assert.True(lab.RunUntil(() => connection.Near.Failure is not null, TimeSpan.FromSeconds(16)));
        connection.CloseAtSender();
        lab.Connect(sender, alive);
        Assert.True(lab.RunUntil(() => sender.Sender.Count == 0, Long));
        Assert.Equal(Enumerable.Range(0, 20), alive.Completed);
    }

    [Fact]
    public void Publishing_finds_the_queues_of_those_who_are_there_and_remembers_those_who_left()
    {
        var lab = new BusLab(10);
        var sender = lab.AddSender("shop");
        var receiver = lab.AddReceiver("store", "a");
        Assert.Empty(sender.Sender.Subscribers(["topic"]));
        var connection = lab.Connect(sender, receiver);
        lab.RunUntil(() => connection.Near.IsReady, Long);
        Assert.Equal([("orders", true)], sender.Sender.Subscribers(["other", "topic"]));
        Assert.Empty(sender.Sender.Subscribers(["other"]));
        connection.CloseAtSender();
        Assert.Equal([("orders", false)], sender.Sender.Subscribers(["topic"]));
        lab.RunUntil(static () => false, TimeSpan.FromMinutes(11));
        Assert.Empty(sender.Sender.Subscribers(["topic"]));
    }

    [Fact]
    public void An_address_with_an_identity_is_served_by_that_identity_alone()
    {
        var lab = new BusLab(11);
        var sender = lab.AddSender("shop");
        var (impostor, store) = (lab.AddReceiver("impostor", "a"), lab.AddReceiver("store", "b"));
        lab.Connect(sender, impostor);
        sender.Sender.Hold(new BusDestination("orders", TestMesh.Id("service/store")), new BusMessage(Guid.NewGuid(), default, BitConverter.GetBytes(1)), TimeSpan.Zero, lab.Now);
        lab.RunUntil(static () => false, TimeSpan.FromSeconds(10));
        Assert.Equal(1, sender.Sender.Count);
        lab.Connect(sender, store);
        Assert.True(lab.RunUntil(() => sender.Sender.Count == 0, Long));
        Assert.Empty(impostor.Begun);
    }

    [Fact]
    public void Large_messages_pass_one_at_a_time_beside_small_ones()
    {
        var lab = new BusLab(12);
        var sender = lab.AddSender("shop");
        var receiver = lab.AddReceiver("store", "a");
        var connection = lab.Connect(sender, receiver);
        for (var i = 0; i < 12; i++)
        {
            var body = new byte[i % 2 == 0 ? BusLimits.MaxMessageBytes : 100];
            BitConverter.TryWriteBytes(body, i);
            Assert.Equal(HoldResult.Held, sender.Sender.Hold(new BusDestination("orders"), new BusMessage(Guid.NewGuid(), new byte[BusLimits.MaxHeaderBytes], body), TimeSpan.Zero, lab.Now));
            sender.Wake();
        }
        Assert.True(lab.RunUntil(() => sender.Sender.Count == 0, Long), connection.Near.Failure ?? connection.Far.Failure);
        Assert.Equal(Enumerable.Range(0, 12), receiver.Completed);
    }

    [Fact]
    public void Hostile_bytes_end_the_session_and_harm_nothing_else()
    {
        var check = Prop.ForAll<byte[], int>(static (noise, seed) =>
        {
            var lab = new BusLab(seed);
            var (sender, receiver) = (lab.AddSender("shop"), lab.AddReceiver("store", "a"));
            var good = lab.Connect(sender, receiver);
            lab.RunUntil(() => good.Near.IsReady, Long);
            var (near, far) = (sender.Sender.Open(null, null, false, lab.Now), receiver.Receiver.Open(sender.Id));
            var output = new ArrayBufferWriter<byte>();
            if (seed % 2 == 0) BusFrameWriter.Hello(output, Guid.NewGuid());
            var random = new Random(seed);
            for (var i = 0; i < 20; i++)
            {
                switch (random.Next(6))
                {
                    case 0: BusFrameWriter.Message(output, new MessageFrame((ushort)random.Next(3), (ulong)random.Next(1, 5), 0, 0, 0, Guid.Empty, default, noise ?? [])); break;
                    case 1: BusFrameWriter.Ack(output, new AckFrame((ushort)random.Next(3), (ulong)random.Next(5), DeliveryOutcome.Completed, "")); break;
                    case 2: BusFrameWriter.Queue(output, new QueueFrame((ushort)random.Next(3), random.Next(2) == 0, false, 5, random.Next(2) == 0 ? "orders" : "x", ["topic"])); break;
                    case 3: BusFrameWriter.Bare(output, (BusFrameType)random.Next(256)); break;
                    case 4: output.Write(noise ?? []); break;
                    default: BusFrameWriter.Bare(output, BusFrameType.Ping); break;
                }
            }
            near.Receive(new ReadOnlySequence<byte>(output.WrittenMemory), lab.Now);
            far.Receive(new ReadOnlySequence<byte>(output.WrittenMemory), lab.Now);
            sender.Sender.Close(near, lab.Now);
            receiver.Receiver.Close(far);
            for (var i = 0; i < 20; i++) sender.Send("orders", 100 + i);
            return lab.RunUntil(() => sender.Sender.Count == 0, Long)
                && receiver.Completed.Where(static n => n is >= 100 and < 120).Distinct().SequenceEqual(Enumerable.Range(100, 20));
        });
        Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void A_sender_that_ignores_the_window_is_cut_off()
    {
        var lab = new BusLab(13);
        var receiver = lab.AddReceiver("store", "a");
        var far = receiver.Receiver.Open(new BusSender(TestMesh.Id("service/shop"), TestMesh.Id("vertex/s")));
        var output = new ArrayBufferWriter<byte>();
        BusFrameWriter.Hello(output, Guid.NewGuid());
        for (var i = 1; i <= receiver.Window + 1; i++) BusFrameWriter.Message(output, new MessageFrame(1, (ulong)i, 0, 0, 0, Guid.Empty, default, default));
        far.Receive(new ReadOnlySequence<byte>(output.WrittenMemory), lab.Now);
        Assert.Contains("window", far.Failure, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_receiver_remembers_of_senders_is_bounded()
    {
        var lab = new BusLab(14);
        var receiver = lab.AddReceiver("store", "a");
        for (var i = 0; i < BusLimits.MaxRememberedSenders + 100; i++)
        {
            var far = receiver.Receiver.Open(new BusSender(TestMesh.Id("service/shop"), TestMesh.Id("vertex/s")));
            var output = new ArrayBufferWriter<byte>();
            BusFrameWriter.Hello(output, new Guid(i, 0, 0, new byte[8]));
            BusFrameWriter.Message(output, new MessageFrame(1, 1, 0, 0, 0, Guid.Empty, default, default));
            far.Receive(new ReadOnlySequence<byte>(output.WrittenMemory), lab.Now);
            receiver.Receiver.Close(far);
        }
        Assert.InRange(receiver.Receiver.MemoryCount, 1, BusLimits.MaxRememberedSenders);
        Assert.Equal(0, receiver.Receiver.Bytes);
    }
}
