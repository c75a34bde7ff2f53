using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using Florete.Quic.Native;

namespace Florete.Quic.Tests;

/// <summary>Compares the structs here with those of the installed headers (libngtcp2-dev, libgnutls28-dev, gcc).</summary>
public class LayoutTests
{
    private static readonly (Type Here, string There, string Fields)[] Structs =
    [
        (typeof(Cid), "ngtcp2_cid", "datalen data"),
        (typeof(Vec), "ngtcp2_vec", "base len"),
        (typeof(PacketInfo), "ngtcp2_pkt_info", "ecn"),
        (typeof(PacketHeader), "ngtcp2_pkt_hd", "dcid scid pkt_num token tokenlen pkt_numlen len version type flags"),
        (typeof(PreferredAddress), "ngtcp2_preferred_addr", "cid ipv4 ipv6 ipv4_present ipv6_present stateless_reset_token"),
        (typeof(VersionInfo), "ngtcp2_version_info", "chosen_version available_versions available_versionslen"),
        (typeof(TransportParams), "ngtcp2_transport_params",
            "preferred_addr original_dcid initial_scid retry_scid initial_max_stream_data_bidi_local initial_max_stream_data_bidi_remote "
            + "initial_max_stream_data_uni initial_max_data initial_max_streams_bidi initial_max_streams_uni max_idle_timeout "
            + "max_udp_payload_size active_connection_id_limit ack_delay_exponent max_ack_delay max_datagram_frame_size "
            + "stateless_reset_token_present disable_active_migration original_dcid_present initial_scid_present retry_scid_present "
            + "preferred_addr_present stateless_reset_token grease_quic_bit version_info version_info_present"),
        (typeof(Settings), "ngtcp2_settings",
            "qlog_write cc_algo initial_ts initial_rtt log_printf max_tx_udp_payload_size token tokenlen token_type rand_ctx max_window "
            + "max_stream_window ack_thresh no_tx_udp_payload_size_shaping handshake_timeout preferred_versions preferred_versionslen "
            + "available_versions available_versionslen original_version no_pmtud initial_pkt_num pmtud_probes pmtud_probeslen"),
        (typeof(ConnectionInfo), "ngtcp2_conn_info", "latest_rtt min_rtt smoothed_rtt rttvar cwnd ssthresh bytes_in_flight"),
        (typeof(CloseError), "ngtcp2_ccerr", "type error_code frame_type reason reasonlen"),
        (typeof(Address), "ngtcp2_addr", "addr addrlen"),
        (typeof(NetworkPath), "ngtcp2_path", "local remote user_data"),
        (typeof(ConnectionReference), "ngtcp2_crypto_conn_ref", "get_conn user_data"),
        (typeof(LibraryInfo), "ngtcp2_info", "age version_num version_str"),
        (typeof(Datum), "gnutls_datum_t", "data size"),
        (typeof(Callbacks), "ngtcp2_callbacks",
            "client_initial recv_client_initial recv_crypto_data handshake_completed recv_version_negotiation encrypt decrypt hp_mask "
            + "recv_stream_data acked_stream_data_offset stream_open stream_close recv_stateless_reset recv_retry "
            + "extend_max_local_streams_bidi extend_max_local_streams_uni rand get_new_connection_id remove_connection_id update_key "
            + "path_validation select_preferred_addr stream_reset extend_max_remote_streams_bidi extend_max_remote_streams_uni "
            + "extend_max_stream_data dcid_status handshake_confirmed recv_new_token delete_crypto_aead_ctx delete_crypto_cipher_ctx "
            + "recv_datagram ack_datagram lost_datagram get_path_challenge_data stream_stop_sending version_negotiation recv_rx_key "
            + "recv_tx_key tls_early_data_rejected"),
    ];

    // Names of constants in the headers, and what is passed or compared here.
    private static readonly (string There, long Here)[] Constants =
    [
        ("NGTCP2_SETTINGS_VERSION", Ngtcp2.SettingsVersion),
        ("NGTCP2_TRANSPORT_PARAMS_VERSION", Ngtcp2.TransportParamsVersion),
        ("NGTCP2_CALLBACKS_VERSION", Ngtcp2.CallbacksVersion),
        ("NGTCP2_CONN_INFO_VERSION", Ngtcp2.ConnectionInfoVersion),
        ("NGTCP2_PKT_INFO_VERSION", Ngtcp2.PacketInfoVersion),
        ("NGTCP2_WRITE_STREAM_FLAG_MORE", Ngtcp2.WriteFlagMore),
        ("NGTCP2_WRITE_STREAM_FLAG_FIN", Ngtcp2.WriteFlagFin),
        ("NGTCP2_STREAM_DATA_FLAG_FIN", Ngtcp2.StreamDataFlagFin),
        ("NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET", Ngtcp2.StreamCloseFlagCodeSet),
        ("NGTCP2_CC_ALGO_RENO", (long)QuicCongestionControl.Reno),
        ("NGTCP2_CC_ALGO_CUBIC", (long)QuicCongestionControl.Cubic),
        ("NGTCP2_CC_ALGO_BBR", (long)QuicCongestionControl.Bbr),
        ("NGTCP2_ERR_STREAM_DATA_BLOCKED", Ngtcp2Errors.StreamDataBlocked),
        ("NGTCP2_ERR_CRYPTO", Ngtcp2Errors.Crypto),
        ("NGTCP2_ERR_STREAM_SHUT_WR", Ngtcp2Errors.StreamShutWrite),
        ("NGTCP2_ERR_STREAM_NOT_FOUND", Ngtcp2Errors.StreamNotFound),
        ("NGTCP2_ERR_RECV_VERSION_NEGOTIATION", Ngtcp2Errors.RecvVersionNegotiation),
        ("NGTCP2_ERR_CLOSING", Ngtcp2Errors.Closing),
        ("NGTCP2_ERR_DRAINING", Ngtcp2Errors.Draining),
        ("NGTCP2_ERR_WRITE_MORE", Ngtcp2Errors.WriteMore),
        ("NGTCP2_ERR_RETRY", Ngtcp2Errors.Retry),
        ("NGTCP2_ERR_DROP_CONN", Ngtcp2Errors.DropConnection),
        ("NGTCP2_ERR_HANDSHAKE_TIMEOUT", Ngtcp2Errors.HandshakeTimeout),
        ("NGTCP2_ERR_IDLE_CLOSE", Ngtcp2Errors.IdleClose),
        ("NGTCP2_ERR_CALLBACK_FAILURE", Ngtcp2Errors.CallbackFailure),
        ("GNUTLS_NO_TICKETS", GnuTls.NoTickets),
        ("GNUTLS_NO_AUTO_SEND_TICKET", GnuTls.NoAutoSendTicket),
        ("GNUTLS_NO_END_OF_EARLY_DATA", GnuTls.NoEndOfEarlyData),
        ("GNUTLS_CRD_CERTIFICATE", GnuTls.CredentialsCertificate),
        ("GNUTLS_CERT_REQUIRE", GnuTls.RequireCertificate),
        ("GNUTLS_X509_FMT_DER", GnuTls.FormatDer),
        ("GNUTLS_PKCS_PLAIN", GnuTls.Pkcs8Plain),
        ("GNUTLS_NAME_DNS", GnuTls.NameDns),
        ("GNUTLS_ALPN_MANDATORY", GnuTls.AlpnMandatory),
        ("GNUTLS_E_CERTIFICATE_ERROR", GnuTls.ErrorCertificate),
        ("GNUTLS_E_UNRECOGNIZED_NAME", GnuTls.ErrorUnrecognizedName),
        ("GNUTLS_E_NO_APPLICATION_PROTOCOL", GnuTls.ErrorNoApplicationProtocol),
    ];

    [Fact]
    public void Structs_and_constants_are_those_of_the_installed_headers()
    {
        var source = new StringBuilder(
            "#include <stdio.h>\n#include <stddef.h>\n#include <ngtcp2/ngtcp2.h>\n#include <ngtcp2/ngtcp2_crypto.h>\n#include <gnutls/gnutls.h>\n#include <gnutls/x509.h>\nint main(void) {\n");
        var expected = new StringBuilder();
        foreach (var (here, there, fields) in Structs)
        {
            source.Append($"printf(\"{there} %zu\\n\", sizeof({there}));\n");
            expected.Append($"{there} {Marshal.SizeOf(here)}\n");
            var mine = here.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).OrderBy(f => f.MetadataToken).ToArray();
            var theirs = fields.Split(' ');
            Assert.Equal(theirs.Length, mine.Length);
            for (var i = 0; i < theirs.Length; i++)
            {
                source.Append($"printf(\"{there}.{theirs[i]} %zu\\n\", offsetof({there}, {theirs[i]}));\n");
                expected.Append($"{there}.{theirs[i]} {Marshal.OffsetOf(here, mine[i].Name)}\n");
            }
        }
        foreach (var (there, here) in Constants)
        {
            source.Append($"printf(\"{there} %lld\\n\", (long long)({there}));\n");
            expected.Append($"{there} {here}\n");
        }
        source.Append("return 0;\n}\n");
        Assert.Equal(expected.ToString(), CompileAndRun(source.ToString()));
    }

    private static string CompileAndRun(string source)
    {
        var folder = Directory.CreateTempSubdirectory("florete-layout");
        try
        {
            var program = Path.Combine(folder.FullName, "layout");
            File.WriteAllText(program + ".c", source);
            Run("cc", $"-o {program} {program}.c");
            return Run(program, "");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static string Run(string file, string arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(file, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{file} failed; this test needs gcc, libngtcp2-dev, libngtcp2-crypto-gnutls-dev and libgnutls28-dev: {errors.Result}");
        return output;
    }
}
