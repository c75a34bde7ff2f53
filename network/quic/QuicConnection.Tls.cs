using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Florete.Quic.Native;

namespace Florete.Quic;

/// <content>What GnuTLS asks during the handshake: which credentials, and whether the peer is accepted.</content>
public sealed unsafe partial class QuicConnection
{
    private const int MaxPeerChain = 16;
    private string? refusal;
    private bool peerAccepted;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static nint GetConnection(ConnectionReference* reference) => Of(reference->UserData).connection;

    private static QuicConnection OfSession(nint tls) => Of(((ConnectionReference*)GnuTls.GetPointer(tls))->UserData);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnClientHello(nint tls)
    {
        var target = OfSession(tls);
        try
        {
            return target.ChooseCredentials();
        }
        catch (Exception e)
        {
            target.Fault(e);
            return GnuTls.ErrorUnrecognizedName;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnVerify(nint tls)
    {
        var target = OfSession(tls);
        try
        {
            return target.JudgePeer();
        }
        catch (Exception e)
        {
            target.Fault(e);
            return GnuTls.ErrorCertificate;
        }
    }

    private int ChooseCredentials()
    {
        if (credentials is not null) return GnuTls.ErrorUnrecognizedName; // a second hello cannot change who we are
        Span<byte> name = stackalloc byte[256];
        nuint length = (nuint)name.Length;
        uint type;
        fixed (byte* data = name)
        {
            ServerName = GnuTls.GetServerName(session, data, &length, &type, 0) == 0 && length <= 255 && type == GnuTls.NameDns
                ? Encoding.ASCII.GetString(name[..(int)length])
                : "";
        }
        if (selectCredentials!(ServerName) is not { } own)
        {
            refusal = $"No identity here answers to the server name '{ServerName}'.";
            return GnuTls.ErrorUnrecognizedName;
        }
        UseCredentials(own);
        if (Options.AnonymousAlpn is { } anonymous && Protocol() == anonymous)
        {
            GnuTls.SetCertificateRequest(session, GnuTls.IgnoreCertificate);
            // There is nobody to judge.
            IsPeerAnonymous = true;
            peerAccepted = true;
        }
        return 0;
    }

    private string? Protocol()
    {
        Datum alpn;
        return GnuTls.GetAlpn(session, &alpn) == 0 ? Encoding.ASCII.GetString(alpn.Data, (int)alpn.Length) : null;
    }

    private int JudgePeer()
    {
        if (Protocol() is null)
        {
            refusal = $"The peer does not speak '{Options.Alpn}'.";
            return GnuTls.ErrorNoApplicationProtocol;
        }
        uint count;
        var certificates = GnuTls.GetPeerCertificates(session, &count);
        if (certificates is null || count is 0 or > MaxPeerChain)
        {
            refusal = count == 0 ? "The peer has shown no certificate." : $"The peer's chain has {count} certificates; at most {MaxPeerChain} are read.";
            return GnuTls.ErrorCertificate;
        }
        var chain = new byte[count][];
        for (var i = 0; i < chain.Length; i++) chain[i] = new ReadOnlySpan<byte>(certificates[i].Data, (int)certificates[i].Length).ToArray();
        PeerChain = chain;
        refusal = verifyPeer(chain);
        if (refusal is not null) return GnuTls.ErrorCertificate;
        peerAccepted = true;
        return 0;
    }

    private static string AlertText(int alert)
    {
        var name = Marshal.PtrToStringUTF8((nint)GnuTls.AlertName(alert)) ?? "unknown alert";
        return alert switch
        {
            42 or 43 or 44 or 46 => $"the certificate was refused (TLS alert {alert}: {name})",
            45 => $"the certificate has expired (TLS alert {alert}: {name})",
            48 => $"the issuer of the certificate is not known (TLS alert {alert}: {name})",
            112 => $"no identity answers to the server name (TLS alert {alert}: {name})",
            116 => $"a certificate is required (TLS alert {alert}: {name})",
            120 => $"no common application protocol (TLS alert {alert}: {name})",
            _ => $"TLS alert {alert}: {name}",
        };
    }
}
