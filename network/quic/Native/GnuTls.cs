using System.Runtime.InteropServices;

namespace Florete.Quic.Native;

/// <summary>The calls of GnuTLS 3.7.</summary>
internal static unsafe partial class GnuTls
{
    public const string Library = "libgnutls.so.30";
    public const uint Server = 1;
    public const uint Client = 1 << 1;
    public const uint NoTickets = 1 << 10;
    public const uint NoAutoSendTicket = 1 << 21;
    public const uint NoEndOfEarlyData = 1 << 22;
    public const int CredentialsCertificate = 1;
    public const int IgnoreCertificate = 0;
    public const int RequireCertificate = 2;
    public const int FormatDer = 0;
    public const uint Pkcs8Plain = 1;
    public const uint NameDns = 1;
    public const uint AlpnMandatory = 1;
    public const int ErrorCertificate = -43;
    public const int ErrorUnrecognizedName = -294;
    public const int ErrorNoApplicationProtocol = -344;

    [LibraryImport(Library, EntryPoint = "gnutls_check_version")]
    public static partial byte* CheckVersion(byte* required);

    [LibraryImport(Library, EntryPoint = "gnutls_strerror")]
    public static partial byte* ErrorText(int error);

    [LibraryImport(Library, EntryPoint = "gnutls_alert_get_name")]
    public static partial byte* AlertName(int alert);

    [LibraryImport(Library, EntryPoint = "gnutls_init")]
    public static partial int Init(nint* session, uint flags);

    [LibraryImport(Library, EntryPoint = "gnutls_deinit")]
    public static partial void Deinit(nint session);

    [LibraryImport(Library, EntryPoint = "gnutls_priority_set_direct", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SetPriority(nint session, string priorities, byte** errorPosition);

    [LibraryImport(Library, EntryPoint = "gnutls_session_set_ptr")]
    public static partial void SetPointer(nint session, void* pointer);

    [LibraryImport(Library, EntryPoint = "gnutls_session_get_ptr")]
    public static partial void* GetPointer(nint session);

    [LibraryImport(Library, EntryPoint = "gnutls_session_set_verify_function")]
    public static partial void SetVerify(nint session, delegate* unmanaged[Cdecl]<nint, int> function);

    [LibraryImport(Library, EntryPoint = "gnutls_handshake_set_post_client_hello_function")]
    public static partial void SetPostClientHello(nint session, delegate* unmanaged[Cdecl]<nint, int> function);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_server_set_request")]
    public static partial void SetCertificateRequest(nint session, int request);

    [LibraryImport(Library, EntryPoint = "gnutls_credentials_set")]
    public static partial int SetCredentials(nint session, int type, nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_server_name_set")]
    public static partial int SetServerName(nint session, uint type, byte* name, nuint length);

    [LibraryImport(Library, EntryPoint = "gnutls_server_name_get")]
    public static partial int GetServerName(nint session, byte* name, nuint* length, uint* type, uint index);

    [LibraryImport(Library, EntryPoint = "gnutls_alpn_set_protocols")]
    public static partial int SetAlpn(nint session, Datum* protocols, uint count, uint flags);

    [LibraryImport(Library, EntryPoint = "gnutls_alpn_get_selected_protocol")]
    public static partial int GetAlpn(nint session, Datum* protocol);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_get_peers")]
    public static partial Datum* GetPeerCertificates(nint session, uint* count);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_allocate_credentials")]
    public static partial int AllocateCredentials(nint* credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_free_credentials")]
    public static partial void FreeCredentials(nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_set_x509_key")]
    public static partial int SetCredentialsKey(nint credentials, nint* certificates, int count, nint key);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_crt_init")]
    public static partial int CertificateInit(nint* certificate);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_crt_import")]
    public static partial int CertificateImport(nint certificate, Datum* data, int format);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_crt_deinit")]
    public static partial void CertificateDeinit(nint certificate);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_privkey_init")]
    public static partial int KeyInit(nint* key);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_privkey_import_pkcs8")]
    public static partial int KeyImportPkcs8(nint key, Datum* data, int format, byte* password, uint flags);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_privkey_deinit")]
    public static partial void KeyDeinit(nint key);

    public static string Text(int error) => Marshal.PtrToStringUTF8((nint)ErrorText(error)) ?? "unknown error";
}
