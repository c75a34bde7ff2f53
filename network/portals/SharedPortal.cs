using Florete.Identities;

namespace Florete.Portals;

/// <summary>
/// One portal for several protocols under its one identity: <see cref="For"/> gives each its own. The identity is published as long as one of them
/// is; arriving connections are told apart by the first bytes that the caller sends (<see cref="FirstBytesSorter"/>). Streams alone, and no protocol where
/// the target speaks first. Thread-safe.
/// </summary>
/// <param name="portal">Published through this object only.</param>
/// <param name="limits">For callers whose protocol is not known yet; null: the usual ones.</param>
// CA1001: a semaphore whose wait handle nobody asks for holds nothing.
#pragma warning disable CA1001
public sealed class SharedPortal(IProgramPortal portal, SortingLimits? limits = null)
#pragma warning restore CA1001
{
    // Parts of a program that starts publish one after another; callers of a part that is about to come wait so long.
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim publishing = new(1);
    private readonly Lock gate = new();
    private readonly Dictionary<CallerProtocol, ProtocolPortal> portals = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<CallerProtocol, Taker> takers = new(ReferenceEqualityComparer.Instance);
    private volatile CallerProtocol[] protocols = [];
    private FirstBytesSorter? sorter;
    private Round? current;

    /// <summary>
    /// The portal as one protocol has it, the same object each time: what it publishes gets the connections of that protocol. Connecting, discovering and
    /// signing are those of the portal that is shared. Where the first bytes of two protocols are alike, the one that was asked for first gets the connection.
    /// </summary>
    public IProgramPortal For(CallerProtocol protocol)
    {
        lock (gate)
        {
            if (portals.TryGetValue(protocol, out var known)) return known;
            protocols = [.. protocols, protocol];
            return portals[protocol] = new ProtocolPortal(this, protocol);
        }
    }

    public override string ToString() => portal.ToString() ?? "portal";

    private async Task<IPortalPublication> PublishAsync(CallerProtocol protocol, IAcceptor acceptor, CancellationToken cancellationToken)
    {
        await publishing.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            Taker taker;
            lock (gate)
            {
                if (takers.ContainsKey(protocol)) throw new PortalException(PortalError.Refused, $"{protocol} is published through {portal} already; withdraw it first.");
                var joined = current is { IsOver: false } ? current : null;
                // It is there before its first caller.
                takers[protocol] = taker = new Taker(this, protocol, acceptor, joined ?? new Round());
                portals[protocol].Begun.TrySetResult();
                if (joined is not null) return taker;
            }
            try
            {
                sorter ??= new FirstBytesSorter(() => protocols, TakeAsync, limits);
                taker.Round.Inner = await portal.PublishAsync(sorter, cancellationToken).ConfigureAwait(false);
            }
            catch
            {
                lock (gate) takers.Remove(protocol);
                throw;
            }
            lock (gate) current = taker.Round;
            _ = WatchAsync(taker.Round);
            return taker;
        }
        finally
        {
            publishing.Release();
        }
    }

    private async ValueTask TakeAsync(PortalConnection connection, CallerProtocol? protocol, CancellationToken cancellationToken)
    {
        if (protocol is not null)
        {
            if (Find(protocol, out var begun) is null) await Task.WhenAny(begun, Task.Delay(StartPatience, cancellationToken)).ConfigureAwait(false);
            if (Find(protocol, out _) is { } taker)
            {
                await taker.Acceptor.AcceptAsync(connection, cancellationToken).ConfigureAwait(false);
                return;
            }
            cancellationToken.ThrowIfCancellationRequested();
        }
        var known = string.Join(" and ", protocols.Select(static p => p.Name));
        throw protocol is null
            ? new PortalException(PortalError.ProtocolViolation, $"The connection begins like none of the protocols of {connection.Local}: {known}.")
            : new PortalException(PortalError.TargetFailed, $"{connection.Local} does not speak {protocol} now; start the part of its program that does.");
    }

    private Taker? Find(CallerProtocol protocol, out Task begun)
    {
        lock (gate)
        {
            begun = portals[protocol].Begun.Task;
            return takers.GetValueOrDefault(protocol);
        }
    }

    // The publication that all share has ended by itself: each is told, and publishes again.
    private async Task WatchAsync(Round round)
    {
        var reason = await round.Inner!.Ended.ConfigureAwait(false);
        List<Taker> ended = [];
        lock (gate)
        {
            if (round.IsOver) return;
            round.IsOver = true;
            foreach (var taker in takers.Values.Where(t => t.Round == round).ToList())
            {
                takers.Remove(taker.Protocol);
                portals[taker.Protocol].Begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                ended.Add(taker);
            }
        }
        await round.Inner.DisposeAsync().ConfigureAwait(false);
        foreach (var taker in ended) taker.End(reason);
    }

    private async ValueTask WithdrawAsync(Taker taker)
    {
        await publishing.WaitAsync().ConfigureAwait(false);
        try
        {
            var isLast = false;
            lock (gate)
            {
                if (takers.GetValueOrDefault(taker.Protocol) == taker)
                {
                    takers.Remove(taker.Protocol);
                    isLast = !taker.Round.IsOver && takers.Values.All(t => t.Round != taker.Round);
                    if (isLast) taker.Round.IsOver = true;
                }
            }
            if (isLast) await taker.Round.Inner!.DisposeAsync().ConfigureAwait(false);
            taker.End(null);
        }
        finally
        {
            publishing.Release();
        }
    }

    /// <summary>One publication of the identity, from its first taker to its last.</summary>
    private sealed class Round
    {
        public IPortalPublication? Inner { get; set; }

        public bool IsOver { get; set; }
    }

    private sealed class Taker(SharedPortal shared, CallerProtocol protocol, IAcceptor acceptor, Round round) : IPortalPublication
    {
        private readonly TaskCompletionSource<PortalException?> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public CallerProtocol Protocol => protocol;

        public IAcceptor Acceptor => acceptor;

        public Round Round => round;

        public SpiffeId Identity => round.Inner!.Identity;

        public SpiffeId? Vertex => round.Inner!.Vertex;

        public Task<PortalException?> Ended => ended.Task;

        public void End(PortalException? reason) => ended.TrySetResult(reason);

        public ValueTask DisposeAsync() => shared.WithdrawAsync(this);
    }

    private sealed class ProtocolPortal(SharedPortal shared, CallerProtocol protocol) : IProgramPortal
    {
        /// <summary>It is published, or was withdrawn since; not yet so at the start, nor when the publication has ended by itself.</summary>
        public TaskCompletionSource Begun { get; set; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<PortalConnection> ConnectAsync(string target, ConnectOptions? options, CancellationToken cancellationToken) =>
            shared.Inner.ConnectAsync(target, options, cancellationToken);

        public Task<IPortalPublication> PublishAsync(IAcceptor acceptor, CancellationToken cancellationToken) =>
            shared.PublishAsync(protocol, acceptor, cancellationToken);

        public IAsyncEnumerable<ServiceChange> DiscoverAsync(ServiceQuery query, bool watch, CancellationToken cancellationToken) =>
            shared.Inner.DiscoverAsync(query, watch, cancellationToken);

        public Task<PortalSignature> SignAsync(string purpose, ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
            shared.Inner.SignAsync(purpose, content, cancellationToken);

        public override string ToString() => $"{shared} ({protocol})";
    }

    private IProgramPortal Inner => portal;
}
