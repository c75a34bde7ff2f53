using System.Buffers.Binary;
using System.Security.Cryptography;
using Florete.Runtime;

namespace Florete.Links;

/// <content>Messages in lane 0: life, measurement, path; and the timer that drives them.</content>
internal sealed partial class UdpLink
{
    private const int ChallengeBytes = 8, MaxChallenges = 5, GoodbyeCopies = 3;
    private static readonly TimeSpan ChallengeInterval = TimeSpan.FromMilliseconds(20);

    // Handshakes cost; an SVID that nobody renews is not helped by more of them.
    private static readonly TimeSpan LeastRenewalInterval = TimeSpan.FromSeconds(5);

    private readonly byte[] challenge = new byte[ChallengeBytes];
    private UdpAddress? candidate;
    private int challengesLeft;
    private Instant nextChallenge;
    private Instant renewAt = Instant.Never;

    /// <summary>How often the neighbour's address was changed and validated.</summary>
    public int Moves { get; private set; }

    /// <summary>There is reason to doubt the medium: asks the neighbour, without waiting for silence.</summary>
    public void AskAtOnce()
    {
        if (IsClosed || !IsUp) return;
        pulse.AskAtOnce();
        SetTimer(port.Loop.Now);
    }

    private void OnTimer()
    {
        if (IsClosed) return;
        if (!IsUp)
        {
            const string Late = "Keys did not come in time.";
            Close(GoodbyeReason.Limit, Late, ErrorOf(GoodbyeReason.Limit, Late), tellNeighbour: true);
            return;
        }
        LookAfter(port.Loop.Now);
    }

    private void LookAfter(Instant now)
    {
        pulse.ForgiveOwnStall(now);
        opening.Expire(now);
        reassembler.Expire(now);
        if (Tend(now)) SetTimer(now);
    }

    // Everything that is due; false when the link is closed now.
    private bool Tend(Instant now)
    {
        if (pulse.Check(now) is { } reason)
        {
            var what = reason == GoodbyeReason.Silence ? $"Nothing was heard from {Remote} for {liveness.Detection.TotalMilliseconds:0} ms." : $"Every packet to {Remote} fails to leave.";
            Close(reason, what, ErrorOf(reason, what), tellNeighbour: true);
            return false;
        }
        if (sealing.Current!.IsExhausted(now))
        {
            const string Text = "The sealing key is used up and the neighbour takes no new one.";
            Close(GoodbyeReason.ProtocolBroken, Text, ErrorOf(GoodbyeReason.ProtocolBroken, Text), tellNeighbour: true);
            return false;
        }
        if (owner.WallClockNow > PeerNotAfter + Identities.PeerVerifier.ClockGrace)
        {
            var text = $"The SVID of {Remote} expired on {PeerNotAfter:u} and was not renewed.";
            Close(GoodbyeReason.SvidExpired, text, ErrorOf(GoodbyeReason.SvidExpired, text), tellNeighbour: true);
            return false;
        }
        if (sealing.IsDue(now)) SendKey();
        if (now >= renewAt)
        {
            renewAt = now + LeastRenewalInterval;
            owner.OnRenewalDue(this);
        }
        if (pulse.IsKeepAliveDue(transmitter.LastSent, now)) SendKeepAlive(now);
        if (mtu.NextProbe(now) is var size and > 0) SendProbe(size);
        if (candidate is { } address && now >= nextChallenge) SendChallenge(address, now);
        if (quality.TakeNews(now)) flow.Sink?.OnQualityChanged();
        return !IsClosed;
    }

    private void SetTimer(Instant now)
    {
        var wake = pulse.WakeAt(candidate is null ? mtu.NextAt : Instant.Min(mtu.NextAt, nextChallenge), transmitter.LastSent, now);
        timer.Set(wake, LinkPulse.SlackOf(wake, now));
    }

    private void SendKeepAlive(Instant now)
    {
        var (received, lost) = Tally();
        var packet = port.Pool.Rent();
        pulse.Next(received, lost, now).Write(packet.Append(KeepAlive.Bytes));
        transmitter.Send(packet, Lanes.Link);
    }

    private (ulong Received, ulong Lost) Tally()
    {
        // A counter that never showed up is one lost segment at least; one that came in part is counted by its missing segments.
        var gaps = opening.Tally.Missing;
        var incomplete = (ulong)reassembler.IncompleteSdus;
        return (receivedSegments, (gaps > incomplete ? gaps - incomplete : 0) + (ulong)reassembler.MissingSegments);
    }

    private void OnMessage(UdpAddress from, ReadOnlySpan<byte> message)
    {
        if (message.IsEmpty) return;
        var now = port.Loop.Now;
        switch ((LinkMessageType)message[0])
        {
            case LinkMessageType.KeepAlive when KeepAlive.TryRead(message, out var keepAlive):
                if (!pulse.OnKeepAlive(keepAlive, now) || !IsUp) break;
                // What is due now is done in this turn: the timer, which does the rest too, would need one of its own.
                if (pulse.IsKeepAliveDue(transmitter.LastSent, now)) LookAfter(now);
                else SetTimer(now);
                break;
            case LinkMessageType.PathChallenge when message.Length >= 1 + ChallengeBytes:
                SendSmall(LinkMessageType.PathResponse, message.Slice(1, ChallengeBytes), transmitter.To);
                break;
            case LinkMessageType.PathResponse when message.Length >= 1 + ChallengeBytes:
                OnPathResponse(from, message.Slice(1, ChallengeBytes), now);
                break;
            case LinkMessageType.MtuProbe when message.Length >= 3:
                SendSmall(LinkMessageType.MtuAnswer, message.Slice(1, 2), transmitter.To);
                break;
            case LinkMessageType.MtuAnswer when message.Length >= 3:
                if (mtu.OnAnswer(BinaryPrimitives.ReadUInt16BigEndian(message[1..]), now)) flow.Sink?.OnQualityChanged();
                break;
            case LinkMessageType.Goodbye when message.Length >= 2:
                var reason = (GoodbyeReason)message[1];
                var text = $"{Remote} ended the link ({reason}).";
                Close(reason, text, ErrorOf(reason, text), tellNeighbour: true);
                break;
            default:
                break; // of a later version, or reserved
        }
    }

    private void OnNewAddress(UdpAddress from)
    {
        if (candidate is not null && challengesLeft > 0) return;
        candidate = from;
        challengesLeft = MaxChallenges;
        RandomNumberGenerator.Fill(challenge);
        SendChallenge(from, port.Loop.Now);
        SetTimer(port.Loop.Now);
    }

    private void SendChallenge(UdpAddress address, Instant now)
    {
        if (challengesLeft-- <= 0)
        {
            candidate = null;
            return;
        }
        nextChallenge = now + ChallengeInterval;
        SendSmall(LinkMessageType.PathChallenge, challenge, address);
    }

    private void OnPathResponse(UdpAddress from, ReadOnlySpan<byte> echo, Instant now)
    {
        if (candidate != from || !CryptographicOperations.FixedTimeEquals(echo, challenge)) return;
        candidate = null;
        Moves++;
        transmitter.To = from;
        control.To = from;
        mtu.Restart(now);
        flow.Sink?.OnQualityChanged();
    }

    private void SayGoodbye(GoodbyeReason reason)
    {
        for (var i = 0; i < GoodbyeCopies; i++) SendSmall(LinkMessageType.Goodbye, [(byte)reason], transmitter.To);
    }

    private void SendSmall(LinkMessageType type, ReadOnlySpan<byte> body, UdpAddress to)
    {
        var packet = port.Pool.Rent();
        packet.Append(1)[0] = (byte)type;
        body.CopyTo(packet.Append(body.Length));
        transmitter.SendNow(packet, to);
    }

    private void SendProbe(int datagramBytes)
    {
        var packet = port.Pool.Rent();
        var message = packet.Append(LinkSizes.UnsegmentedSdu(datagramBytes));
        message.Clear();
        message[0] = (byte)LinkMessageType.MtuProbe;
        BinaryPrimitives.WriteUInt16BigEndian(message[1..], (ushort)datagramBytes);
        transmitter.SendNow(packet, transmitter.To);
    }

    /// <summary>A renewed SVID, or half of what is left of either one's life: time for a new handshake.</summary>
    public void ScheduleRenewal(bool atOnce = false)
    {
        var left = (PeerNotAfter < owner.NotAfterOf(Local) ? PeerNotAfter : owner.NotAfterOf(Local)) - owner.WallClockNow;
        if (left < LeastRenewalInterval * 2) left = LeastRenewalInterval * 2;
        // The lower identity goes first, so that the two do not meet.
        renewAt = port.Loop.Now + (atOnce ? TimeSpan.Zero : left / 2) + (Local < Remote ? TimeSpan.Zero : TimeSpan.FromSeconds(1));
    }
}
