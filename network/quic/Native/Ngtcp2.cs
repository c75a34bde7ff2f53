using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace Florete.Quic.Native;

/// <summary>
/// The calls of ngtcp2. Only <c>*_versioned</c> symbols are exported; the version passed is the one of the struct in Structs.cs.
/// <c>SuppressGCTransition</c> marks the calls that are short and never call back.
/// </summary>
internal static unsafe partial class Ngtcp2
{
    public const string Library = "libngtcp2.so.16";
    public const int PacketInfoVersion = 1;
    public const int SettingsVersion = 2;
    public const int TransportParamsVersion = 1;
    public const int CallbacksVersion = 1;
    public const int ConnectionInfoVersion = 1;
    public const uint ProtocolVersion1 = 1;

    public const uint WriteFlagMore = 1;
    public const uint WriteFlagFin = 2;
    public const uint StreamDataFlagFin = 1;
    public const uint StreamCloseFlagCodeSet = 1;

    [LibraryImport(Library, EntryPoint = "ngtcp2_version")]
    public static partial LibraryInfo* Version(int leastVersion);

    [LibraryImport(Library, EntryPoint = "ngtcp2_strerror")]
    public static partial byte* ErrorText(int error);

    [LibraryImport(Library, EntryPoint = "ngtcp2_settings_default_versioned")]
    public static partial void SettingsDefault(int version, Settings* settings);

    [LibraryImport(Library, EntryPoint = "ngtcp2_transport_params_default_versioned")]
    public static partial void TransportParamsDefault(int version, TransportParams* parameters);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_client_new_versioned")]
    public static partial int ClientNew(
        nint* connection, Cid* dcid, Cid* scid, NetworkPath* path, uint version, int callbacksVersion, Callbacks* callbacks,
        int settingsVersion, Settings* settings, int paramsVersion, TransportParams* parameters, nint memory, nint userData);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_server_new_versioned")]
    public static partial int ServerNew(
        nint* connection, Cid* dcid, Cid* scid, NetworkPath* path, uint version, int callbacksVersion, Callbacks* callbacks,
        int settingsVersion, Settings* settings, int paramsVersion, TransportParams* parameters, nint memory, nint userData);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_del")]
    public static partial void Delete(nint connection);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_set_tls_native_handle")]
    public static partial void SetTlsHandle(nint connection, nint session);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_get_tls_alert")]
    public static partial byte GetTlsAlert(nint connection);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_set_keep_alive_timeout")]
    public static partial void SetKeepAlive(nint connection, ulong timeout);

    [LibraryImport(Library, EntryPoint = "ngtcp2_accept")]
    public static partial int Accept(PacketHeader* header, byte* packet, nuint length);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_read_pkt_versioned")]
    public static partial int ReadPacket(
        nint connection, NetworkPath* path, int packetInfoVersion, PacketInfo* info, byte* packet, nuint length, ulong timestamp);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_writev_stream_versioned")]
    public static partial nint WriteStream(
        nint connection, NetworkPath* path, int packetInfoVersion, PacketInfo* info, byte* destination, nuint length, nint* accepted,
        uint flags, long stream, Vec* data, nuint count, ulong timestamp);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_write_connection_close_versioned")]
    public static partial nint WriteClose(
        nint connection, NetworkPath* path, int packetInfoVersion, PacketInfo* info, byte* destination, nuint length, CloseError* error,
        ulong timestamp);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_handle_expiry")]
    public static partial int HandleExpiry(nint connection, ulong timestamp);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_get_expiry")]
    [SuppressGCTransition]
    public static partial ulong GetExpiry(nint connection);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_get_pto")]
    [SuppressGCTransition]
    public static partial ulong GetPto(nint connection);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_update_pkt_tx_time")]
    [SuppressGCTransition]
    public static partial void UpdateTxTime(nint connection, ulong timestamp);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_get_send_quantum")]
    [SuppressGCTransition]
    public static partial nuint GetSendQuantum(nint connection);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_get_path_max_tx_udp_payload_size")]
    [SuppressGCTransition]
    public static partial nuint GetPathMaxPayload(nint connection);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_get_conn_info_versioned")]
    [SuppressGCTransition]
    public static partial void GetInfo(nint connection, int version, ConnectionInfo* info);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_get_stream_loss_count")]
    [SuppressGCTransition]
    public static partial nuint GetStreamLossCount(nint connection, long stream);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_get_ccerr")]
    public static partial CloseError* GetCloseError(nint connection);

    [LibraryImport(Library, EntryPoint = "ngtcp2_ccerr_set_liberr")]
    public static partial void SetLibraryError(CloseError* error, int code, byte* reason, nuint reasonLength);

    [LibraryImport(Library, EntryPoint = "ngtcp2_ccerr_set_tls_alert")]
    public static partial void SetTlsAlert(CloseError* error, byte alert, byte* reason, nuint reasonLength);

    [LibraryImport(Library, EntryPoint = "ngtcp2_ccerr_set_transport_error")]
    public static partial void SetTransportError(CloseError* error, ulong code, byte* reason, nuint reasonLength);

    [LibraryImport(Library, EntryPoint = "ngtcp2_ccerr_set_application_error")]
    public static partial void SetApplicationError(CloseError* error, ulong code, byte* reason, nuint reasonLength);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_open_bidi_stream")]
    public static partial int OpenStream(nint connection, long* stream, nint streamUserData);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_set_stream_user_data")]
    public static partial int SetStreamUserData(nint connection, long stream, nint streamUserData);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_shutdown_stream_write")]
    public static partial int ShutdownStreamWrite(nint connection, uint flags, long stream, ulong code);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_shutdown_stream_read")]
    public static partial int ShutdownStreamRead(nint connection, uint flags, long stream, ulong code);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_extend_max_stream_offset")]
    public static partial int ExtendStreamWindow(nint connection, long stream, ulong bytes);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_extend_max_offset")]
    [SuppressGCTransition]
    public static partial void ExtendConnectionWindow(nint connection, ulong bytes);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_extend_max_streams_bidi")]
    [SuppressGCTransition]
    public static partial void ExtendMaxStreams(nint connection, nuint count);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_get_max_data_left")]
    [SuppressGCTransition]
    public static partial ulong GetMaxDataLeft(nint connection);

    [LibraryImport(Library, EntryPoint = "ngtcp2_conn_is_local_stream")]
    [SuppressGCTransition]
    public static partial int IsLocalStream(nint connection, long stream);

    [LibraryImport(Library, EntryPoint = "ngtcp2_pkt_write_version_negotiation")]
    public static partial nint WriteVersionNegotiation(
        byte* destination, nuint length, byte random, byte* dcid, nuint dcidLength, byte* scid, nuint scidLength, uint* versions,
        nuint count);

    [LibraryImport(Library, EntryPoint = "ngtcp2_pkt_write_stateless_reset")]
    public static partial nint WriteStatelessReset(byte* destination, nuint length, byte* token, byte* random, nuint randomLength);
}
