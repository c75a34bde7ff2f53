using System.Buffers;
using System.IO.Pipelines;
using Florete.Portals;

namespace Florete.Bus;

// Sessions on their connections.
public sealed partial class BusMember
{
    private static readonly PipeOptions LocalPipe = new(pauseWriterThreshold: 256 << 10, resumeWriterThreshold: 128 << 10, minimumSegmentSize: 16 << 10, useSynchronizationContext: false);

    /// <summary>Sends over a connection that this member has opened. Returns why it ended.</summary>
    private async Task<SenderEnded> RunSenderAsync(PortalConnection connection, Action ready, CancellationToken cancellationToken)
    {
        await using (connection.ConfigureAwait(false))
        {
            SenderSession session;
            lock (gate)
            {
                session = sender.Open(connection.Remote, connection.RemoteVertex, isLocal: false, Clock.Now);
                PlanTimer();
            }
            return await RunAsync(connection.Stream!, session, ready, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Receives over a connection that another member has opened.</summary>
    private async Task RunReceiverAsync(PortalConnection connection, CancellationToken cancellationToken)
    {
        await using (connection.ConfigureAwait(false))
        {
            await RunAsync(connection.Stream!, new BusSender(connection.Remote, connection.RemoteVertex), cancellationToken).ConfigureAwait(false);
        }
    }

    // This member's own queues, by the same code and frames.
    private async Task RunLocalAsync()
    {
        var (there, back) = (new Pipe(LocalPipe), new Pipe(LocalPipe));
        SenderSession session;
        lock (gate)
        {
            session = sender.Open(null, null, isLocal: true, Clock.Now);
            PlanTimer();
        }
        var sending = RunAsync(new Duplex(back.Reader, there.Writer), session, null, stopping.Token);
        await RunAsync(new Duplex(there.Reader, back.Writer), new BusSender(null, null), stopping.Token).ConfigureAwait(false);
        await sending.ConfigureAwait(false);
    }

    private async Task<SenderEnded> RunAsync(IDuplexPipe pipe, SenderSession session, Action? ready, CancellationToken cancellationToken)
    {
        var reason = await new BusConnection(pipe, new SenderEnd(this, session, ready), gate, logger).RunAsync(cancellationToken).ConfigureAwait(false);
        lock (gate)
        {
            sender.Close(session, Clock.Now);
            PlanTimer();
        }
        return new SenderEnded(reason, session.IsReady, session.IsSelf);
    }

    private async Task RunAsync(IDuplexPipe pipe, BusSender from, CancellationToken cancellationToken)
    {
        ReceiverSession session;
        lock (gate) session = receiver.Open(from);
        await new BusConnection(pipe, new ReceiverEnd(this, session), gate, logger).RunAsync(cancellationToken).ConfigureAwait(false);
        lock (gate) receiver.Close(session);
        readable.Set();
    }

    internal BusDelivery? TryTake(ReceiverQueue queue)
    {
        lock (gate)
        {
            if (receiver.Take(queue, Clock.Now) is not { } delivery) return null;
            // Local messages come from whoever this member is.
            if (delivery.Sender.Identity is null) delivery.Sender = new BusSender(peers.Own, null);
            metrics.Delivered.Add(1);
            if (delivery.Attempt > 0) metrics.Again.Add(1);
            return delivery;
        }
    }

    internal void Finish(BusDelivery delivery, DeliveryOutcome outcome, string sentence)
    {
        bool isReadable;
        lock (gate)
        {
            receiver.Finish(delivery, outcome, sentence);
            isReadable = receiver.Bytes <= BusLimits.MaxReceivedBytes;
        }
        if (isReadable) readable.Set();
    }

    internal void Withdraw(ReceiverQueue queue)
    {
        lock (gate) receiver.Withdraw(queue);
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    private sealed class SenderEnd(BusMember member, SenderSession session, Action? ready) : IBusSession
    {
        private bool isToldReady;

        public SessionOutput Output => session.Output;

        public string? Failure => session.Failure;

        public void Receive(in ReadOnlySequence<byte> received)
        {
            session.Receive(received, Clock.Now);
            if (session.IsReady && !isToldReady)
            {
                isToldReady = true;
                ready?.Invoke();
            }
            member.PlanTimer();
        }

        public void Sent()
        {
            session.Fill(Clock.Now);
            member.PlanTimer();
        }

        public ValueTask WhenReadableAsync(CancellationToken cancellationToken) => ValueTask.CompletedTask;
    }

    private sealed class ReceiverEnd(BusMember member, ReceiverSession session) : IBusSession
    {
        public SessionOutput Output => session.Output;

        public string? Failure => session.Failure;

        public void Receive(in ReadOnlySequence<byte> received) => session.Receive(received, Clock.Now);

        public void Sent()
        {
        }

        public async ValueTask WhenReadableAsync(CancellationToken cancellationToken)
        {
            while (true)
            {
                var next = member.readable.Next;
                lock (member.gate)
                {
                    if (member.receiver.Bytes <= BusLimits.MaxReceivedBytes) return;
                }
                await next.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
        }
    }
}
