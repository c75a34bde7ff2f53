using System.Buffers;
using Florete.Bus.Tests.Harness;
using Florete.Runtime;

namespace Florete.Bus.Tests.Core;

/// <summary>Senders and receivers in virtual time, over connections that delay, break, and are noticed to be broken at either end at another time.</summary>
internal sealed class BusLab(int seed)
{
    private readonly List<LabConnection> connections = [];

    public Random Random { get; } = new(seed);

    public VirtualClock Clock { get; } = new();

    public Instant Now => Clock.Now;

    private VirtualLoop? loop;

    public VirtualLoop Loop => loop ??= new VirtualLoop(Clock);

    /// <summary>Milliseconds that bytes are under way, at most.</summary>
    public int MaxDelay { get; set; } = 20;

    public void After(int milliseconds, Action action) => Loop.CreateTimer(action).Set(Now + TimeSpan.FromMilliseconds(milliseconds));

    public LabSender AddSender(string name, SenderOptions? options = null) => new(this, name, options ?? new SenderOptions());

    public LabReceiver AddReceiver(string name, string vertex) => new(this, name, vertex);

    public LabConnection Connect(LabSender sender, LabReceiver receiver)
    {
        var connection = new LabConnection(this, sender, receiver);
        connections.Add(connection);
        return connection;
    }

    public IEnumerable<LabConnection> Alive => connections.Where(static c => !c.IsSenderClosed || !c.IsReceiverClosed);

    /// <summary>Moves bytes and messages until nothing is left to do, or the time is over.</summary>
    public bool RunUntil(Func<bool> condition, TimeSpan limit) => Clock.RunUntil(condition, limit);

    public void Pump()
    {
        foreach (var connection in connections.ToList()) connection.Pump();
        connections.RemoveAll(static c => c.IsSenderClosed && c.IsReceiverClosed);
    }
}

/// <summary>A member that sends.</summary>
internal sealed class LabSender
{
    private readonly BusLab lab;
    private readonly LoopTimer timer;

    public LabSender(BusLab lab, string name, SenderOptions options)
    {
        this.lab = lab;
        Id = new BusSender(TestMesh.Id($"service/{name}"), TestMesh.Id("vertex/s"));
        Sender = new Sender(new Guid(lab.Random.Next(), 0, 0, new byte[8]), options)
        {
            Dropped = (_, message, reason) => Dropped.Add((message, reason)),
        };
        timer = lab.Loop.CreateTimer(Advance);
    }

    public BusSender Id { get; }

    public Sender Sender { get; }

    public List<(BusMessage Message, DropReason Reason)> Dropped { get; } = [];

    public HoldResult Send(string queue, int number, TimeSpan delay = default, TimeSpan? life = null)
    {
        var result = Sender.Hold(new BusDestination(queue), new BusMessage(Guid.NewGuid(), default, BitConverter.GetBytes(number)) { TimeToLive = life }, delay, lab.Now);
        Wake();
        return result;
    }

    /// <summary>After whatever may have given the sender something to do.</summary>
    public void Wake()
    {
        lab.Pump();
        timer.Set(Sender.WakeAt);
    }

    private void Advance()
    {
        Sender.Advance(lab.Now);
        Wake();
    }
}

/// <summary>A member that receives at one queue, one message at a time.</summary>
internal sealed class LabReceiver
{
    private readonly BusLab lab;
    private readonly string name;
    private int life;
    private bool isBusy;

    public LabReceiver(BusLab lab, string name, string vertex)
    {
        (this.lab, this.name, Vertex) = (lab, name, vertex);
        Restart();
    }

    public string Vertex { get; }

    public Receiver Receiver { get; private set; } = null!;

    public ReceiverQueue Queue { get; private set; } = null!;

    public int Window { get; set; } = 8;

    /// <summary>Milliseconds for one message, at most.</summary>
    public int MaxWork { get; set; } = 10;

    /// <summary>What becomes of a message.</summary>
    public Func<BusDelivery, DeliveryOutcome> Outcome { get; set; } = static _ => DeliveryOutcome.Completed;

    /// <summary>Numbers in the order in which consuming them began.</summary>
    public List<int> Begun { get; } = [];

    /// <summary>Numbers in the order in which they were completed.</summary>
    public List<int> Completed { get; } = [];

    public int Suppressed { get; private set; }

    public string Name => name;

    /// <summary>As kill -9 and a new start: all is forgotten. Its connections are closed by the caller.</summary>
    public void Restart()
    {
        life++;
        isBusy = false;
        Receiver = new Receiver(new Guid(lab.Random.Next(), 1, 0, new byte[8])) { DuplicateSeen = _ => Suppressed++ };
        Queue = Receiver.Add("orders", isTemporary: false, Window, ["topic"]);
        Queue.Arrived = Work;
    }

    private void Work()
    {
        // Within a turn of its own: what arrives is put in place first.
        var mine = life;
        lab.After(0, () =>
        {
            if (mine == life) Begin();
        });
    }

    private void Begin()
    {
        if (isBusy || Receiver.Take(Queue, lab.Now) is not { } delivery) return;
        isBusy = true;
        Begun.Add(BitConverter.ToInt32(delivery.Message.Body.Span));
        var mine = life;
        lab.After(lab.Random.Next(MaxWork + 1), () =>
        {
            if (mine != life) return;
            isBusy = false;
            var outcome = Outcome(delivery);
            if (outcome == DeliveryOutcome.Completed) Completed.Add(BitConverter.ToInt32(delivery.Message.Body.Span));
            Receiver.Finish(delivery, outcome, "as the test says");
            lab.Pump();
            Begin();
        });
    }
}

/// <summary>A connection from a sender to a receiver.</summary>
internal sealed class LabConnection
{
    private readonly BusLab lab;
    private readonly LabSender sender;
    private readonly LabReceiver receiver;
    private readonly SenderSession near;
    private readonly ReceiverSession far;
    private readonly Receiver at;
    private Instant thereAt, backAt;

    public LabConnection(BusLab lab, LabSender sender, LabReceiver receiver)
    {
        (this.lab, this.sender, this.receiver, at) = (lab, sender, receiver, receiver.Receiver);
        near = sender.Sender.Open(TestMesh.Id($"service/{receiver.Name}"), TestMesh.Id($"vertex/{receiver.Vertex}"), isLocal: false, lab.Now);
        far = at.Open(sender.Id);
        Pump();
        sender.Wake();
    }

    public bool IsSenderClosed { get; private set; }

    public bool IsReceiverClosed { get; private set; }

    public bool IsCut { get; private set; }

    public SenderSession Near => near;

    public ReceiverSession Far => far;

    public LabReceiver To => receiver;

    public LabSender From => sender;

    /// <summary>Nothing comes through any more; each end is told when the test says so.</summary>
    public void Cut() => IsCut = true;

    public void CloseAtSender()
    {
        if (IsSenderClosed) return;
        IsSenderClosed = IsCut = true;
        sender.Sender.Close(near, lab.Now);
        sender.Wake();
    }

    public void CloseAtReceiver()
    {
        if (IsReceiverClosed) return;
        IsReceiverClosed = IsCut = true;
        at.Close(far);
    }

    /// <summary>Takes what the sessions have to say, and brings it to the other end, in pieces and later.</summary>
    public void Pump()
    {
        Carry(near.Output, ref thereAt, bytes =>
        {
            if (!IsReceiverClosed) far.Receive(bytes, lab.Now);
        });
        Carry(far.Output, ref backAt, bytes =>
        {
            if (!IsSenderClosed) near.Receive(bytes, lab.Now);
        });
    }

    private void Carry(SessionOutput output, ref Instant last, Action<ReadOnlySequence<byte>> arrive)
    {
        while (output.WrittenCount > 0)
        {
            var bytes = output.Take().ToArray();
            if (!IsSenderClosed) near.Fill(lab.Now);
            if (IsCut) continue;
            for (var from = 0; from < bytes.Length;)
            {
                var piece = bytes.AsMemory(from, Math.Min(1 + lab.Random.Next(4000), bytes.Length - from));
                from += piece.Length;
                // In order, whatever the delays.
                last = new Instant(Math.Max(last.Nanoseconds, (lab.Now + TimeSpan.FromMilliseconds(lab.Random.Next(lab.MaxDelay + 1))).Nanoseconds));
                lab.Loop.CreateTimer(() =>
                {
                    if (IsCut) return;
                    arrive(new ReadOnlySequence<byte>(piece));
                    sender.Wake();
                }).Set(last);
            }
        }
    }
}
