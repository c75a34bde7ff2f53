using System.Collections.Concurrent;
using System.Net.Sockets;
using Florete.Hosting;
using Florete.Identities;
using Florete.Portals;
using Florete.PortalSocket;
using Florete.Proxy.Inbounds;
using Florete.Proxy.Local;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.PortalSockets;

/// <summary>
/// One portal socket: programs of one user use the mesh as one identity. Disposing closes it and withdraws what it published; streams that are
/// open go on.
/// </summary>
internal sealed partial class PortalSocketServer : IAsyncDisposable
{
    /// <summary>Streams and waiting requests of one socket.</summary>
    private const int MaxConnections = 4096;

    private readonly IPortal portal;
    private readonly HeldIdentity identity;
    private readonly SpiffeId vertex;
    private readonly EdgeConnections connections;
    private readonly HandshakeGate gate;
    private readonly ILogger logger;
    private readonly string path;
    private readonly uint ownerId;
    private readonly Listener listener;
    private readonly CancellationTokenSource stopping = new();
    private readonly ConcurrentDictionary<Guid, Arrival> arrivals = new();
    private readonly ProgramSigner signer;
    private int count;

    /// <param name="bound">From <see cref="PrivateSocket.Bind"/>.</param>
    /// <param name="path">Where it is.</param>
    /// <param name="ownerId">The user who may open it, besides root.</param>
    /// <param name="identity">Whom its programs act as.</param>
    /// <param name="vertex">Of the node; its programs are told where they are.</param>
    /// <param name="portal">Of the node's vertex.</param>
    /// <param name="connections">Of the node.</param>
    /// <param name="gate">Bounds programs that have not said what they want.</param>
    /// <param name="signing">Of the node.</param>
    /// <param name="logger">For refusals and faults.</param>
    public PortalSocketServer(
        Socket bound, string path, uint ownerId, HeldIdentity identity, SpiffeId vertex, IPortal portal, EdgeConnections connections, HandshakeGate gate,
        SigningCounters signing, ILogger logger)
    {
        (this.path, this.ownerId, this.identity, this.vertex, this.portal) = (path, ownerId, identity, vertex, portal);
        (this.connections, this.gate, this.logger) = (connections, gate, logger);
        signer = new ProgramSigner(identity, signing);
        listener = new Listener($"portal socket of {identity.Id.Path}", bound, ServeAsync, logger);
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        await listener.DisposeAsync().ConfigureAwait(false);
        File.Delete(path);
    }

    private async Task ServeAsync(LocalSocket local)
    {
        var socket = local.Socket;
        var user = PrivateSocket.PeerUser(socket);
        if (user != ownerId && user != 0)
        {
            Stranger(path, user, ownerId);
            return;
        }
        using var frames = new FrameSocket(socket);
        try
        {
            if (Interlocked.Increment(ref count) <= MaxConnections) await ServeAsync(frames).ConfigureAwait(false);
            else await AnswerAsync(frames, PortalError.LimitReached, $"This portal socket has {MaxConnections} connections, its limit; close some.").ConfigureAwait(false);
        }
        finally
        {
            // Whatever way a program goes: its socket may fail at any moment.
            Interlocked.Decrement(ref count);
        }
    }

    private async Task ServeAsync(FrameSocket frames)
    {
        try
        {
            (PortalFrameType Type, byte[] Body)? first;
            using (gate.Enter(frames.Socket)) first = await frames.ReadAsync(stopping.Token).ConfigureAwait(false);
            if (first is not var (type, body)) return;
            if (type is (< PortalFrameType.Connect or > PortalFrameType.Discover) and not PortalFrameType.Sign)
            {
                throw new PortalException(PortalError.ProtocolViolation, $"A connection does not begin with a frame of type {(byte)type}.");
            }
            if (PortalFrameReader.VersionOf(body) != PortalSocketProtocol.Version)
            {
                throw new PortalException(
                    PortalError.ProtocolViolation,
                    $"The program speaks version {PortalFrameReader.VersionOf(body)} of the portal socket, and flor version {PortalSocketProtocol.Version}; use the newer of both.");
            }
            await (type switch
            {
                PortalFrameType.Connect => ConnectAsync(frames, body),
                PortalFrameType.Publish => PublishAsync(frames),
                PortalFrameType.Attach => AttachAsync(frames, body),
                PortalFrameType.Sign => signer.ServeAsync(frames, body, stopping.Token),
                _ => DiscoverAsync(frames, body),
            }).ConfigureAwait(false);
        }
        catch (PortalException e)
        {
            await AnswerAsync(frames, e.Error, e.Message).ConfigureAwait(false);
        }
        catch (EndOfStreamException)
        {
            // The program went away.
        }
        catch (InvalidDataException e)
        {
            await AnswerAsync(frames, PortalError.ProtocolViolation, e.Message).ConfigureAwait(false);
        }
    }

    private async Task ConnectAsync(FrameSocket frames, byte[] body)
    {
        if (!PortalFrameReader.TryReadConnect(body, out var request)) throw Malformed("CONNECT");
        var connection = await new Dialer(portal, identity, connections).ConnectToAsync(request.Target, request.Options, stopping.Token).ConfigureAwait(false);
        try
        {
            await frames.WriteAsync(PortalFrameWriter.Ok(Ends(connection)), CancellationToken.None).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            connection.Abort(new PortalException(PortalError.Closed, "The local program went away."));
            await connection.DisposeAsync().ConfigureAwait(false);
            return;
        }
        await connections.SpliceAsync(frames.Socket, connection, isInbound: true).ConfigureAwait(false);
    }

    private async Task PublishAsync(FrameSocket frames)
    {
        var publication = new Publication(this, frames);
        var published = await portal.PublishAsync(identity, publication, stopping.Token).ConfigureAwait(false);
        try
        {
            await frames.WriteAsync(PortalFrameWriter.Ok(new ConnectionEnds(identity.Id, identity.Id, vertex)), CancellationToken.None).ConfigureAwait(false);
            publication.Begin();
            await ReadDecisionsAsync(frames).ConfigureAwait(false);
        }
        finally
        {
            await published.DisposeAsync().ConfigureAwait(false);
            foreach (var (id, arrival) in arrivals)
            {
                if (arrival.Owner == publication && arrivals.TryRemove(id, out _)) arrival.Decide(new PortalException(PortalError.TargetFailed, $"The program of {identity.Id} went away."));
            }
        }
    }

    private async Task ReadDecisionsAsync(FrameSocket frames)
    {
        while (await frames.ReadAsync(stopping.Token).ConfigureAwait(false) is var (type, body))
        {
            if (!TryReadDecision(type, body, out var name, out var refusal)) throw Malformed("ACCEPT or REFUSE");
            // Unknown: it was decided, or the caller gave up.
            if (arrivals.TryGetValue(name, out var arrival)) arrival.Decide(refusal);
        }
    }

    private static bool TryReadDecision(PortalFrameType type, byte[] body, out Guid name, out PortalException? refusal)
    {
        refusal = null;
        var isRead = type == PortalFrameType.Accept
            ? PortalFrameReader.TryReadAccept(body, out var bytes)
            : PortalFrameReader.TryReadRefuse(body, out bytes, out refusal) && type == PortalFrameType.Refuse;
        name = isRead ? new Guid(bytes) : default;
        return isRead;
    }

    private static Guid? NameOf(byte[] attach) => PortalFrameReader.TryReadAttach(attach, out var bytes) ? new Guid(bytes) : null;

    private async Task AttachAsync(FrameSocket frames, byte[] body)
    {
        if (NameOf(body) is not { } name) throw Malformed("ATTACH");
        if (!arrivals.TryGetValue(name, out var arrival) || !arrival.TryAttach())
        {
            throw new PortalException(PortalError.NotFound, "No such arrival waits; its caller gave up, or it is attached already.");
        }
        await frames.WriteAsync(PortalFrameWriter.Ok(Ends(arrival.Connection)), CancellationToken.None).ConfigureAwait(false);
        // Refused: the socket is closed by the caller of this method.
        if (!await arrival.IsAccepted.ConfigureAwait(false)) return;
        await connections.SpliceAsync(frames.Socket, arrival.Connection, isInbound: false).ConfigureAwait(false);
    }

    private async Task DiscoverAsync(FrameSocket frames, byte[] body)
    {
        if (!PortalFrameReader.TryReadDiscover(body, out var query, out var watch)) throw Malformed("DISCOVER");
        await frames.WriteAsync(PortalFrameWriter.Ok(), stopping.Token).ConfigureAwait(false);
        await foreach (var change in portal.DiscoverAsync(query, false, stopping.Token).ConfigureAwait(false))
        {
            await frames.WriteAsync(PortalFrameWriter.Service(change), stopping.Token).ConfigureAwait(false);
        }
        await frames.WriteAsync(PortalFrameWriter.CaughtUp(), stopping.Token).ConfigureAwait(false);
        if (!watch) return;
        using var gone = CancellationTokenSource.CreateLinkedTokenSource(stopping.Token);
        var watching = WatchAsync(frames, query, gone);
        // The program says nothing more; when it goes, so does the watch.
        while (await frames.ReadAsync(gone.Token).ConfigureAwait(false) is not null)
        {
        }
        await gone.CancelAsync().ConfigureAwait(false);
        await watching.ConfigureAwait(false);
    }

    private async Task WatchAsync(FrameSocket frames, ServiceQuery query, CancellationTokenSource gone)
    {
        var cancellationToken = gone.Token;
        try
        {
            // What is there now comes again: nothing that changed in between is missed.
            await foreach (var change in portal.DiscoverAsync(query, true, cancellationToken).ConfigureAwait(false))
            {
                await frames.WriteAsync(PortalFrameWriter.Service(change), cancellationToken).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The program or the node goes.
        }
        finally
        {
            await gone.CancelAsync().ConfigureAwait(false);
        }
    }

    private static ConnectionEnds Ends(PortalConnection connection) => new(connection.Local, connection.Remote, connection.RemoteVertex);

    private static PortalException Malformed(string frame) => new(PortalError.ProtocolViolation, $"The {frame} frame is malformed.");

    private static async Task AnswerAsync(FrameSocket frames, PortalError error, string sentence)
    {
        try
        {
            await frames.WriteAsync(PortalFrameWriter.Error(error, sentence), CancellationToken.None).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            // It has gone already.
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Path}: user {User} tried to open the portal socket of user {Owner}; refused")]
    private partial void Stranger(string path, uint user, uint owner);

    /// <summary>One publishing program.</summary>
    private sealed class Publication(PortalSocketServer server, FrameSocket frames) : IAcceptor
    {
        private readonly TaskCompletionSource begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int waiting;

        /// <summary>OK is sent: arrivals may follow it.</summary>
        public void Begin() => begun.SetResult();

        public async ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
        {
            if (connection.Stream is null) throw new PortalException(PortalError.Refused, $"{server.identity.Id} takes streams only; connect in stream mode.");
            if (server.connections.IsFull || Interlocked.Increment(ref waiting) > PortalSocketProtocol.MaxWaitingArrivals)
            {
                if (!server.connections.IsFull) Interlocked.Decrement(ref waiting);
                throw new PortalException(PortalError.LimitReached, $"The program of {server.identity.Id} has too many callers waiting; try again later.");
            }
            var id = new Guid(System.Security.Cryptography.RandomNumberGenerator.GetBytes(PortalSocketProtocol.ArrivalBytes));
            var arrival = new Arrival(this, connection);
            server.arrivals[id] = arrival;
            try
            {
                await begun.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
                await frames.WriteAsync(PortalFrameWriter.Arrival(id.ToByteArray(), Ends(connection)), cancellationToken).ConfigureAwait(false);
                await arrival.Decided.WaitAsync(PortalSocketProtocol.AcceptDeadline, cancellationToken).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                arrival.Decide(new PortalException(PortalError.TargetFailed, $"The program of {server.identity.Id} did not take the connection in time; see whether it hangs."));
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                arrival.Decide(new PortalException(PortalError.TargetFailed, $"The program of {server.identity.Id} went away.", e));
            }
            finally
            {
                server.arrivals.TryRemove(id, out _);
                Interlocked.Decrement(ref waiting);
                // Nobody decided: the caller gave up.
                arrival.Decide(new PortalException(PortalError.Closed, "The caller gave up."));
            }
            await arrival.Decided.ConfigureAwait(false);
            arrival.Release();
        }
    }

    /// <summary>A connection that waits for its program.</summary>
    private sealed class Arrival(Publication owner, PortalConnection connection)
    {
        private readonly TaskCompletionSource decided = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource<bool> accepted = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int attached;

        public Publication Owner => owner;

        public PortalConnection Connection => connection;

        /// <summary>Fails with the refusal.</summary>
        public Task Decided => decided.Task;

        /// <summary>Completes when bytes may flow, or with false when they never will.</summary>
        public Task<bool> IsAccepted => accepted.Task;

        public bool TryAttach() => !decided.Task.IsCompleted && Interlocked.Exchange(ref attached, 1) == 0;

        /// <summary>The first decision counts. To accept without having attached is to have no stream.</summary>
        public void Decide(PortalException? refusal)
        {
            if (refusal is null && Volatile.Read(ref attached) == 0)
            {
                refusal = new PortalException(PortalError.TargetFailed, $"The program of {connection.Local} accepted without attaching; correct it.");
            }
            if (refusal is null)
            {
                decided.TrySetResult();
                return;
            }
            if (!decided.TrySetException(refusal)) return;
            // Observed here: a caller that gave up does not look.
            _ = decided.Task.Exception;
            accepted.TrySetResult(false);
        }

        /// <summary>The portal is told; the stream may begin.</summary>
        public void Release() => accepted.TrySetResult(true);
    }
}
