using System.Security.Cryptography;
using Florete.Identities;
using Florete.Portals;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Layers;

/// <content>
/// How long a connection lives: as long as both SVIDs, or as those of a newer connection that vouches for it
/// (docs/protocols/transport.md "Renewal").
/// </content>
internal sealed partial class TransportConnection
{
    /// <summary>Bytes of the secret that names a connection to its successor.</summary>
    public const int SecretBytes = 32;

    private static readonly TimeSpan LeastRenewalDelay = TimeSpan.FromSeconds(1);

    private readonly LoopTimer lifeTimer;
    private readonly LoopTimer renewalTimer;
    private HeldIdentity held = null!;
    private X509Svid svid = null!;
    private QuicStream? control;
    private byte[]? secret;

    /// <summary>When the earlier of the two proofs ends.</summary>
    public DateTimeOffset LifeEnd { get; private set; }

    /// <summary>The key under which the caller's endpoint shares it; null for arriving connections.</summary>
    public TransportKey? Key { get; init; }

    /// <summary>The secret, once it is known on this side; names the connection in <see cref="TransportEndpoint.FindBySecret"/>.</summary>
    public string? SecretName => secret is null ? null : Convert.ToHexString(secret);

    /// <summary>The identity on this side.</summary>
    public HeldIdentity Held => held;

    /// <summary>The local SVID has been replaced since this connection was made.</summary>
    public bool IsOutdated => !ReferenceEquals(held.Current, svid);

    /// <summary>A newer connection, both sides proved anew, answers for this one.</summary>
    public void VouchedUntil(DateTimeOffset end)
    {
        if (end <= LifeEnd) return;
        LifeEnd = end;
        SetLifeTimer();
    }

    /// <summary>A control frame of the caller: secret or vouch.</summary>
    public void OnControlFrame(byte type, ReadOnlySpan<byte> value)
    {
        switch (type)
        {
            case ControlFrame.Secret when value.Length == SecretBytes && secret is null:
                secret = value.ToArray();
                Endpoint.AddSecret(this);
                break;
            case ControlFrame.Vouch when value.Length == SecretBytes:
                if (Endpoint.FindBySecret(Convert.ToHexString(value)) is { } elder && elder.Remote == Remote && elder.Local == Local) elder.VouchedUntil(LifeEnd);
                break;
            case < ControlFrame.CriticalBit and not ControlFrame.Secret and not ControlFrame.Vouch:
                break;
            default:
                Close(PortalError.ProtocolViolation, $"A control frame of type {type} and {value.Length} bytes makes no sense here.");
                break;
        }
    }

    private void StartLife()
    {
        LifeEnd = proof!.NotAfter < svid.NotAfter ? proof.NotAfter : svid.NotAfter;
        SetLifeTimer();
        if (IsCaller) SetRenewalTimer();
    }

    private void OpenControlStream()
    {
        control = Quic.OpenStream();
        if (control is null) return;
        secret = RandomNumberGenerator.GetBytes(SecretBytes);
        Enqueue(control, StreamHeaders.Request(StreamKind.Control));
        Enqueue(control, StreamHeaders.Frame(ControlFrame.Secret, secret));
        foreach (var elder in Endpoint.OthersInUse(this))
        {
            if (elder.secret is null) continue;
            Enqueue(control, StreamHeaders.Frame(ControlFrame.Vouch, elder.secret));
            elder.VouchedUntil(LifeEnd);
        }
    }

    private void SetLifeTimer()
    {
        var left = LifeEnd + Endpoint.Options.ExpiryGrace - Endpoint.Loop.WallClock.GetUtcNow();
        lifeTimer.Set(Endpoint.Loop.Now + (left > TimeSpan.Zero ? left : TimeSpan.Zero));
    }

    private void SetRenewalTimer()
    {
        var left = (LifeEnd - Endpoint.Loop.WallClock.GetUtcNow()) / 2;
        renewalTimer.Set(Endpoint.Loop.Now + (left > LeastRenewalDelay ? left : LeastRenewalDelay));
    }

    // Before it is due again, half of what is left has passed: a peer that renews late is met later.
    private void OnRenewalDue()
    {
        if (isGone || !IsConfirmed || Key is null) return;
        Endpoint.Renew(this);
        SetRenewalTimer();
    }

    private void OnLifeEnd() => Close(PortalError.Refused, $"An SVID of {Local} or {Remote} expired at {LifeEnd:u} and was not renewed.");
}

/// <summary>Types of frames on the control stream.</summary>
internal static class ControlFrame
{
    public const byte Secret = 1;
    public const byte Vouch = 2;
    public const byte CriticalBit = 0x80;
}
