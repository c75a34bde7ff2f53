using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Bus;

/// <summary>
/// A program's part in the bus, on nothing but its portal: sends, publishes, and receives at queues. Messages are held until a consumer has completed them; nothing is stored on disk. Thread-safe.
/// </summary>
public sealed partial class BusMember : IAsyncDisposable
{
    private readonly IProgramPortal portal;
    private readonly BusMemberOptions options;
    private readonly ILogger logger;
    private readonly Lock gate = new();
    private readonly Sender sender;
    private readonly Receiver receiver;
    private readonly BusMetrics metrics;
    private readonly Pulse freed = new();
    private readonly Pulse readable = new();
    private readonly CancellationTokenSource stopping = new();
    private readonly Timer timer;
    private readonly List<Task> running = [];
    private readonly PeerSet peers;
    private readonly BusPublisher publisher;
    private Instant timerAt = Instant.Never;
    private bool isStopped;

    /// <summary>The bus as its callers begin, for <see cref="SharedPortal.For"/>: other protocols may be published under the same identity.</summary>
    public static CallerProtocol Protocol { get; } = new("the bus", BusFrameReader.Recognize);

    /// <param name="portal">As the identity that this member has.</param>
    /// <param name="options">Checked here.</param>
    /// <param name="logger">Told of peers that come and go, and of what is lost.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public BusMember(IProgramPortal portal, BusMemberOptions options, ILogger<BusMember> logger)
    {
        options.Validate();
        (this.portal, this.options, this.logger) = (portal, options, logger);
        var incarnation = Guid.NewGuid();
        sender = new Sender(incarnation, options.Sender)
        {
            Freed = freed.Set,
            Completed = _ => metrics!.Completed.Add(1),
            Dropped = OnDropped,
            Faulted = (queue, session, reason) => logger.Faulted(queue, session.Remote?.ToString() ?? "this member", reason),
        };
        receiver = new Receiver(incarnation) { DuplicateSeen = _ => metrics!.Suppressed.Add(1) };
        metrics = new BusMetrics(() => sender.Count, () => sender.Bytes, () => receiver.Bytes);
        timer = new Timer(_ => OnTimer());
        peers = new PeerSet(portal, options, logger, RunSenderAsync, stopping.Token);
        publisher = new BusPublisher(portal, RunReceiverAsync, peers.SetOwn, logger, stopping.Token);
    }

    /// <summary>Messages that wait to be completed.</summary>
    public int HeldCount
    {
        get
        {
            lock (gate) return sender.Count;
        }
    }

    /// <summary>The members that this one sends to now.</summary>
    public IReadOnlyList<BusPeer> Peers
    {
        get
        {
            lock (gate)
            {
                return [.. sender.Sessions.Where(static s => !s.IsLocal && s.IsReady)
                    .Select(static s => new BusPeer(s.Remote!, s.Vertex!, [.. s.Queues.Select(static q => q.Name).Order(StringComparer.Ordinal)]))];
            }
        }
    }

    /// <summary>Begins: publishes the identity, and looks for peers. Whether flor runs or not.</summary>
    public void Start()
    {
        lock (gate)
        {
            if (running.Count > 0) return;
            running.Add(Task.Run(RunLocalAsync));
            running.Add(Task.Run(publisher.RunAsync));
            running.Add(Task.Run(peers.RunAsync));
            foreach (var task in running) _ = task.ContinueWith(t => logger.Failed(t.Exception!), TaskContinuationOptions.OnlyOnFaulted);
        }
    }

    /// <summary>
    /// Gives a message to the bus. Completes when it is held: it is then sent as soon as somebody receives at the queue, and again until a consumer has completed it.
    /// </summary>
    /// <param name="destination">The queue, and who must receive there.</param>
    /// <param name="message">What to send.</param>
    /// <param name="delay">It is not sent before; it waits here.</param>
    /// <param name="cancellationToken">Ends the wait for room.</param>
    /// <exception cref="BusException">There was no room in time, or the message is too large; names the queue and the remedy.</exception>
    public async ValueTask SendAsync(BusDestination destination, BusMessage message, TimeSpan delay = default, CancellationToken cancellationToken = default)
    {
        Check(destination, message);
        if (TryHold(destination, message, delay)) return;
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, stopping.Token);
        patience.CancelAfter(options.SendTimeout);
        try
        {
            while (true)
            {
                var next = freed.Next;
                if (TryHold(destination, message, delay)) return;
                await next.WaitAsync(patience.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw NoRoom(destination);
        }
    }

    /// <summary>
    /// Sends a message to each queue of the connected group that subscribes to one of the topics. Completes when it is held for each. A queue that nobody receives now, and that is full, loses it;
    /// one that somebody receives is waited for, and holds up none of the others.
    /// </summary>
    /// <exception cref="BusException">The peers are not known in time, or a queue that somebody receives has had no room for as long as a send waits; the others have the message.</exception>
    public async ValueTask PublishAsync(IReadOnlyCollection<string> topics, BusMessage message, TimeSpan delay = default, CancellationToken cancellationToken = default)
    {
        await MeetPeersAsync(cancellationToken).ConfigureAwait(false);
        IReadOnlyList<(string Queue, bool IsPresent)> subscribers;
        lock (gate) subscribers = sender.Subscribers(topics);
        List<BusDestination>? full = null;
        foreach (var (queue, isPresent) in subscribers)
        {
            var destination = new BusDestination(queue);
            Check(destination, message);
            if (TryHold(destination, message, delay)) continue;
            if (isPresent) (full ??= []).Add(destination);
            else OnDropped(destination, message, DropReason.NoRoom);
        }
        // Those that are slow are waited for together, when all others have it.
        if (full is not null) await Task.WhenAll(full.Select(d => SendAsync(d, message, delay, cancellationToken).AsTask())).ConfigureAwait(false);
    }

    /// <summary>Receives at a queue from now on, until the returned object is disposed.</summary>
    /// <param name="queue">Its name.</param>
    /// <param name="isTemporary">It exists as long as this member only; nobody remembers it.</param>
    /// <param name="window">How many messages each sender may send before the first is completed; 1 to 1 024.</param>
    /// <param name="topics">What it subscribes to.</param>
    /// <exception cref="BusException">The name or a topic is not usable, or a limit is reached.</exception>
    public BusReceiver Receive(string queue, bool isTemporary, int window, IReadOnlyList<string> topics)
    {
        BusNames.CheckQueue(queue);
        BusNames.CheckTopics(queue, topics);
        lock (gate) return new BusReceiver(this, receiver.Add(queue, isTemporary, window, topics));
    }

    /// <summary>Keeps a message at this member, for whoever receives at the queue here; the oldest goes if there is no room.</summary>
    public void Keep(string queue, BusMessage message)
    {
        var destination = new BusDestination(queue) { IsKept = true };
        Check(destination, message);
        lock (gate)
        {
            sender.HoldNewest(destination, message, Clock.Now);
            PlanTimer();
        }
    }

    /// <summary>What is kept for a queue (<see cref="Keep"/>).</summary>
    public IReadOnlyList<BusMessage> Kept(string queue)
    {
        lock (gate) return sender.Holding(new BusDestination(queue) { IsKept = true });
    }

    /// <summary>Completes when each peer that can be discovered has told its queues, or could not be reached.</summary>
    /// <exception cref="BusException">They are not known in time.</exception>
    public async Task MeetPeersAsync(CancellationToken cancellationToken = default)
    {
        if (peers.AreMet.IsCompletedSuccessfully) return;
        try
        {
            await peers.AreMet.WaitAsync(options.SendTimeout, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException e)
        {
            throw new BusException($"The bus could not discover its peers through {portal} within {options.SendTimeout.TotalSeconds:0} s: {peers.Trouble ?? "no answer."} Start flor, or correct the portal.", e);
        }
    }

    /// <summary>Waits for held messages that somebody receives, then ends. What is still held is lost (logged).</summary>
    public async ValueTask DisposeAsync()
    {
        lock (gate)
        {
            if (isStopped) return;
            isStopped = true;
        }
        using (var patience = new CancellationTokenSource(options.StopTimeout))
        {
            while (true)
            {
                var next = freed.Next;
                lock (gate)
                {
                    if (!sender.HasDeliverable) break;
                }
                await next.WaitAsync(patience.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (patience.IsCancellationRequested) break;
            }
        }
        int left;
        lock (gate) left = sender.Count - sender.KeptCount;
        if (left > 0) logger.StoppedWithMessages(left);
        await stopping.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(running).ConfigureAwait(false);
        await timer.DisposeAsync().ConfigureAwait(false);
        metrics.Dispose();
        stopping.Dispose();
    }

    private static void Check(BusDestination destination, BusMessage message)
    {
        BusNames.CheckQueue(destination.Queue);
        if (message.Body.Length > BusLimits.MaxMessageBytes || message.Headers.Length > BusLimits.MaxHeaderBytes)
        {
            throw new BusException(
                $"A message for queue '{destination}' has {message.Body.Length} bytes and {message.Headers.Length} of headers; at most {BusLimits.MaxMessageBytes} and {BusLimits.MaxHeaderBytes} may be sent. Keep large things elsewhere, and send where they are.");
        }
    }

    private bool TryHold(BusDestination destination, BusMessage message, TimeSpan delay)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(stopping.IsCancellationRequested, this);
            if (sender.Hold(destination, message, delay, Clock.Now) != HoldResult.Held) return false;
            PlanTimer();
        }
        metrics.Held.Add(1);
        return true;
    }

    private BusException NoRoom(BusDestination destination)
    {
        int count, all;
        bool isReceived;
        lock (gate) (count, all, isReceived) = (sender.CountOf(destination), sender.Count, sender.IsReceived(destination));
        if (stopping.IsCancellationRequested) return new BusException($"The bus stops; the message for queue '{destination}' was not sent.");
        var remedy = isReceived
            ? "Its consumers are slower than what is sent: add consumers, or send less."
            : "Nobody receives there now: start the program that has the queue, check its name and that it is among the peers, and that the bounds allow the connection.";
        return new BusException($"Queue '{destination}' has no room: {count} messages wait for it ({all} in all), none was completed within {options.SendTimeout.TotalSeconds:0} s. {remedy}");
    }

    private void OnDropped(BusDestination destination, BusMessage message, DropReason reason)
    {
        metrics.Dropped.Add(1);
        logger.Dropped(message.Id, destination, reason switch
        {
            DropReason.Expired => "its time is over.",
            DropReason.NobodyReceives => $"nobody has received there for {options.Sender.HoldTime}; check the queue's name, and that its program runs.",
            DropReason.FaultedTooOften => $"its receiver could neither consume nor keep it, {BusLimits.MaxAttempts} times.",
            _ => "there is no room for more.",
        });
    }

    private void OnTimer()
    {
        lock (gate)
        {
            if (stopping.IsCancellationRequested) return;
            timerAt = Instant.Never;
            sender.Advance(Clock.Now);
            PlanTimer();
        }
    }

    // Under the lock, after whatever may make the sender's next work earlier.
    private void PlanTimer()
    {
        if (sender.WakeAt >= timerAt || stopping.IsCancellationRequested) return;
        timerAt = sender.WakeAt;
        var wait = timerAt - Clock.Now;
        timer.Change(wait > TimeSpan.Zero ? TimeSpan.FromMilliseconds(Math.Min(Math.Ceiling(wait.TotalMilliseconds), int.MaxValue)) : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }
}

/// <summary>A member that this one sends to.</summary>
/// <param name="Identity">Proved.</param>
/// <param name="Vertex">Where it runs.</param>
/// <param name="Queues">At which it receives.</param>
public sealed record BusPeer(SpiffeId Identity, SpiffeId Vertex, IReadOnlyList<string> Queues);
