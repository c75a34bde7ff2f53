using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Florete.Identities;
using Florete.Quic;

namespace Florete.Layers;

/// <summary>The TLS library's copies of the SVIDs that this endpoint holds: one for each identity, replaced when it is renewed. Loop-affine.</summary>
internal sealed class CredentialStore : IDisposable
{
    private readonly Dictionary<SpiffeId, (X509Svid Svid, QuicCredentials Credentials)> held = [];

    /// <summary>Credentials for the identity's current SVID.</summary>
    /// <exception cref="CryptographicException">The key or a certificate is unusable.</exception>
    public QuicCredentials For(HeldIdentity identity)
    {
        var svid = identity.Current;
        if (held.TryGetValue(identity.Id, out var known))
        {
            if (ReferenceEquals(known.Svid, svid)) return known.Credentials;
            known.Credentials.Dispose();
        }
        var credentials = Create(svid);
        held[identity.Id] = (svid, credentials);
        return credentials;
    }

    public void Dispose()
    {
        foreach (var (_, credentials) in held.Values) credentials.Dispose();
        held.Clear();
    }

    private static QuicCredentials Create(X509Svid svid)
    {
        using var key = svid.Leaf.GetECDsaPrivateKey()
            ?? throw new CryptographicException($"The SVID of {svid.Id} has no ECDSA private key.");
        return QuicCredentials.Create([svid.Leaf.RawData, .. svid.Intermediates.Select(static c => c.RawData)], key.ExportPkcs8PrivateKey());
    }
}
