using Florete.Identities;
using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Layers;

/// <content>Connections that local callers ask for.</content>
internal sealed partial class TransportEndpoint
{
    // A peer that was restarted does not know the connection any more and stays silent; no living one is silent that long.
    private static readonly TimeSpan LeastSuspicion = TimeSpan.FromSeconds(1);

    // An error is a sentence for people.
    private const int MaxPlacesNamed = 3;

    /// <summary>Connects; inside a turn. Fails with <see cref="PortalException"/>.</summary>
    public async Task<PortalConnection> ConnectAsync(
        HeldIdentity caller, SpiffeId target, ConnectOptions options, CancellationToken cancellationToken)
    {
        if (options.Mode is not (ConnectionMode.Stream or ConnectionMode.Datagram))
            throw new PortalException(PortalError.Refused, "A connection of this vertex carries either a stream or datagrams; for both, connect twice.");
        var deadline = Loop.Now + (options.Timeout ?? ConnectOptions.DefaultTimeout);
        if (Bounds.MayConnect(caller.Id, target) is { IsAllowed: false } refused)
        {
            Counters.Refused++;
            throw new PortalException(PortalError.Refused, refused.Refusal!);
        }
        if (Revocations.Refusal(caller.Current) is { } revoked)
        {
            Counters.Refused++;
            throw new PortalException(PortalError.Refused, revoked);
        }
        var candidates = instances.Order(target, Candidates(target, options.Instance), Loop.Now);
        if (candidates.Length == 0)
        {
            Counters.Failed++;
            throw NoCandidate(target, options.Instance);
        }
        var race = new InstanceRace(
            Loop,
            async (vertex, token) =>
            {
                instances.Asked(target, vertex);
                try
                {
                    var key = new TransportKey(caller.Id, target, vertex, options.Class, options.Instance is not null);
                    var connection = await ConnectToAsync(key, caller, options.Mode, deadline, token);
                    instances.Answered(target, vertex);
                    return connection;
                }
                finally
                {
                    instances.Settled(target, vertex, Loop.Now);
                }
            },
            vertex => InstanceChoice.Patience(Forwarding.QualityTo(vertex)?.MetricMicroseconds ?? 0))
        {
            OnFailed = (vertex, reason) =>
            {
                // A refusal is about this caller, and says nothing of how the instance is.
                if (reason?.Error != PortalError.Refused) instances.Failed(target, vertex, Loop.Now);
            },
        };
        try
        {
            return await race.RunAsync(candidates, cancellationToken);
        }
        catch (PortalException e)
        {
            Counters.Failed++;
            // The path was lost while the answer was awaited: that is why there is none.
            if (e.Error == PortalError.TimedOut && Loop.Now >= deadline && candidates.All(v => Forwarding.QualityTo(v) is null)) throw NoCandidate(target, options.Instance);
            throw;
        }
    }

    /// <summary>The nearest vertex that publishes the target.</summary>
    /// <exception cref="PortalException">There is none, or no way to it.</exception>
    public SpiffeId Nearest(SpiffeId target)
    {
        var candidates = Candidates(target, null);
        return candidates.Count > 0 ? candidates.MinBy(static i => i.PathMicroseconds).Vertex : throw NoCandidate(target, null);
    }

    /// <summary>Connections of the same key that are in use, whichever generation they are.</summary>
    public IEnumerable<TransportConnection> OthersInUse(TransportConnection connection) => connection.Key is { } key
        ? connections.Where(c => c != connection && c.Users > 0 && c.IsConfirmed && c.Key == key)
        : [];

    /// <summary>New streams use it, and others of its key live by it: it must not go because nobody uses it.</summary>
    public bool IsNeededByOthers(TransportConnection connection) =>
        connection.Key is { } key && shared.GetValueOrDefault(key) == connection && OthersInUse(connection).Any();

    /// <summary>A successor for new streams, which vouches for this connection and all others of its key that are in use.</summary>
    public void Renew(TransportConnection elder)
    {
        if (elder.Key is not { } key || (elder.Users == 0 && !IsNeededByOthers(elder))) return;
        if (shared.TryGetValue(key, out var current) && current != elder) return;
        shared.Remove(key);
        Share(key, elder.Held);
    }

    private List<Instance> Candidates(SpiffeId target, SpiffeId? instance)
    {
        var vertices = published.ContainsKey(target) ? directory.VerticesOf(target).Append(Forwarding.Self) : directory.VerticesOf(target);
        var candidates = new List<Instance>();
        foreach (var vertex in vertices.Distinct())
        {
            if ((instance is not null && vertex != instance) || !Bounds.MayHost(vertex, target).IsAllowed) continue;
            if (Forwarding.QualityTo(vertex) is { } path) candidates.Add(new Instance(vertex, path.MetricMicroseconds, 0));
        }
        // Load is what we have there ourselves: it needs no report, and is never out of date.
        for (var i = 0; candidates.Count > 1 && i < candidates.Count; i++)
        {
            var vertex = candidates[i].Vertex;
            candidates[i] = candidates[i] with { Connections = connections.Where(c => c.Key is { } key && key.Instance == vertex && key.Target == target).Sum(static c => c.Users) };
        }
        return candidates;
    }

    private PortalException NoCandidate(SpiffeId target, SpiffeId? instance)
    {
        var at = directory.AnnouncedAt(target).Where(v => instance is null || v == instance).Order().ToArray();
        if (at.Length == 0)
        {
            if (Revocations.Find(target) is { } revoked) return new PortalException(PortalError.Refused, $"{revoked.Describe(target.ToString())}, and nothing publishes it under a newer SVID.");
            var where = instance is null ? "" : $" at {instance}";
            return new PortalException(PortalError.NotFound, $"Nothing publishes {target}{where}; see 'flor discover' for what is published.");
        }
        var places = string.Join(", ", at.Take(MaxPlacesNamed)) + (at.Length > MaxPlacesNamed ? $" and {at.Length - MaxPlacesNamed} more" : "");
        return new PortalException(PortalError.Unreachable, $"{target} is published at {places}, but no path leads there now; see 'flor status' for the links.");
    }

    private async Task<PortalConnection> ConnectToAsync(
        TransportKey key, HeldIdentity caller, ConnectionMode mode, Instant deadline, CancellationToken cancellationToken)
    {
        while (true)
        {
            var transport = shared.GetValueOrDefault(key);
            var isFresh = transport is null;
            if (transport is { IsOutdated: true })
            {
                Renew(transport);
                transport = shared.GetValueOrDefault(key);
            }
            transport ??= Share(key, caller);
            await Promise<TransportConnection>(key, deadline, transport.WhenReady, cancellationToken);
            var asked = Loop.Now;
            // Silence while we ask ends the QUIC connection, and with it the question; a peer that is only busy is waited for.
            var silence = Loop.CreateTimer(() =>
            {
                if (transport.LastHeard < asked) transport.Close(PortalError.Unreachable, $"{key.Instance} has been silent.");
            });
            if (!isFresh) silence.Set(asked + Suspicion(transport));
            try
            {
                var stream = await Promise<QuicStream>(key, deadline, transport.OpenStream, cancellationToken);
                return await AskAsync(transport, stream, mode, deadline, cancellationToken);
            }
            catch (PortalException e) when (!isFresh && !transport.IsConfirmed && Loop.Now < deadline && (e.Error is PortalError.Unreachable or PortalError.Closed))
            {
                // The QUIC connection is over: with another one. An answer of the target's program, of whatever kind, is an answer.
            }
            finally
            {
                silence.Cancel();
            }
        }
    }

    private async Task<PortalConnection> AskAsync(
        TransportConnection transport, QuicStream stream, ConnectionMode mode, Instant deadline, CancellationToken cancellationToken)
    {
        PortalConnection? asked = null;
        try
        {
            return await Promise<PortalConnection>(
                transport.Key!, deadline,
                p => asked = mode == ConnectionMode.Datagram ? DatagramConnection.Call(transport, stream, p) : StreamConnection.Call(transport, stream, p),
                cancellationToken);
        }
        catch
        {
            // Late or given up: the target shall not go on with a connection that nobody has.
            asked?.Abort(new PortalException(PortalError.Closed, "The caller has given up."));
            throw;
        }
    }

    private static TimeSpan Suspicion(TransportConnection transport) => LeastSuspicion + (4 * transport.SmoothedRoundTrip);

    private TransportConnection Share(TransportKey key, HeldIdentity caller)
    {
        if (connections.Count >= Options.MaxConnections)
            throw new PortalException(PortalError.LimitReached, $"This vertex has {connections.Count} connections already; it allows {Options.MaxConnections}.");
        var connection = TransportConnection.Call(this, key, caller);
        shared[key] = connection;
        Add(connection);
        return connection;
    }

    private Task<T> Promise<T>(TransportKey key, Instant deadline, Action<LoopPromise<T>> ask, CancellationToken cancellationToken)
    {
        var promise = new LoopPromise<T>(Loop).Within(
            deadline, () => new PortalException(PortalError.TimedOut, $"{key.Target} at {key.Instance} did not answer in time."), cancellationToken);
        ask(promise);
        return promise.Task;
    }
}
