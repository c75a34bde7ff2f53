using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities;

/// <summary>
/// What a cluster is: its name and the SHA-256 of its first root certificate (DER). Two clusters named "home" stay two.
/// </summary>
public sealed record ClusterIdentity
{
    /// <summary>Bytes of the hash.</summary>
    public const int HashBytes = 32;

    /// <param name="name">The cluster's name, the trust domain.</param>
    /// <param name="rootHash">32 bytes.</param>
    /// <exception cref="ArgumentException">The hash is not 32 bytes long.</exception>
    public ClusterIdentity(string name, ReadOnlySpan<byte> rootHash)
    {
        if (rootHash.Length != HashBytes) throw new ArgumentException($"A root hash has {HashBytes} bytes.", nameof(rootHash));
        Name = name;
        RootHash = Convert.ToHexStringLower(rootHash);
    }

    public string Name { get; }

    /// <summary>Lower-case hexadecimal, 64 digits.</summary>
    public string RootHash { get; }

    public static ClusterIdentity Of(string name, X509Certificate2 firstRoot) => new(name, SHA256.HashData(firstRoot.RawDataMemory.Span));

    public byte[] RootHashBytes() => Convert.FromHexString(RootHash);

    public override string ToString() => $"{Name} ({RootHash[..16]}…)";
}
