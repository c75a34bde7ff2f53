using System.Runtime.InteropServices;
using Florete.Quic.Native;

namespace Florete.Quic;

/// <summary>Whether the native QUIC libraries are here.</summary>
public static unsafe class QuicLibrary
{
    // The struct layouts and versions passed are those of 1.11.
    private const int LeastVersion = 0x010B00;

    private static readonly Lazy<string?> Problem = new(Find);

    /// <summary>Null when QUIC works here, else one text for people that names what to install. Looked up once per process.</summary>
    public static string? Check() => Problem.Value;

    private static string? Find()
    {
        foreach (var library in (ReadOnlySpan<string>)[GnuTls.Library, Ngtcp2.Library, Ngtcp2Crypto.Library])
        {
            if (!NativeLibrary.TryLoad(library, out _))
            {
                return $"QUIC needs the native library {library}, which is not installed. On Debian: "
                    + "apt-get install libngtcp2-16 libngtcp2-crypto-gnutls8 (bookworm: from bookworm-backports).";
            }
        }
        var info = Ngtcp2.Version(LeastVersion);
        if (info is null)
        {
            var found = Marshal.PtrToStringUTF8((nint)Ngtcp2.Version(0)->VersionText);
            return $"QUIC needs ngtcp2 1.11 or newer; version {found} is installed. On Debian bookworm install libngtcp2-16 from bookworm-backports.";
        }
        return null;
    }

    /// <summary>The versions in use, for logs, such as "ngtcp2 1.11.0, GnuTLS 3.7.9". Call it only when <see cref="Check"/> gave null.</summary>
    public static string Describe() =>
        $"ngtcp2 {Marshal.PtrToStringUTF8((nint)Ngtcp2.Version(0)->VersionText)}, GnuTLS {Marshal.PtrToStringUTF8((nint)GnuTls.CheckVersion(null))}";
}
