using System.Security.Cryptography;
using Florete.Quic.Native;

namespace Florete.Quic;

/// <summary>
/// A certificate chain with its private key, held by the TLS library and shared by many connections, of any thread. Connections keep it alive:
/// it may be disposed while they run.
/// </summary>
public sealed unsafe class QuicCredentials : IDisposable
{
    /// <summary>Certificates in a chain; deeper ones are refused.</summary>
    public const int MaxChain = 8;

    private readonly Lock gate = new();
    private nint handle;
    private int references = 1;
    private bool disposed;

    private QuicCredentials(nint handle) => this.handle = handle;

    /// <summary>Makes credentials.</summary>
    /// <param name="derChain">The certificates in DER, leaf first.</param>
    /// <param name="pkcs8">The leaf's private key, unencrypted PKCS#8 in DER; <b>overwritten with zeros</b>, also on failure.</param>
    /// <exception cref="CryptographicException">A certificate or the key cannot be read, or they do not belong together.</exception>
    public static QuicCredentials Create(IReadOnlyList<byte[]> derChain, Span<byte> pkcs8)
    {
        var certificates = stackalloc nint[MaxChain];
        nint key = 0, credentials = 0;
        var count = 0;
        try
        {
            if (derChain.Count is 0 or > MaxChain) throw new CryptographicException($"A certificate chain has 1 to {MaxChain} certificates; this one has {derChain.Count}.");
            for (; count < derChain.Count; count++)
            {
                Check(GnuTls.CertificateInit(&certificates[count]), "certificate");
                fixed (byte* data = derChain[count])
                {
                    var datum = new Datum { Data = data, Length = (uint)derChain[count].Length };
                    var error = GnuTls.CertificateImport(certificates[count], &datum, GnuTls.FormatDer);
                    if (error < 0) GnuTls.CertificateDeinit(certificates[count]);
                    Check(error, $"certificate {count + 1} of the chain");
                }
            }
            Check(GnuTls.KeyInit(&key), "private key");
            fixed (byte* data = pkcs8)
            {
                var datum = new Datum { Data = data, Length = (uint)pkcs8.Length };
                Check(GnuTls.KeyImportPkcs8(key, &datum, GnuTls.FormatDer, null, GnuTls.Pkcs8Plain), "private key");
            }
            Check(GnuTls.AllocateCredentials(&credentials), "credentials");
            Check(GnuTls.SetCredentialsKey(credentials, certificates, count, key), "certificate chain and its key");
            var made = new QuicCredentials(credentials);
            credentials = 0;
            return made;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(pkcs8);
            while (count > 0) GnuTls.CertificateDeinit(certificates[--count]);
            if (key != 0) GnuTls.KeyDeinit(key);
            if (credentials != 0) GnuTls.FreeCredentials(credentials);
        }
    }

    /// <summary>Of a client that shows no certificate (<see cref="QuicOptions.AnonymousAlpn"/> at the server).</summary>
    public static QuicCredentials CreateAnonymous()
    {
        nint credentials;
        Check(GnuTls.AllocateCredentials(&credentials), "credentials");
        return new QuicCredentials(credentials);
    }

    /// <summary>The owner's reference ends; the key leaves memory with the last connection that uses it.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed) return;
            disposed = true;
        }
        Release();
    }

    internal nint Acquire()
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            references++;
            return handle;
        }
    }

    internal void Release()
    {
        nint last;
        lock (gate)
        {
            if (--references > 0) return;
            (last, handle) = (handle, 0);
        }
        GnuTls.FreeCredentials(last);
    }

    private static void Check(int error, string what)
    {
        if (error < 0) throw new CryptographicException($"The {what} cannot be used: {GnuTls.Text(error)}");
    }
}
