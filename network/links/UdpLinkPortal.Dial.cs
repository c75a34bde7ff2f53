using System.Net;
using System.Net.Sockets;
using Florete.Identities;
using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Links;

/// <content>Dialling: the addresses in turn, until one answers, the time is up, or the neighbour refuses.</content>
public sealed partial class UdpLinkPortal
{
    private readonly Dictionary<(SpiffeId Local, SpiffeId Remote), DialWork> dials = [];

    private async Task<PortalConnection> DialAsync(HeldIdentity caller, SpiffeId target, TimeSpan timeout, CancellationToken cancellationToken)
    {
        ThrowIfClosed();
        Hold(caller);
        if (trust.Bounds.MayLink(caller.Id, target).Refusal is { } refusal) throw new PortalException(PortalError.Refused, refusal);
        if (byPair.TryGetValue((caller.Id, target), out var existing) && existing.IsAccepted) return existing;
        if (!neighbours.TryGetValue(target, out var neighbour) || neighbour.Addresses.Count == 0)
            throw new PortalException(PortalError.NotFound, $"No address of {target} is configured; add it to the neighbours of {caller.Id}, or let it dial.");
        if (links.Count >= options.MaxLinks) throw new PortalException(PortalError.LimitReached, $"There are {links.Count} links already, the most that are allowed.");
        Start();
        if (!dials.TryGetValue((caller.Id, target), out var dial))
        {
            dial = new DialWork(this, caller.Id, neighbour, timeout);
            dials.Add((caller.Id, target), dial);
            dial.Begin();
        }
        return await dial.WaitAsync(cancellationToken);
    }

    /// <summary>One search for a link to a neighbour, for all who wait for it.</summary>
    private sealed class DialWork
    {
        // An address that says nothing for this long gets no more of our time in this round.
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1), FirstPause = TimeSpan.FromMilliseconds(50), MostPause = TimeSpan.FromSeconds(1);

        private readonly UdpLinkPortal portal;
        private readonly SpiffeId local;
        private readonly UdpNeighbour neighbour;
        private readonly LoopTimer deadline;
        private readonly LoopTimer next;
        private readonly Queue<UdpAddress> round = [];
        private ControlChannel? channel;
        private TimeSpan pause = FirstPause;
        private PortalException last;
        private readonly List<LoopPromise<UdpLink>> waiters = [];
        private bool isOver;

        public DialWork(UdpLinkPortal portal, SpiffeId local, UdpNeighbour neighbour, TimeSpan timeout)
        {
            (this.portal, this.local, this.neighbour) = (portal, local, neighbour);
            last = new PortalException(PortalError.TimedOut, $"No answer from {neighbour.Vertex} at {string.Join(", ", neighbour.Addresses)} within {timeout.TotalSeconds:0.#} s.");
            deadline = portal.port.Loop.CreateTimer(() => Fail(last));
            deadline.Set(portal.port.Loop.Now + timeout);
            next = portal.port.Loop.CreateTimer(TryNext);
        }

        public bool IsHelloUnanswered => channel?.User is ClientHandshake { IsHelloUnanswered: true };

        public void Begin() => TryNext();

        public async Task<UdpLink> WaitAsync(CancellationToken cancellationToken)
        {
            // The dial has its own deadline.
            var waiter = new LoopPromise<UdpLink>(portal.port.Loop).CancelledBy(cancellationToken);
            waiters.Add(waiter);
            try
            {
                return await waiter.Task;
            }
            finally
            {
                waiters.Remove(waiter);
                if (waiters.Count == 0 && !isOver) Fail(new PortalException(PortalError.Closed, "Nobody waits any more."));
            }
        }

        public void Succeed(UdpLink link)
        {
            if (isOver) return;
            End();
            foreach (var waiter in waiters) waiter.Set(link);
        }

        public void Fail(PortalException reason)
        {
            if (isOver) return;
            End();
            var attempt = channel;
            channel = null;
            if (attempt?.User is ClientHandshake) attempt.Close(GoodbyeReason.Orderly, "Given up.");
            if (portal.byPair.TryGetValue((local, neighbour.Vertex), out var link) && link is { IsDialler: true, IsAccepted: false })
                link.Close(GoodbyeReason.Orderly, "Given up.", reason, tellNeighbour: true);
            foreach (var waiter in waiters) waiter.Fail(reason);
        }

        /// <summary>The neighbour's own handshake goes on instead of ours.</summary>
        public void GiveWay()
        {
            var attempt = channel;
            channel = null;
            attempt?.Close(GoodbyeReason.Duplicate, "Your handshake goes on.");
        }

        public void OnAttemptFailed(GoodbyeReason reason, string text)
        {
            if (isOver) return;
            channel = null;
            if (UdpLink.ErrorOf(reason, $"{neighbour.Vertex}: {text}") is { } error) last = error;
            if (reason is GoodbyeReason.RefusedByAcceptor or GoodbyeReason.ForbiddenByBounds or GoodbyeReason.WrongCluster) Fail(last);
            else Later();
        }

        public void OnRefused(string text)
        {
            channel = null;
            Fail(new PortalException(PortalError.Refused, text));
        }

        private void End()
        {
            isOver = true;
            deadline.Cancel();
            next.Cancel();
            portal.dials.Remove((local, neighbour.Vertex));
        }

        private void Later()
        {
            next.Set(portal.port.Loop.Now + (round.Count > 0 ? TimeSpan.Zero : pause));
            if (round.Count == 0) pause = pause * 2 < MostPause ? pause * 2 : MostPause;
        }

        private void TryNext()
        {
            if (isOver) return;
            if (channel is { } attempt && (!attempt.HasAnswer || attempt.User is ClientHandshake { IsOverdue: true }))
            {
                // Silence: leave it, without waiting for its own timeout.
                channel = null;
                attempt.User = null;
                attempt.Drop();
                Later();
                return;
            }
            if (channel is not null || portal.byPair.ContainsKey((local, neighbour.Vertex)))
            {
                next.Set(portal.port.Loop.Now + Patience);
                return;
            }
            if (round.Count == 0) _ = FillRoundAsync();
            else Dial(round.Dequeue());
        }

        private async Task FillRoundAsync()
        {
            foreach (var address in neighbour.Addresses)
            {
                if (address is IPEndPoint ip) round.Enqueue(UdpAddress.Of(ip));
                else if (address is DnsEndPoint name) await ResolveAsync(name);
            }
            if (isOver) return;
            if (round.Count > 0) Dial(round.Dequeue());
            else Later();
        }

        private async Task ResolveAsync(DnsEndPoint name)
        {
            try
            {
                foreach (var ip in await Dns.GetHostAddressesAsync(name.Host)) round.Enqueue(UdpAddress.Of(new IPEndPoint(ip, name.Port)));
            }
            catch (SocketException e)
            {
                last = new PortalException(PortalError.Unreachable, $"The address '{name.Host}' of {neighbour.Vertex} does not resolve: {e.Message}");
            }
        }

        private void Dial(UdpAddress address)
        {
            var attempt = new ControlChannel(portal.quic, local, address);
            channel = attempt;
            attempt.User = new ClientHandshake(portal, attempt, null, this);
            attempt.Dial(portal.QuicSettings, portal.vertices[local].Credentials, MeshName.ToSni(neighbour.Vertex), chain => portal.Judge(attempt, chain, neighbour.Vertex));
            next.Set(portal.port.Loop.Now + Patience);
        }
    }

    /// <summary>A handshake that we began: for a new link (with its dial), or to renew one.</summary>
    private sealed class ClientHandshake(UdpLinkPortal portal, ControlChannel channel, UdpLink? renewed, DialWork? dial) : IControlUser
    {
        // A neighbour that is there answers at once; for so long its own dial gives way to our Hello.
        private static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(2);
        private readonly uint index = renewed?.Index ?? portal.NewIndex();
        private Instant helloSentAt = Instant.Never;

        public bool IsHelloUnanswered => helloSentAt != Instant.Never && !IsOverdue;

        public bool IsOverdue => helloSentAt != Instant.Never && portal.port.Loop.Now - helloSentAt > AnswerTime;

        public void OnConfirmed(ControlChannel confirmed)
        {
            // The neighbour's dial was quicker. A Hello for a new link is sent by a side that has none: the neighbour believes that.
            if (renewed is null && portal.byPair.ContainsKey((channel.Local!, channel.Peer!.Id!)))
            {
                channel.Close(GoodbyeReason.Duplicate, "Your handshake goes on.");
                return;
            }
            helloSentAt = portal.port.Loop.Now;
            portal.SendHello(channel, index, renewed?.PeerIndex);
        }

        public bool OnMessage(ControlChannel from, ControlMessageType type, ReadOnlySpan<byte> body)
        {
            if (!portal.TryReadHello(channel, type, body, out var hello)) return false;
            if (hello is null) return true;
            if (renewed is not null)
            {
                if (renewed.IsClosed || hello.LinkIndex != renewed.PeerIndex) return false;
                renewed.Adopt(channel);
                renewed.SendKey();
                return true;
            }
            portal.Begin(channel, hello, index).SendKey();
            return true;
        }

        public void OnClosed(ControlChannel from, QuicClose close)
        {
            if (dial is null) return; // a renewal that failed is tried again by its link
            if (channel.Refusal is { } refusal) dial.OnRefused(refusal);
            // A TLS alert of the other side: it does not take us.
            else if (close is { IsRemote: true, IsApplication: false, Code: >= 0x100 and < 0x200 })
                dial.OnRefused($"The neighbour at {channel.To} refused our SVID or our name for it (TLS alert {close.Code - 0x100}): check its log, the bundle on both sides and the bounds.");
            else dial.OnAttemptFailed(close.IsApplication && close.Code <= byte.MaxValue ? (GoodbyeReason)close.Code : GoodbyeReason.Silence, close.Reason);
        }
    }
}
