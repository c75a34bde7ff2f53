using System.Security.Cryptography;
using Florete.Identities;
using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Links;

/// <content>Handshakes: who is proved, which of two wins, when a link begins.</content>
public sealed partial class UdpLinkPortal : IUdpLinkOwner
{
    private const string Alpn = "florete-link/1";

    private readonly Dictionary<SpiffeId, FlapRecord> flaps = [];
    // The last link that ended in silence: if the same run of the neighbour comes back, it was only slow, and the next link has more patience.
    private readonly Dictionary<(SpiffeId Local, SpiffeId Remote), (ulong PeerRun, TimeSpan Detection)> silences = [];
    private ulong begun;

    private QuicOptions QuicSettings => new()
    {
        Alpn = Alpn,
        AnonymousAlpn = joins is null ? null : JoinProtocol.Alpn,
        MaxPacketBytes = QuicOptions.LeastPacketBytes,
        StreamWindowBytes = 64 * 1024,
        ConnectionWindowBytes = 64 * 1024,
        MaxPeerStreams = 1,
        HandshakeTimeout = options.HandshakeTimeout,
        IdleTimeout = TimeSpan.Zero, // the link has its own liveness
        InitialRoundTrip = TimeSpan.FromMilliseconds(100),
    };

    DateTimeOffset IUdpLinkOwner.WallClockNow => port.Loop.WallClock.GetUtcNow();

    DateTimeOffset IUdpLinkOwner.NotAfterOf(SpiffeId local) => vertices[local].Identity.Current.NotAfter;

    private ControlChannel? AcceptHandshake(UdpAddress from, ReadOnlyMemory<byte> initial, QuicRetryProof? proof)
    {
        // Nobody here takes links: we only dial, or stop. Silence, as from a port that is closed.
        if (published.Count == 0) return null;
        var channel = new ControlChannel(quic, null, from);
        var handshake = new ServerHandshake(this, channel);
        channel.User = handshake;
        return channel.Accept(
            QuicSettings,
            name =>
            {
                if (!published.TryGetValue(name.ToLowerInvariant(), out var publication) && joins is not null
                    && name.Equals(JoinProtocol.AnyVertexOf(trust.Cluster.Name), StringComparison.OrdinalIgnoreCase))
                {
                    publication = published.Values.First();
                }
                if (publication is null)
                {
                    RefusedHandshakes++;
                    Note($"Handshake with {from} refused: it asks for '{Printable(name)}', which is not here: it stops, or the neighbour list there has this address under a wrong name.");
                    return null;
                }
                channel.Local = publication.Identity.Id;
                return vertices[publication.Identity.Id].Credentials;
            },
            chain => Judge(channel, chain, null), initial.Span, proof) ? channel : null;
    }

    // A stranger's word: short, and without control characters, before it meets a log.
    private static string Printable(string name) => string.Concat(name.Take(80).Select(static c => char.IsControl(c) ? '?' : c));

    // Null accepts. The reason stays here: a stranger learns nothing.
    private string? Judge(ControlChannel channel, IReadOnlyList<byte[]> chain, SpiffeId? expected)
    {
        channel.Refusal = Refusal(channel, chain, expected, out var who);
        if (channel.Refusal is { } refusal)
        {
            RefusedHandshakes++;
            trust.Events?.Add(who is null ? SecurityEventKind.RefusedHandshake : SecurityEventKind.RefusedLink, who?.Path ?? "", channel.To.ToString(), refusal);
            Note($"Handshake with {channel.To} refused: {refusal}");
        }
        return channel.Refusal;
    }

    private string? Refusal(ControlChannel channel, IReadOnlyList<byte[]> chain, SpiffeId? expected, out SpiffeId? who)
    {
        var proof = trust.Verifier.Verify(chain, port.Loop.WallClock.GetUtcNow());
        who = proof.Id;
        if (proof.Refusal is { } refusal) return refusal;
        if (proof.Id!.Kind != IdentityKind.Vertex) return $"{proof.Id} is not a vertex; only vertices form links.";
        if (expected is not null && proof.Id != expected) return $"The neighbour proved to be {proof.Id}, not {expected}; check the addresses of {expected}.";
        if (proof.Id == channel.Local) return $"{proof.Id} cannot link to itself.";
        var verdict = trust.Bounds.MayLink(channel.Local!, proof.Id);
        if (!verdict.IsAllowed) return verdict.Refusal;
        channel.Peer = proof;
        return null;
    }

    private void SendHello(ControlChannel channel, uint index, uint? renews)
    {
        Span<byte> body = stackalloc byte[ControlChannel.MaxBodyBytes];
        var hello = new Hello { ClusterHash = clusterHash, LinkIndex = index, Run = run, Begun = begun, Renews = renews, Observed = channel.To };
        channel.Send(ControlMessageType.Hello, body[..hello.Write(body)]);
    }

    private uint NewIndex()
    {
        while (true)
        {
            var index = (uint)RandomNumberGenerator.GetInt32(1, int.MaxValue);
            if (!links.ContainsKey(index)) return index;
        }
    }

    private bool TryReadHello(ControlChannel channel, ControlMessageType type, ReadOnlySpan<byte> body, out Hello? hello)
    {
        hello = null;
        if (type != ControlMessageType.Hello) return false;
        if (!Hello.TryRead(body, out hello, out var error))
        {
            channel.Close(GoodbyeReason.ProtocolBroken, error);
            return true;
        }
        if (hello.ClusterHash.AsSpan().SequenceEqual(clusterHash)) return true;
        channel.Close(GoodbyeReason.WrongCluster, $"Another cluster than '{trust.Cluster.Name}' here: the root certificates differ.");
        hello = null;
        return true;
    }

    /// <summary>Begins the link of a handshake; an older one with the same neighbour is replaced.</summary>
    private UdpLink Begin(ControlChannel channel, Hello peer, uint index)
    {
        var pair = (channel.Local!, channel.Peer!.Id!);
        if (byPair.TryGetValue(pair, out var older))
            older.Close(GoodbyeReason.Replaced, "A newer handshake took its place.", new PortalException(PortalError.Closed, $"{pair.Item2} began a new link."), tellNeighbour: true);
        var capacity = neighbours.TryGetValue(pair.Item2, out var neighbour) ? neighbour.CapacityBitsPerSecond : null;
        var survived = silences.TryGetValue(pair, out var silence) && silence.PeerRun == peer.Run ? silence.Detection : TimeSpan.Zero;
        var link = new UdpLink(port, this, options, channel, peer, index, capacity, survived);
        begun++;
        links.Add(index, link);
        byPair[pair] = link;
        channel.User = link;
        return link;
    }

    void IUdpLinkOwner.OnLinkKeyed(UdpLink link)
    {
        if (link.IsDialler) return;
        // The side that was called has published; its acceptor decides, unless somebody here was dialling the same neighbour.
        if (dials.TryGetValue((link.Local, link.Remote), out var dial))
        {
            link.SendAccepted();
            Completed(link);
            dial.Succeed(link);
            return;
        }
        _ = AskAcceptorAsync(link);
    }

    void IUdpLinkOwner.OnLinkAccepted(UdpLink link)
    {
        if (link.IsAccepted) return;
        Completed(link);
        if (dials.TryGetValue((link.Local, link.Remote), out var dial)) dial.Succeed(link);
        else link.Close(GoodbyeReason.Orderly, "Nobody waits for this link any more.", null, tellNeighbour: true);
    }

    void IUdpLinkOwner.OnLinkClosed(UdpLink link, GoodbyeReason reason, string text)
    {
        links.Remove(link.Index);
        if (latest == link) latest = null;
        var pair = (link.Local, link.Remote);
        if (byPair.TryGetValue(pair, out var held) && held == link) byPair.Remove(pair);
        Note($"Link {link.Local} – {link.Remote} over {link.Address} is down ({reason}): {text}");
        if (link.IsAccepted) Announce(link.Remote, false);
        silences.Remove(pair);
        if (reason == GoodbyeReason.Silence) silences[pair] = (link.PeerRun, link.Detection);
        if (reason is GoodbyeReason.Silence or GoodbyeReason.SendsFail) flaps[link.Remote] = Flaps(link.Remote).AfterDown(port.Loop.Now);
        if (!link.IsAccepted && dials.TryGetValue(pair, out var dial)) dial.OnAttemptFailed(reason, text);
    }

    void IUdpLinkOwner.OnRenewalDue(UdpLink link)
    {
        var channel = new ControlChannel(quic, link.Local, link.Address);
        channel.User = new ClientHandshake(this, channel, link, null);
        channel.Dial(QuicSettings, vertices[link.Local].Credentials, MeshName.ToSni(link.Remote), chain => Judge(channel, chain, link.Remote));
    }

    private FlapRecord Flaps(SpiffeId neighbour) => flaps.GetValueOrDefault(neighbour);

    private void Completed(UdpLink link)
    {
        link.IsAccepted = true;
        Note($"Link {link.Local} – {link.Remote} over {link.Address} is up.");
        Announce(link.Remote, true);
    }

    private async Task AskAcceptorAsync(UdpLink link)
    {
        if (!published.TryGetValue(MeshName.ToSni(link.Local), out var publication))
        {
            link.Close(GoodbyeReason.TargetFailed, $"{link.Local} is no longer published.", null, tellNeighbour: true);
            return;
        }
        try
        {
            // Marked first: the acceptor may set the sink, and data may come before it returns.
            Completed(link);
            await publication.Acceptor.AcceptAsync(link, link.Closed);
            if (!link.IsClosed) link.SendAccepted();
        }
        catch (Exception e) when (e is PortalException or OperationCanceledException)
        {
            link.Close(GoodbyeReason.RefusedByAcceptor, e.Message, e as PortalException, tellNeighbour: true);
        }
        catch (Exception e)
        {
            link.Close(GoodbyeReason.TargetFailed, "The acceptor failed.", new PortalException(PortalError.TargetFailed, e.Message, e), tellNeighbour: true);
            // A fault of the acceptor is a fault of this process: it surfaces at the loop.
            port.Loop.Post(() => System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(e));
        }
    }

    /// <summary>A handshake that somebody else began.</summary>
    private sealed class ServerHandshake : IControlUser
    {
        private readonly UdpLinkPortal portal;
        private readonly LoopTimer timeout;

        public ServerHandshake(UdpLinkPortal portal, ControlChannel channel)
        {
            this.portal = portal;
            // After the QUIC handshake its own timeout has ended; the Hello must come as quickly.
            timeout = portal.port.Loop.CreateTimer(() => channel.Close(GoodbyeReason.Limit, "No Hello came in time."));
            timeout.Set(portal.port.Loop.Now + (2 * portal.options.HandshakeTimeout));
        }

        public void OnConfirmed(ControlChannel channel)
        {
            if (!channel.IsPeerAnonymous) return;
            timeout.Cancel();
            portal.quic.Settled(channel);
            if (portal.joins is { } joins) joins.Begin(channel);
            else channel.Close(GoodbyeReason.TargetFailed, "This vertex lets nobody join any more.");
        }

        public void OnClosed(ControlChannel channel, QuicClose close)
        {
            timeout.Cancel();
            portal.quic.Settled(channel);
        }

        public bool OnMessage(ControlChannel channel, ControlMessageType type, ReadOnlySpan<byte> body)
        {
            if (channel.Peer is null || !portal.TryReadHello(channel, type, body, out var hello)) return false;
            timeout.Cancel();
            portal.quic.Settled(channel);
            if (hello is null) return true;
            if (hello.Renews is { } renews) return Renew(channel, hello, renews);
            if (portal.WhyNot(channel, hello) is { } refusal)
            {
                channel.Close(refusal.Reason, refusal.Text);
                return true;
            }
            var index = portal.NewIndex();
            if (portal.dials.TryGetValue((channel.Local!, channel.Peer!.Id!), out var dial)) dial.GiveWay();
            var link = portal.Begin(channel, hello, index);
            portal.SendHello(channel, index, null);
            link.SendKey();
            return true;
        }

        private bool Renew(ControlChannel channel, Hello hello, uint renews)
        {
            if (!portal.links.TryGetValue(renews, out var link) || link.Remote != channel.Peer!.Id || link.Local != channel.Local || link.PeerRun != hello.Run
                || link.PeerIndex != hello.LinkIndex)
            {
                channel.Close(GoodbyeReason.ProtocolBroken, "The link that this handshake renews is not here.");
                return true;
            }
            portal.SendHello(channel, link.Index, hello.LinkIndex);
            link.Adopt(channel);
            link.SendKey();
            return true;
        }
    }

    private (GoodbyeReason Reason, string Text)? WhyNot(ControlChannel channel, Hello hello)
    {
        var (local, remote) = (channel.Local!, channel.Peer!.Id!);
        if (isClosed) return (GoodbyeReason.TargetFailed, "The vertex stops.");
        byPair.TryGetValue((local, remote), out var existing);
        if (existing is null && links.Count >= options.MaxLinks) return (GoodbyeReason.Limit, $"There are {links.Count} links already, the most that are allowed.");
        if (Flaps(remote).WaitUntil > port.Loop.Now) return (GoodbyeReason.Flapping, $"The link was down {Flaps(remote).Downs} times lately; try again later.");
        // Sent before the neighbour knew of this link: it came late.
        var isLate = existing is not null && existing.PeerRun == hello.Run && hello.Begun < existing.PeerBegun;
        // Two dial at once: the lower identity's Hello wins.
        var isOwnWinning = local < remote && dials.TryGetValue((local, remote), out var dial) && dial.IsHelloUnanswered;
        return isLate || isOwnWinning ? (GoodbyeReason.Duplicate, "The other handshake between us wins.") : null;
    }

    /// <summary>Downs of a neighbour within the last minute, and how long it has to wait after the last.</summary>
    private readonly record struct FlapRecord(int Downs, Instant LastDown)
    {
        private static readonly TimeSpan Memory = TimeSpan.FromSeconds(60), First = TimeSpan.FromMilliseconds(100), Most = TimeSpan.FromSeconds(5);

        public Instant WaitUntil => Downs < 2 ? LastDown : LastDown + (Downs > 7 ? Most : First * (1 << (Downs - 2)));

        public FlapRecord AfterDown(Instant now) => Downs > 0 && now - LastDown < Memory ? new FlapRecord(Downs + 1, now) : new FlapRecord(1, now);
    }
}
