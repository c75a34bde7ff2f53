using System.Diagnostics;
using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities.Tests;

/// <summary>Authorities, and certificates that break one rule each.</summary>
internal static class Pki
{
    public static readonly DateTimeOffset Now = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);

    public static readonly SpiffeId Hello = SpiffeId.Parse("spiffe://home/service/hello");

    public static CertificateAuthority Authority(string cluster = "home") => CertificateAuthority.Create(cluster, Now);

    public static PeerVerifier Verifier(this CertificateAuthority authority) => new(TrustBundle.Of(authority.Root));

    public static byte[][] Chain(X509Svid svid) => [svid.Leaf.RawData, .. svid.Intermediates.Select(i => i.RawData)];

    /// <summary>A leaf for <see cref="Hello"/> as changed by the caller, signed by the issuer.</summary>
    public static byte[] Leaf(
        X509Certificate2 issuer, string[]? uris = null, bool isAuthority = false, X509KeyUsageFlags usage = X509KeyUsageFlags.DigitalSignature,
        string[]? extendedUsages = null, ECDsa? key = null)
    {
        using var own = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=test", key ?? own, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(usage, true));
        var oids = new OidCollection();
        foreach (var oid in extendedUsages ?? ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]) oids.Add(new Oid(oid));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(oids, false));
        request.CertificateExtensions.Add(CertificateRules.AlternativeNames(uris ?? [Hello.ToString()], "hello.home.rete"));
        return request.Create(issuer.SubjectName, X509SignatureGenerator.CreateForECDsa(issuer.GetECDsaPrivateKey()!), Now, Now.AddHours(1), [1, 2, 3, 4]).RawData;
    }

    /// <summary>The authority of node a as changed by the caller, signed by the issuer.</summary>
    public static X509Certificate2 Intermediate(
        X509Certificate2 root, ECDsa key, string? uri = "spiffe://home", int? pathLength = 0, DateTimeOffset? until = null, string[]? nodes = null)
    {
        var request = new CertificateRequest("CN=node a", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, pathLength is not null, pathLength ?? 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        if (uri is not null) request.CertificateExtensions.Add(CertificateRules.AlternativeNames([uri], null));
        foreach (var (i, node) in (nodes ?? ["a"]).Index())
        {
            var extension = NodeExtension.Of(node);
            // The platform makes no extension twice: the second is given its identifier after.
            request.CertificateExtensions.Add(i == 0 ? extension : new X509Extension(OtherId, extension.RawData, false));
        }
        var made = request.Create(
            root.SubjectName, X509SignatureGenerator.CreateForECDsa(root.GetECDsaPrivateKey()!), Now, until ?? Now.AddHours(1), [5, 6, 7, 8]);
        return (nodes?.Length > 1 ? Altered(made, root, OtherId, NodeExtension.ObjectId) : made).CopyWithPrivateKey(key);
    }

    private const string OtherId = "2.25.1661894780016103819";

    /// <summary>The same certificate with one object identifier for another of its length, signed anew.</summary>
    private static X509Certificate2 Altered(X509Certificate2 certificate, X509Certificate2 root, string from, string to)
    {
        var outer = new AsnReader(certificate.RawData, AsnEncodingRules.DER).ReadSequence();
        var content = outer.ReadEncodedValue().ToArray();
        var algorithm = outer.ReadEncodedValue();
        Encoded(to).CopyTo(content.AsSpan(content.AsSpan().IndexOf(Encoded(from))));
        using var key = root.GetECDsaPrivateKey()!;
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            writer.WriteEncodedValue(content);
            writer.WriteEncodedValue(algorithm.Span);
            writer.WriteBitString(key.SignData(content, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence));
        }
        return X509CertificateLoader.LoadCertificate(writer.Encode());

        static byte[] Encoded(string oid)
        {
            var writer = new AsnWriter(AsnEncodingRules.DER);
            writer.WriteObjectIdentifier(oid);
            return writer.Encode();
        }
    }

    public static (int Code, string Output) Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd() + errors.Result;
        process.WaitForExit();
        return (process.ExitCode, output);
    }
}

/// <summary>A folder that is gone after the test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("florete-identities-").FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
