using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Florete.Quic.Native;

namespace Florete.Quic;

/// <content>
/// The way back from ngtcp2. Every entry catches everything: an exception that left it would end the process. The user data is the handle of the
/// connection; nothing is allocated per call.
/// </content>
public sealed unsafe partial class QuicConnection
{
    private static readonly Lazy<Callbacks> ClientCallbacks = new(() => MakeCallbacks(server: false));
    private static readonly Lazy<Callbacks> ServerCallbacks = new(() => MakeCallbacks(server: true));
    private ConnectionId? clientChosenId;

    /// <summary>Tests put a peer here that writes what it should not; 0: the library's.</summary>
    private nint encrypt;

    private static Callbacks MakeCallbacks(bool server)
    {
        var crypto = NativeLibrary.Load(Ngtcp2Crypto.Library);
        nint Export(string name) => NativeLibrary.GetExport(crypto, name);
        return new Callbacks
        {
            ClientInitial = server ? 0 : Export("ngtcp2_crypto_client_initial_cb"),
            RecvClientInitial = server ? Export("ngtcp2_crypto_recv_client_initial_cb") : 0,
            RecvCryptoData = Export("ngtcp2_crypto_recv_crypto_data_cb"),
            Encrypt = Export("ngtcp2_crypto_encrypt_cb"),
            Decrypt = Export("ngtcp2_crypto_decrypt_cb"),
            HpMask = Export("ngtcp2_crypto_hp_mask_cb"),
            RecvRetry = server ? 0 : Export("ngtcp2_crypto_recv_retry_cb"),
            UpdateKey = Export("ngtcp2_crypto_update_key_cb"),
            DeleteCryptoAeadContext = Export("ngtcp2_crypto_delete_crypto_aead_ctx_cb"),
            DeleteCryptoCipherContext = Export("ngtcp2_crypto_delete_crypto_cipher_ctx_cb"),
            GetPathChallengeData = Export("ngtcp2_crypto_get_path_challenge_data_cb"),
            VersionNegotiation = Export("ngtcp2_crypto_version_negotiation_cb"),
            Rand = (nint)(delegate* unmanaged[Cdecl]<byte*, nuint, nint, void>)&OnRandom,
            GetNewConnectionId = (nint)(delegate* unmanaged[Cdecl]<nint, Cid*, byte*, nuint, nint, int>)&OnNewConnectionId,
            RemoveConnectionId = (nint)(delegate* unmanaged[Cdecl]<nint, Cid*, nint, int>)&OnRemoveConnectionId,
            HandshakeCompleted = (nint)(delegate* unmanaged[Cdecl]<nint, nint, int>)&OnHandshakeCompleted,
            HandshakeConfirmed = (nint)(delegate* unmanaged[Cdecl]<nint, nint, int>)&OnHandshakeConfirmed,
            RecvStreamData = (nint)(delegate* unmanaged[Cdecl]<nint, uint, long, ulong, byte*, nuint, nint, nint, int>)&OnStreamData,
            AckedStreamDataOffset = (nint)(delegate* unmanaged[Cdecl]<nint, long, ulong, ulong, nint, nint, int>)&OnAcked,
            StreamOpen = (nint)(delegate* unmanaged[Cdecl]<nint, long, nint, int>)&OnStreamOpen,
            StreamClose = (nint)(delegate* unmanaged[Cdecl]<nint, uint, long, ulong, nint, nint, int>)&OnStreamClose,
            StreamReset = (nint)(delegate* unmanaged[Cdecl]<nint, long, ulong, ulong, nint, nint, int>)&OnStreamReset,
            RecvStatelessReset = (nint)(delegate* unmanaged[Cdecl]<nint, nint, nint, int>)&OnStatelessReset,
            ExtendMaxLocalStreamsBidi = (nint)(delegate* unmanaged[Cdecl]<nint, ulong, nint, int>)&OnStreamsAvailable,
            ExtendMaxStreamData = (nint)(delegate* unmanaged[Cdecl]<nint, long, ulong, nint, nint, int>)&OnStreamWindow,
        };
    }

    private static QuicConnection Of(nint user) => Unsafe.As<QuicConnection>(GCHandle.FromIntPtr(user).Target!);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnRandom(byte* destination, nuint length, nint context) => RandomNumberGenerator.Fill(new Span<byte>(destination, (int)length));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnNewConnectionId(nint connection, Cid* cid, byte* token, nuint length, nint user)
    {
        var target = Of(user);
        try
        {
            if (length != ConnectionId.Bytes) return Ngtcp2Errors.CallbackFailure;
            cid->Length = length;
            var id = new Span<byte>(cid->Data, ConnectionId.Bytes);
            RandomNumberGenerator.Fill(id);
            var reset = new Span<byte>(token, 16);
            if (target.secret is not null) target.secret.WriteResetToken(id, reset);
            else RandomNumberGenerator.Fill(reset); // never sent by anyone
            target.handler.OnConnectionIdAdded(target, ConnectionId.From(id));
            return 0;
        }
        catch (Exception e)
        {
            return target.Fault(e);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnRemoveConnectionId(nint connection, Cid* cid, nint user)
    {
        var target = Of(user);
        try
        {
            target.handler.OnConnectionIdRetired(target, ConnectionId.From(new ReadOnlySpan<byte>(cid->Data, (int)cid->Length)));
            return 0;
        }
        catch (Exception e)
        {
            return target.Fault(e);
        }
    }

    // For a server completion is confirmation (RFC 9001 § 4.1.2), and ngtcp2 tells it once. A client's completion comes before the server has
    // judged its certificate: it waits.
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnHandshakeCompleted(nint connection, nint user)
    {
        var target = Of(user);
        try
        {
            // Belt and braces: GnuTLS must have asked for the verdict by now, whatever the peer did.
            if (!target.peerAccepted) return target.Fault(new InvalidOperationException("The handshake ended without a verdict on the peer."));
            if (target.IsServer) target.BecomeConfirmed();
            return 0;
        }
        catch (Exception e)
        {
            return target.Fault(e);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnHandshakeConfirmed(nint connection, nint user)
    {
        var target = Of(user);
        try
        {
            target.BecomeConfirmed();
            return 0;
        }
        catch (Exception e)
        {
            return target.Fault(e);
        }
    }

    private void BecomeConfirmed()
    {
        if (State != QuicConnectionState.Handshaking) return;
        State = QuicConnectionState.Confirmed;
        if (clientChosenId is { } chosen) handler.OnConnectionIdRetired(this, chosen);
        clientChosenId = null;
        handler.OnConfirmed(this);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnStreamData(
        nint connection, uint flags, long id, ulong offset, byte* data, nuint length, nint user, nint stream)
    {
        var target = Of(user);
        try
        {
            if (target.State == QuicConnectionState.Closed || target.Find(stream) is not { } found) return 0;
            target.handler.OnStreamData(found, new ReadOnlySpan<byte>(data, (int)length), (flags & Ngtcp2.StreamDataFlagFin) != 0);
            return 0;
        }
        catch (Exception e)
        {
            return target.Fault(e);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnAcked(nint connection, long id, ulong offset, ulong length, nint user, nint stream)
    {
        var target = Of(user);
        try
        {
            return target.StreamAcked(stream, length);
        }
        catch (Exception e)
        {
            return target.Fault(e);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnStreamOpen(nint connection, long id, nint user)
    {
        var target = Of(user);
        try
        {
            return target.StreamOpened(id);
        }
        catch (Exception e)
        {
            return target.Fault(e);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnStreamClose(nint connection, uint flags, long id, ulong code, nint user, nint stream)
    {
        var target = Of(user);
        try
        {
            return target.StreamClosed(stream, (flags & Ngtcp2.StreamCloseFlagCodeSet) != 0 ? code : null);
        }
        catch (Exception e)
        {
            return target.Fault(e);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnStreamReset(nint connection, long id, ulong finalSize, ulong code, nint user, nint stream)
    {
        var target = Of(user);
        try
        {
            if (target.State != QuicConnectionState.Closed && target.Find(stream) is { } found) target.handler.OnStreamReset(found, code);
            return 0;
        }
        catch (Exception e)
        {
            return target.Fault(e);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnStreamsAvailable(nint connection, ulong limit, nint user)
    {
        var target = Of(user);
        try
        {
            if (target.State == QuicConnectionState.Confirmed) target.handler.OnStreamsAvailable(target);
            return 0;
        }
        catch (Exception e)
        {
            return target.Fault(e);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnStatelessReset(nint connection, nint reset, nint user)
    {
        Of(user).resetStatelessly = true;
        return 0;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnStreamWindow(nint connection, long id, ulong limit, nint user, nint stream)
    {
        var target = Of(user);
        try
        {
            if (target.Find(stream) is { } found) target.Ready(found);
            return 0;
        }
        catch (Exception e)
        {
            return target.Fault(e);
        }
    }
}
