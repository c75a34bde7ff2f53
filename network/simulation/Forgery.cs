using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Florete.Identities;

namespace Florete.Simulation;

/// <summary>What an honest <see cref="NodeAuthority"/> refuses to issue, for tests of those who must refuse it as well.</summary>
public static class Forgery
{
    /// <summary>An SVID, well-formed but for who issued it, in the name of an identity that the node has no right to.</summary>
    public static X509Svid Leaf(NodeAuthority node, SpiffeId id)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=forged", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1"), new Oid("1.3.6.1.5.5.7.3.2")], false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddUri(new Uri(id.ToString()));
        request.CertificateExtensions.Add(names.Build());
        using var leaf = request.Create(node.Certificate, node.NotBefore, node.NotAfter, RandomNumberGenerator.GetBytes(16));
        return new X509Svid(id, leaf.CopyWithPrivateKey(key), [node.Certificate]);
    }
}
