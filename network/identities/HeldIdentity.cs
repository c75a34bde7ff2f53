using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities;

/// <summary>
/// An X.509-SVID with its private key: the leaf with key, and the intermediates that lead to a root of the bundle. Immutable.
/// </summary>
/// <param name="Id">The one URI SAN of the leaf.</param>
/// <param name="Leaf">The leaf; its private key is attached and never leaves this process.</param>
/// <param name="Intermediates">In order from the leaf's issuer upwards, without the root; often empty.</param>
public sealed record X509Svid(SpiffeId Id, X509Certificate2 Leaf, IReadOnlyList<X509Certificate2> Intermediates)
{
    public DateTimeOffset NotBefore => new(Leaf.NotBefore.ToUniversalTime(), TimeSpan.Zero);

    public DateTimeOffset NotAfter => new(Leaf.NotAfter.ToUniversalTime(), TimeSpan.Zero);

    /// <summary>Whom a leaf in DER names; nothing is proved by that. False: it names nobody, or is no certificate.</summary>
    public static bool TryReadId(ReadOnlySpan<byte> leafDer, [NotNullWhen(true)] out SpiffeId? id)
    {
        id = null;
        try
        {
            using var leaf = X509CertificateLoader.LoadCertificate(leafDer);
            return CertificateRules.TryReadSpiffeId(leaf, out id, out _);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }
}

/// <summary>
/// An identity that this node holds, whose SVID is replaced as it is renewed. Users keep the object and read <see cref="Current"/>
/// when they need a certificate. Thread-safe.
/// </summary>
public sealed class HeldIdentity(X509Svid svid)
{
    private volatile X509Svid current = svid;

    public SpiffeId Id { get; } = svid.Id;

    /// <summary>The newest SVID.</summary>
    public X509Svid Current => current;

    /// <summary>Raised after <see cref="Current"/> has changed, on the thread that renewed it.</summary>
    public event Action<HeldIdentity>? Renewed;

    /// <exception cref="ArgumentException">The new SVID names another identity.</exception>
    public void Renew(X509Svid newer)
    {
        if (newer.Id != Id) throw new ArgumentException($"An SVID for {newer.Id} cannot renew {Id}.", nameof(newer));
        current = newer;
        Renewed?.Invoke(this);
    }
}
