using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Florete.Identities;

/// <summary>
/// SVIDs as files of a folder: <c>&lt;kind&gt;-&lt;name&gt;.pem</c> (leaf first, then intermediates) and <c>&lt;kind&gt;-&lt;name&gt;.key</c>
/// (PKCS#8 PEM, 0600). While a pair is replaced, the key file holds the new key and the one before, so that at any moment, and after a crash,
/// the certificate finds its key.
/// </summary>
public static class SvidFiles
{
    private const int MaxKeyFileBytes = 16 * 1024;
    private const int MaxChainFileBytes = 64 * 1024;

    private const string Reissue = "issue the identity again";

    // A reader between two renames of a writer reads again; a third mismatch is real.
    private const int Attempts = 3;

    public static string CertificatePath(string folder, SpiffeId id) => Path.Combine(folder, $"{id.Kind.Word()}-{id.Name}.pem");

    public static string KeyPath(string folder, SpiffeId id) => Path.Combine(folder, $"{id.Kind.Word()}-{id.Name}.key");

    /// <summary>Writes or replaces the pair; makes the folder (0700) if needed.</summary>
    /// <exception cref="IOException">A file cannot be written; the old pair is still usable.</exception>
    public static void Write(string folder, X509Svid svid)
    {
        using var key = svid.Leaf.GetECDsaPrivateKey() ?? throw new ArgumentException($"The SVID of {svid.Id} has no private key.", nameof(svid));
        var chain = string.Concat(svid.Intermediates.Prepend(svid.Leaf).Select(certificate => certificate.ExportCertificatePem() + "\n"));
        WritePair(CertificatePath(folder, svid.Id), chain, key);
    }

    /// <summary>Reads a pair, given the certificate's file.</summary>
    /// <exception cref="IdentityException">
    /// A file is missing or malformed, the key can be read by others, or they do not belong together; the message names file and remedy.
    /// </exception>
    public static X509Svid Read(string certificateFile) => ReadPair(
        certificateFile, Reissue, (chain, key) => new X509Svid(ReadId(chain[0], certificateFile), chain[0].CopyWithPrivateKey(key), chain.Skip(1).ToArray()));

    /// <summary>Writes or replaces certificates and the key of the first, in the three steps that leave a usable pair at any moment.</summary>
    internal static void WritePair(string certificateFile, string certificates, ECDsa key)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(certificateFile))!;
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(folder);
        else Directory.CreateDirectory(folder, AtomicFile.OwnerOnlyFolder);
        var keyFile = Path.ChangeExtension(certificateFile, ".key");
        var newKey = key.ExportPkcs8PrivateKeyPem() + "\n";
        var oldKey = KeyInUse(certificateFile, keyFile);
        AtomicFile.Write(keyFile, newKey + oldKey, AtomicFile.OwnerOnly);
        AtomicFile.Write(certificateFile, certificates, AtomicFile.EveryoneReads);
        if (oldKey.Length > 0) AtomicFile.Write(keyFile, newKey, AtomicFile.OwnerOnly);
    }

    /// <summary>Reads a pair that <see cref="WritePair"/> wrote, also while it writes.</summary>
    internal static T ReadPair<T>(string certificateFile, string remedy, Func<IReadOnlyList<X509Certificate2>, ECDsa, T> make)
    {
        for (var attempt = 1; ; attempt++)
        {
            var chain = ReadCertificates(ReadText(certificateFile, "certificate", MaxChainFileBytes, remedy), certificateFile);
            if (chain.Count == 0) throw new IdentityException($"{certificateFile}: there is no certificate in it; {remedy}.");
            if (chain.Count > PeerVerifier.MaxCertificates)
            {
                throw new IdentityException(
                    $"{certificateFile}: it has {chain.Count} certificates; at most {PeerVerifier.MaxCertificates} are allowed.");
            }
            try
            {
                using var key = ReadKey(Path.ChangeExtension(certificateFile, ".key"), chain[0], remedy);
                return make(chain, key);
            }
            catch (KeyMismatchException) when (attempt < Attempts)
            {
            }
            catch (KeyMismatchException e)
            {
                throw new IdentityException(e.Message);
            }
            catch (CryptographicException e)
            {
                // The platform parses certificates lazily: a malformed part may show at any access.
                throw new IdentityException($"{certificateFile}: the certificate in it is malformed; {remedy}.", e);
            }
        }
    }

    internal static ECDsa ReadKey(string file, X509Certificate2 certificate, string remedy = Reissue)
    {
        var text = ReadText(file, "private key", MaxKeyFileBytes, remedy);
        var keys = 0;
        using var publicKey = certificate.GetECDsaPublicKey() ?? throw new IdentityException($"{file}: its certificate has no ECDSA key; {remedy}.");
        var wanted = publicKey.ExportSubjectPublicKeyInfo();
        foreach (var block in Blocks(text, "PRIVATE KEY"))
        {
            keys++;
            var key = ECDsa.Create();
            try
            {
                key.ImportPkcs8PrivateKey(block, out _);
                if (key.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(wanted)) return key;
            }
            catch (CryptographicException e)
            {
                key.Dispose();
                throw new IdentityException($"{file}: the key in it is not a PKCS#8 ECDSA key; {remedy}.", e);
            }
            finally
            {
                CryptographicOperations.ZeroMemory(block);
            }
            key.Dispose();
        }
        if (keys == 0) throw new IdentityException($"{file}: there is no PRIVATE KEY block in it; {remedy}.");
        throw new KeyMismatchException($"{file}: the key does not belong to the certificate beside it; {remedy}.");
    }

    internal static List<X509Certificate2> ReadCertificates(string pem, string source)
    {
        var certificates = new List<X509Certificate2>();
        foreach (var block in Blocks(pem, "CERTIFICATE"))
        {
            try
            {
                certificates.Add(X509CertificateLoader.LoadCertificate(block));
            }
            catch (CryptographicException e)
            {
                throw new IdentityException($"{source}: certificate {certificates.Count + 1} in it is malformed; copy or issue the file again.", e);
            }
            if (certificates.Count > TrustBundle.MaxRoots) break;
        }
        return certificates;
    }

    /// <summary>Reads a whole small file; a private key only if nobody but the owner can.</summary>
    internal static string ReadText(string file, string what, int maxBytes, string remedy = "issue it with florctl, or correct the path")
    {
        try
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            if (what == "private key" && !OperatingSystem.IsWindows())
            {
                // Asked of the open file, so that it is the one that is read.
                var mode = File.GetUnixFileMode(stream.SafeFileHandle);
                if ((mode & ~(AtomicFile.OwnerOnlyFolder)) != 0)
                {
                    throw new IdentityException($"{file}: others than its owner can reach this private key (mode {Convert.ToString((int)mode, 8)}); run: chmod 600 {file}");
                }
            }
            if (stream.Length > maxBytes) throw new IdentityException($"{file}: this {what} has {stream.Length} bytes; at most {maxBytes} are allowed.");
            using var reader = new StreamReader(stream, Encoding.UTF8);
            return reader.ReadToEnd();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new IdentityException($"{file}: there is no such {what}; {remedy}.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IdentityException($"{file}: this {what} cannot be read: {e.Message}", e);
        }
    }

    private static SpiffeId ReadId(X509Certificate2 leaf, string file)
    {
        if (!CertificateRules.TryReadSpiffeId(leaf, out var id, out var error)) throw new IdentityException($"{file}: {error}; issue the identity again.");
        if (CertificateRules.LeafProblem(leaf, id.Cluster, out _) is { } problem)
        {
            throw new IdentityException($"{file}: this certificate is no SVID: {problem}; issue the identity again.");
        }
        return id;
    }

    // The key of the certificate that is there: it need not be the first, if a writer was killed after its first step.
    internal static string KeyInUse(string certificateFile, string keyFile)
    {
        if (!File.Exists(keyFile)) return "";
        ReadText(keyFile, "private key", MaxKeyFileBytes);
        try
        {
            var chain = ReadCertificates(ReadText(certificateFile, "certificate", MaxChainFileBytes), certificateFile);
            if (chain.Count == 0) return "";
            using var key = ReadKey(keyFile, chain[0]);
            return key.ExportPkcs8PrivateKeyPem() + "\n";
        }
        catch (Exception e) when (e is IdentityException or KeyMismatchException or CryptographicException)
        {
            // There is no usable pair to keep.
            return "";
        }
    }

    private static List<byte[]> Blocks(string pem, string label)
    {
        var blocks = new List<byte[]>();
        var rest = pem.AsSpan();
        while (blocks.Count <= TrustBundle.MaxRoots && PemEncoding.TryFind(rest, out var fields))
        {
            if (rest[fields.Label].SequenceEqual(label)) blocks.Add(Convert.FromBase64String(rest[fields.Base64Data].ToString()));
            rest = rest[fields.Location.End..];
        }
        return blocks;
    }

    internal sealed class KeyMismatchException(string message) : Exception(message);
}
