using Florete.Portals;
using Florete.Quic;
using Florete.Sealing;

namespace Florete.Links;

/// <content>The control stream: keys, acceptance, and the change to a renewed connection.</content>
internal sealed partial class UdpLink : IControlUser
{
    private const byte FirstEpoch = 0;
    private ControlChannel control;
    private PortalException? closeReason;
    private bool isPeerKeyed;

    /// <summary>The neighbour's address, and whose certificate expires when, come from the newest handshake.</summary>
    public void Adopt(ControlChannel newer)
    {
        var old = control;
        control = newer;
        newer.User = this;
        newer.To = transmitter.To;
        PeerNotAfter = newer.Peer!.NotAfter;
        old.User = null;
        // The dialler of the new one has heard the other side's Hello on it; the old one is of no more use to either.
        old.Close(GoodbyeReason.Replaced, "Renewed.");
        ScheduleRenewal();
    }

    /// <summary>Sends the next sending key.</summary>
    public void SendKey()
    {
        Span<byte> body = stackalloc byte[1 + SealingKey.Bytes];
        body[0] = sealing.Prepare(body[1..]);
        control.Send(ControlMessageType.Key, body);
        System.Security.Cryptography.CryptographicOperations.ZeroMemory(body);
    }

    /// <summary>Our acceptor has taken the link.</summary>
    public void SendAccepted() => control.Send(ControlMessageType.Accepted, []);

    void IControlUser.OnConfirmed(ControlChannel channel)
    {
    }

    bool IControlUser.OnMessage(ControlChannel channel, ControlMessageType type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case ControlMessageType.Key when body.Length == 1 + SealingKey.Bytes && SealingKey.TryRead(body[1..], out var key):
                if (!opening.TryInstall(body[0], key!, port.Loop.Now)) return false;
                isPeerKeyed = true;
                channel.Send(ControlMessageType.KeyReady, body[..1]);
                Keyed();
                return true;
            case ControlMessageType.KeyReady when body.Length == 1:
                if (!sealing.Confirm(body[0])) return false;
                Keyed();
                return true;
            case ControlMessageType.Accepted when body.IsEmpty && IsDialler:
                owner.OnLinkAccepted(this);
                return true;
            default:
                return false;
        }
    }

    void IControlUser.OnClosed(ControlChannel channel, QuicClose close)
    {
        if (channel != control || IsClosed) return;
        var reason = close.IsApplication && close.Code <= byte.MaxValue ? (GoodbyeReason)close.Code : GoodbyeReason.ProtocolBroken;
        var who = close.IsRemote ? "The neighbour" : "This side";
        Close(reason, close.Reason, ErrorOf(reason, $"{who} ended the link: {close.Reason}"), tellNeighbour: false);
    }

    /// <summary>The error that a user sees for a reason; null for an orderly end.</summary>
    public static PortalException? ErrorOf(GoodbyeReason reason, string text) => reason switch
    {
        GoodbyeReason.Orderly => null,
        GoodbyeReason.RefusedByAcceptor or GoodbyeReason.ForbiddenByBounds or GoodbyeReason.WrongCluster or GoodbyeReason.SvidExpired =>
            new PortalException(PortalError.Refused, text),
        GoodbyeReason.Limit or GoodbyeReason.Flapping => new PortalException(PortalError.LimitReached, text),
        GoodbyeReason.Duplicate or GoodbyeReason.Replaced => new PortalException(PortalError.Closed, text),
        GoodbyeReason.TargetFailed => new PortalException(PortalError.TargetFailed, text),
        GoodbyeReason.ProtocolBroken => new PortalException(PortalError.ProtocolViolation, text),
        _ => new PortalException(PortalError.Unreachable, text),
    };

    // The neighbour seals, so it has our KeyReady, and, sent before it in the same stream, our Key. Its own KeyReady may be lost and come late.
    private void OnSealedBeforeKeyReady()
    {
        sealing.Confirm(FirstEpoch);
        Keyed();
    }

    private void Keyed()
    {
        if (IsUp || !isPeerKeyed || sealing.Current is null) return;
        IsUp = true;
        liveness.OnAuthenticated(port.Loop.Now);
        ScheduleRenewal();
        OnTimer();
        owner.OnLinkKeyed(this);
    }
}
