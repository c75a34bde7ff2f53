using Florete.Identities;
using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Layers;

/// <content>How a connection comes to be, both identities proved and allowed, and how it ends.</content>
internal sealed partial class TransportConnection : IQuicHandler
{
    private readonly List<LoopPromise<TransportConnection>> waiters = [];
    private PeerVerification? proof;
    private string? peerRefusal;
    private PortalException? failure;

    /// <summary>The connection IDs under which packets find it.</summary>
    public List<ConnectionId> Ids { get; } = [];

    /// <summary>Begins a connection of a local caller.</summary>
    public static TransportConnection Call(TransportEndpoint endpoint, TransportKey key, HeldIdentity caller)
    {
        var connection = new TransportConnection(endpoint, key.Instance, key.Class) { Key = key, Local = caller.Id, Remote = key.Target, held = caller };
        connection.svid = caller.Current;
        connection.Quic = QuicConnection.Connect(
            endpoint.QuicOptions, endpoint.Credentials.For(caller), MeshName.ToSni(key.Target), connection.VerifyTarget, connection,
            endpoint.Loop.Now, endpoint.Secret);
        connection.WriteAtEndOfTurn();
        return connection;
    }

    /// <summary>Answers a first packet; null if it does not begin a connection.</summary>
    public static TransportConnection? Answer(TransportEndpoint endpoint, SpiffeId callerVertex, TrafficClass trafficClass, ReadOnlySpan<byte> initial)
    {
        var connection = new TransportConnection(endpoint, callerVertex, trafficClass);
        var quic = QuicConnection.Accept(
            endpoint.QuicOptions, connection.SelectTarget, connection.VerifyCaller, connection, initial, endpoint.Loop.Now, endpoint.Secret);
        if (quic is null) return null;
        connection.Quic = quic;
        return connection;
    }

    /// <summary>Completes when both sides are proved, or fails with the reason why not.</summary>
    public void WhenReady(LoopPromise<TransportConnection> waiter)
    {
        if (failure is not null) waiter.Fail(failure);
        else if (IsConfirmed) waiter.Set(this);
        else waiters.Add(waiter);
    }

    void IQuicHandler.OnConnectionIdAdded(QuicConnection connection, ConnectionId id) => Endpoint.AddId(id, this);

    void IQuicHandler.OnConnectionIdRetired(QuicConnection connection, ConnectionId id) => Endpoint.RemoveId(id, this);

    void IQuicHandler.OnConfirmed(QuicConnection connection)
    {
        Endpoint.OnHandshakeOver(this);
        LastHeard = Endpoint.Loop.Now;
        if (Allowed() is { IsAllowed: false } refused)
        {
            Endpoint.Counters.Refused++;
            Endpoint.Log.Refused(Local, Remote, RemoteVertex, refused.Refusal!);
            Close(PortalError.Refused, refused.Refusal!);
            return;
        }
        StartLife();
        unusedTimer.Set(Endpoint.Loop.Now + Endpoint.Options.UnusedTimeout);
        foreach (var waiter in waiters) waiter.Set(this);
        waiters.Clear();
        if (IsCaller) OpenControlStream();
    }

    void IQuicHandler.OnClosed(QuicConnection connection, QuicClose close)
    {
        Endpoint.OnHandshakeOver(this);
        failure = Explain(close);
        if (close.Exception is not null) Endpoint.Log.HandlerFailed(close.Exception, Local?.ToString() ?? "?", Remote?.ToString() ?? "?");
        var reason = close.IsApplication && close.Code == 0 ? null : failure;
        foreach (var user in users.ToArray()) user.OnClosed(reason ?? new PortalException(PortalError.Closed, "The connection was closed."));
        foreach (var waiter in waiters) waiter.Fail(failure);
        waiters.Clear();
        FailWaitingForStream(failure);
        Endpoint.OnClosing(this);
        WriteAtEndOfTurn();
    }

    /// <summary>What proved the other side; null while nothing has.</summary>
    public PeerVerification? Proof => proof?.Id is null ? null : proof;

    /// <summary>Which of the SVIDs of this connection, or the vertex at the other end, is revoked, in a sentence; null: none is.</summary>
    public string? Revoked() =>
        (proof is null ? null : Endpoint.Revocations.Refusal(proof)) ?? Endpoint.Revocations.Refusal(svid) ?? Endpoint.RevokedVertex(RemoteVertex);

    /// <summary>May this connection be, by the bounds and revocations of now?</summary>
    public Verdict Allowed()
    {
        if (Revoked() is { } revoked) return Verdict.Refused(revoked);
        var hosts = Endpoint.Bounds.MayHost(RemoteVertex, Remote);
        if (!hosts.IsAllowed) return hosts;
        if (proof?.StillAllowed(Endpoint.Bounds) is { IsAllowed: false } issued) return issued;
        return IsCaller ? Endpoint.Bounds.MayConnect(Local, Remote) : Endpoint.Bounds.MayConnect(Remote, Local);
    }

    private QuicCredentials? SelectTarget(string sni)
    {
        if (!MeshName.TryParse(sni, null, out var target, out _) || Endpoint.FindPublished(target) is not { } publication) return null;
        // What it could prove is worth nothing; the caller finds it nowhere else either.
        if (Endpoint.Revocations.Refusal(publication.Identity.Current) is not null) return null;
        Local = target;
        held = publication.Identity;
        svid = held.Current;
        return Endpoint.Credentials.For(held);
    }

    private string? VerifyTarget(IReadOnlyList<byte[]> chain)
    {
        if (Verify(chain) is { } refusal) return refusal;
        return proof!.Id == Remote ? null : peerRefusal = $"{RemoteVertex} proved to be {proof.Id} where {Remote} was expected.";
    }

    private string? VerifyCaller(IReadOnlyList<byte[]> chain)
    {
        if (Verify(chain) is { } refusal) return refusal;
        Remote = proof!.Id!;
        return null;
    }

    private string? Verify(IReadOnlyList<byte[]> chain)
    {
        proof = Endpoint.Verifier.Verify(chain, Endpoint.Loop.WallClock.GetUtcNow());
        if (proof.Refusal is null) return null;
        Endpoint.Counters.Unproved++;
        Endpoint.Log.Unproved(RemoteVertex, proof.Refusal);
        return peerRefusal = proof.Refusal;
    }

    private PortalException Explain(QuicClose close)
    {
        if (peerRefusal is not null) return new PortalException(PortalError.Refused, $"The peer's proof of identity was refused: {peerRefusal}");
        if (close.IsApplication && close.IsRemote)
        {
            return close.Code == 0
                ? new PortalException(PortalError.Closed, "The peer closed the connection.")
                : new PortalException(StreamHeaders.ErrorOf(close.Code), StreamHeaders.CleanText(System.Text.Encoding.UTF8.GetBytes(close.Reason)));
        }
        if (close.IsApplication)
            return new PortalException(close.Code == 0 ? PortalError.Closed : StreamHeaders.ErrorOf(close.Code), close.Reason);
        // RFC 9001 §4.8: 0x100 + alert; 112 is unrecognized_name (RFC 8446 §6.2): nothing of that name is published there.
        if (close.IsRemote && close.Code == 0x100 + 112)
            return new PortalException(PortalError.NotFound, $"{RemoteVertex} does not publish {Remote} (any more).");
        if (close.IsRemote && close.Code is > 0x100 and <= 0x1ff)
            return new PortalException(PortalError.Refused, $"{RemoteVertex} refused the proof of identity of {Local}: {close.Reason}");
        return new PortalException(PortalError.Unreachable, $"The connection from {Local} to {Remote} was lost: {close.Reason}");
    }
}
