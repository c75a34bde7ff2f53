using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Quic.Tests;

/// <summary>Self-signed P-256 certificates.</summary>
internal sealed class TestIdentity
{
    private readonly byte[] key;

    public TestIdentity(string name)
    {
        using var ecdsa = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", ecdsa, HashAlgorithmName.SHA256);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddYears(1));
        Der = certificate.RawData;
        key = ecdsa.ExportPkcs8PrivateKey();
    }

    public byte[] Der { get; }

    public byte[] Pkcs8 => [.. key];

    public QuicCredentials Credentials() => QuicCredentials.Create([Der], Pkcs8);

    public string? Accepts(IReadOnlyList<byte[]> chain) => chain[0].AsSpan().SequenceEqual(Der) ? null : "not the expected certificate";
}
