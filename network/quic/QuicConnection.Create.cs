using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Florete.Quic.Native;
using Florete.Runtime;

namespace Florete.Quic;

/// <content>Beginning a connection on either side.</content>
public sealed unsafe partial class QuicConnection
{
    // TLS 1.3 alone, keys on P-256 or X25519. AES-128-GCM first: ChaCha20 in GnuTLS costs six times as much where AES instructions exist.
    private const string Priorities =
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
        + "-GROUP-ALL:+GROUP-SECP256R1:+GROUP-X25519:%DISABLE_TLS13_COMPAT_MODE";

    private const ushort AddressFamilyInet = 2;
    private const ulong ActiveConnectionIds = 4;

    /// <summary>Begins a connection as a client. The first packets are written by <see cref="Write"/>.</summary>
    /// <param name="options">What the connection is set to.</param>
    /// <param name="credentials">Who this side is.</param>
    /// <param name="serverName">The DNS name of the server: SNI.</param>
    /// <param name="verifyPeer">Judges the peer's chain (DER, leaf first): null accepts, else the reason of the refusal, which stays on this side.</param>
    /// <param name="handler">Is told what happens; connection IDs already inside this call.</param>
    /// <param name="now">The time.</param>
    /// <param name="secret">The secret behind stateless resets; without it this side sends none.</param>
    /// <exception cref="ArgumentException">An option or the server name is out of range.</exception>
    /// <exception cref="DllNotFoundException">A native library is missing; the text names what to install.</exception>
    public static QuicConnection Connect(
        QuicOptions options, QuicCredentials credentials, string serverName, Func<IReadOnlyList<byte[]>, string?> verifyPeer,
        IQuicHandler handler, Instant now, QuicEndpointSecret? secret = null) =>
        Connect(options, credentials, serverName, verifyPeer, handler, now, secret, encrypt: 0);

    internal static QuicConnection Connect(
        QuicOptions options, QuicCredentials credentials, string serverName, Func<IReadOnlyList<byte[]>, string?> verifyPeer,
        IQuicHandler handler, Instant now, QuicEndpointSecret? secret, nint encrypt)
    {
        ArgumentNullException.ThrowIfNull(credentials);
        if (serverName.Length is 0 or > 253 || !Ascii.IsValid(serverName)) throw new ArgumentException("A server name has 1 to 253 ASCII characters.", nameof(serverName));
        var made = new QuicConnection(options, handler, verifyPeer, null, secret) { ServerName = serverName, encrypt = encrypt };
        try
        {
            Span<byte> random = stackalloc byte[2 * ConnectionId.Bytes];
            RandomNumberGenerator.Fill(random);
            var dcid = Cid.From(random[..ConnectionId.Bytes]);
            var scid = Cid.From(random[ConnectionId.Bytes..]);
            made.Begin(&dcid, &scid, Ngtcp2.ProtocolVersion1, default, 0, null, now);
            made.BeginTls(credentials, serverName);
            handler.OnConnectionIdAdded(made, ConnectionId.From(random[ConnectionId.Bytes..]));
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Begins a connection as a server from the first packet of a client, and receives that packet. Null: the packet begins none (not an Initial, too
    /// short, unsupported version): drop it. Limit the number of half-open connections before calling (see <see cref="QuicEndpointSecret"/> for Retry).
    /// </summary>
    /// <param name="options">What the connection is set to.</param>
    /// <param name="selectCredentials">Whose connection it is, by the client's SNI (empty if it sent none); null refuses with the alert unrecognized_name.</param>
    /// <param name="verifyPeer">As for a client. A client without certificate is refused before, unless it chose <see cref="QuicOptions.AnonymousAlpn"/>: then nobody is asked.</param>
    /// <param name="handler">Is told what happens; connection IDs already inside this call.</param>
    /// <param name="initial">The packet.</param>
    /// <param name="now">The time.</param>
    /// <param name="secret">The secret behind stateless resets.</param>
    /// <param name="retry">What <see cref="QuicEndpointSecret.TryVerifyToken"/> gave for this packet, if the client came back after a Retry.</param>
    public static QuicConnection? Accept(
        QuicOptions options, Func<string, QuicCredentials?> selectCredentials, Func<IReadOnlyList<byte[]>, string?> verifyPeer,
        IQuicHandler handler, ReadOnlySpan<byte> initial, Instant now, QuicEndpointSecret? secret = null, QuicRetryProof? retry = null)
    {
        ArgumentNullException.ThrowIfNull(selectCredentials);
        var made = new QuicConnection(options, handler, verifyPeer, selectCredentials, secret) { IsServer = true };
        try
        {
            fixed (byte* data = initial)
            {
                PacketHeader header;
                if (initial.Length < QuicOptions.LeastPacketBytes || Ngtcp2.Accept(&header, data, (nuint)initial.Length) != 0
                    || header.Version != Ngtcp2.ProtocolVersion1)
                {
                    made.Dispose();
                    return null;
                }
                Span<byte> random = stackalloc byte[ConnectionId.Bytes];
                RandomNumberGenerator.Fill(random);
                var scid = Cid.From(random);
                var initialDcid = new ReadOnlySpan<byte>(header.Dcid.Data, (int)header.Dcid.Length);
                var chosen = ConnectionId.From(initialDcid);
                made.clientChosenId = chosen;
                // The client's source is our destination.
                made.Begin(&header.Scid, &scid, header.Version, initialDcid, retry is null ? 0 : header.TokenLength, header.Token, now, retry);
                made.BeginTls(null, null);
                handler.OnConnectionIdAdded(made, chosen);
                handler.OnConnectionIdAdded(made, ConnectionId.From(random));
            }
            made.Receive(initial, now);
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    private void Begin(
        Cid* dcid, Cid* scid, uint version, ReadOnlySpan<byte> initialDcid, nuint tokenLength, byte* token, Instant now, QuicRetryProof? retry = null)
    {
        lastTimestamp = ToTimestamp(now);
        native = (NativeBlock*)NativeMemory.AllocZeroed((nuint)sizeof(NativeBlock));
        native->LocalAddress = new SocketAddress { Family = AddressFamilyInet, Port = 1, Ip = 0x0100007F };
        native->RemoteAddress = new SocketAddress { Family = AddressFamilyInet, Port = 2, Ip = 0x0100007F };
        native->Path.Local = new Address { Socket = &native->LocalAddress, Length = 16 };
        native->Path.Remote = new Address { Socket = &native->RemoteAddress, Length = 16 };
        self = GCHandle.Alloc(this);
        native->Reference.UserData = GCHandle.ToIntPtr(self);

        Settings settings;
        Ngtcp2.SettingsDefault(Ngtcp2.SettingsVersion, &settings);
        settings.CongestionAlgorithm = (int)Options.CongestionControl;
        settings.InitialTimestamp = lastTimestamp;
        settings.InitialRtt = ToDuration(Options.InitialRoundTrip);
        settings.HandshakeTimeout = ToDuration(Options.HandshakeTimeout);
        settings.MaxTxUdpPayloadSize = (nuint)Options.MaxPacketBytes;
        settings.Token = token;
        settings.TokenLength = tokenLength;
        settings.TokenType = tokenLength > 0 ? 1 : 0;
        var probes = stackalloc ushort[Options.ProbedPacketBytes.Count];
        foreach (var probe in Options.ProbedPacketBytes)
        {
            if (probe <= Options.MaxPacketBytes) probes[settings.PmtudProbesLength++] = (ushort)probe;
        }
        settings.PmtudProbes = probes;
        // Without shaping, ngtcp2 takes the largest size for that of a segment in congestion control, whatever is really sent: a connection with
        // small packets on a slow path would grow twelve times as fast as its neighbours, and never shrink below two large packets.
        settings.NoTxUdpPayloadSizeShaping = Options.ProbedPacketBytes.Count > 0 ? (byte)0 : (byte)1;
        settings.NoPmtud = settings.PmtudProbesLength > 0 ? (byte)0 : (byte)1;

        TransportParams parameters;
        Ngtcp2.TransportParamsDefault(Ngtcp2.TransportParamsVersion, &parameters);
        parameters.InitialMaxStreamDataBidiLocal = (ulong)Options.StreamWindowBytes;
        parameters.InitialMaxStreamDataBidiRemote = (ulong)Options.StreamWindowBytes;
        parameters.InitialMaxData = (ulong)Options.ConnectionWindowBytes;
        parameters.InitialMaxStreamsBidi = (ulong)Options.MaxPeerStreams;
        parameters.MaxIdleTimeout = ToDuration(Options.IdleTimeout);
        parameters.MaxUdpPayloadSize = (ulong)Options.MaxPacketBytes;
        parameters.ActiveConnectionIdLimit = ActiveConnectionIds;
        parameters.DisableActiveMigration = 1;
        if (IsServer)
        {
            parameters.OriginalDcidPresent = 1;
            if (retry is not null)
            {
                parameters.OriginalDcid = Cid.From(retry.OriginalId);
                parameters.RetryScidPresent = 1;
                parameters.RetryScid = Cid.From(initialDcid);
            }
            else
            {
                parameters.OriginalDcid = Cid.From(initialDcid);
            }
            if (secret is not null)
            {
                parameters.StatelessResetTokenPresent = 1;
                secret.WriteResetToken(new ReadOnlySpan<byte>(scid->Data, ConnectionId.Bytes), new Span<byte>(parameters.StatelessResetToken, 16));
            }
        }

        var callbacks = (IsServer ? ServerCallbacks : ClientCallbacks).Value;
        if (encrypt != 0) callbacks.Encrypt = encrypt;
        nint created;
        var error = IsServer
            ? Ngtcp2.ServerNew(&created, dcid, scid, &native->Path, version, Ngtcp2.CallbacksVersion, &callbacks, Ngtcp2.SettingsVersion, &settings, Ngtcp2.TransportParamsVersion, &parameters, 0, native->Reference.UserData)
            : Ngtcp2.ClientNew(&created, dcid, scid, &native->Path, version, Ngtcp2.CallbacksVersion, &callbacks, Ngtcp2.SettingsVersion, &settings, Ngtcp2.TransportParamsVersion, &parameters, 0, native->Reference.UserData);
        if (error != 0) throw new InvalidOperationException($"ngtcp2 could not make a connection: {Ngtcp2Errors.Text(error)}");
        connection = created;
        if (Options.KeepAlive > TimeSpan.Zero) Ngtcp2.SetKeepAlive(connection, ToDuration(Options.KeepAlive));
    }

    private void BeginTls(QuicCredentials? own, string? serverName)
    {
        native->Reference.GetConnection = (nint)(delegate* unmanaged[Cdecl]<ConnectionReference*, nint>)&GetConnection;
        nint made;
        var flags = GnuTls.NoTickets | GnuTls.NoAutoSendTicket | GnuTls.NoEndOfEarlyData;
        CheckTls(GnuTls.Init(&made, flags | (IsServer ? GnuTls.Server : GnuTls.Client)));
        session = made;
        CheckTls(GnuTls.SetPriority(session, Priorities, null));
        GnuTls.SetPointer(session, &native->Reference);
        CheckTls(IsServer ? Ngtcp2Crypto.ConfigureServer(session) : Ngtcp2Crypto.ConfigureClient(session));
        GnuTls.SetVerify(session, &OnVerify);
        SetProtocols();
        if (IsServer)
        {
            GnuTls.SetPostClientHello(session, &OnClientHello);
            GnuTls.SetCertificateRequest(session, GnuTls.RequireCertificate);
        }
        else
        {
            UseCredentials(own!);
            var bytes = Encoding.ASCII.GetBytes(serverName!);
            fixed (byte* name = bytes) CheckTls(GnuTls.SetServerName(session, GnuTls.NameDns, name, (nuint)bytes.Length));
        }
        Ngtcp2.SetTlsHandle(connection, session);
    }

    private void SetProtocols()
    {
        var first = Encoding.ASCII.GetBytes(Options.Alpn);
        var second = Encoding.ASCII.GetBytes(Options.AnonymousAlpn ?? "");
        var protocols = stackalloc Datum[2];
        fixed (byte* one = first, two = second)
        {
            protocols[0] = new Datum { Data = one, Length = (uint)first.Length };
            protocols[1] = new Datum { Data = two, Length = (uint)second.Length };
            CheckTls(GnuTls.SetAlpn(session, protocols, IsServer && second.Length > 0 ? 2u : 1u, GnuTls.AlpnMandatory));
        }
    }

    private void UseCredentials(QuicCredentials own)
    {
        var handle = own.Acquire();
        credentials = own;
        CheckTls(GnuTls.SetCredentials(session, GnuTls.CredentialsCertificate, handle));
    }

    private static void CheckTls(int error)
    {
        if (error < 0) throw new InvalidOperationException($"GnuTLS could not make a session: {GnuTls.Text(error)}");
    }

    private static ulong ToDuration(TimeSpan span) => (ulong)span.Ticks * 100;
}
