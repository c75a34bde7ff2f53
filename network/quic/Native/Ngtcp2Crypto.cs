using System.Runtime.InteropServices;

namespace Florete.Quic.Native;

/// <summary>The GnuTLS glue of ngtcp2: its callbacks are passed to ngtcp2 as they are, without a detour through managed code.</summary>
internal static unsafe partial class Ngtcp2Crypto
{
    public const string Library = "libngtcp2_crypto_gnutls.so.8";

    [LibraryImport(Library, EntryPoint = "ngtcp2_crypto_gnutls_configure_client_session")]
    public static partial int ConfigureClient(nint session);

    [LibraryImport(Library, EntryPoint = "ngtcp2_crypto_gnutls_configure_server_session")]
    public static partial int ConfigureServer(nint session);

    [LibraryImport(Library, EntryPoint = "ngtcp2_crypto_write_retry")]
    public static partial nint WriteRetry(
        byte* destination, nuint length, uint version, Cid* dcid, Cid* scid, Cid* originalDcid, byte* token, nuint tokenLength);

    [LibraryImport(Library, EntryPoint = "ngtcp2_crypto_generate_retry_token2")]
    public static partial nint GenerateRetryToken(
        byte* token, byte* secret, nuint secretLength, uint version, byte* address, uint addressLength, Cid* retryScid,
        Cid* originalDcid, ulong timestamp);

    [LibraryImport(Library, EntryPoint = "ngtcp2_crypto_verify_retry_token2")]
    public static partial int VerifyRetryToken(
        Cid* originalDcid, byte* token, nuint tokenLength, byte* secret, nuint secretLength, uint version, byte* address,
        uint addressLength, Cid* dcid, ulong timeout, ulong timestamp);
}
