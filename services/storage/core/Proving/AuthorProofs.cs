using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Florete.Identities;
using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>
/// Proves chains at the time of a stamp, and remembers them by their hash. What is valid at two moments is valid between them, so a chain is proved anew only for a
/// stamp outside of those it was proved for. Thread-safe.
/// </summary>
internal sealed class AuthorProofs(IPeerVerifier peers)
{
    // A native key each. When full it starts over.
    private const int MaxRemembered = 1024;

    // Replaced whole, so that what was proved before a change is not remembered after it.
    private volatile ConcurrentDictionary<ChainHash, AuthorProof> remembered = new();

    /// <summary>The proof of a chain, valid at the stamp; null with a reason.</summary>
    /// <param name="hash">Of the chain.</param>
    /// <param name="at">When it must have been valid.</param>
    /// <param name="find">Gives the encoded chain when it is not remembered; null: nobody has it.</param>
    /// <param name="problem">Why not; null where the chain is unknown.</param>
    public AuthorProof? Prove(ChainHash hash, Stamp at, Func<ChainHash, byte[]?> find, out string? problem)
    {
        problem = null;
        var known = remembered;
        if (known.TryGetValue(hash, out var proof) && proof.Covers(at)) return proof;
        var encoded = proof?.Encoded ?? find(hash);
        if (encoded is null) return null;
        if (ChainHash.Of(encoded) != hash || !EncodedChain.TryDecode(encoded, out var derChain))
        {
            problem = $"The certificate chain is not the one that the version names ({hash}); send that one.";
            return null;
        }
        var verification = peers.Verify(derChain, at.Time);
        if (verification.Id is null)
        {
            problem = verification.Refusal ?? "The author's certificate chain is refused.";
            return null;
        }
        if (proof is not null)
        {
            proof.Extend(at);
            return proof;
        }
        var key = Key(derChain[0]);
        if (key is null)
        {
            problem = $"The key of {verification.Id} is not ECDSA P-256; authors need such a key.";
            return null;
        }
        if (known.Count >= MaxRemembered) known.Clear();
        proof = new AuthorProof(verification.Id, encoded, key, at);
        return known.GetOrAdd(hash, proof);
    }

    /// <summary>Forgets all proofs: what they were made by has changed.</summary>
    public void Clear() => remembered = new ConcurrentDictionary<ChainHash, AuthorProof>();

    private static ECDsa? Key(byte[] leaf)
    {
        try
        {
            using var certificate = X509CertificateLoader.LoadCertificate(leaf);
            var key = certificate.GetECDsaPublicKey();
            if (key is null || key.ExportParameters(false).Curve.Oid.Value == ECCurve.NamedCurves.nistP256.Oid.Value) return key;
            key.Dispose();
            return null;
        }
        catch (CryptographicException)
        {
            return null;
        }
    }
}

/// <summary>A chain that has been proved, and the stamps for which it was. Thread-safe.</summary>
internal sealed class AuthorProof(SpiffeId id, byte[] encoded, ECDsa key, Stamp at)
{
    private readonly Lock gate = new();
    private Stamp from = at;
    private Stamp until = at;

    public SpiffeId Id { get; } = id;

    public byte[] Encoded { get; } = encoded;

    public bool Covers(Stamp stamp)
    {
        lock (gate) return from <= stamp && stamp <= until;
    }

    public void Extend(Stamp to)
    {
        lock (gate)
        {
            if (to < from) from = to;
            if (to > until) until = to;
        }
    }

    /// <summary>Did the holder of the leaf's key sign the version?</summary>
    public bool Signed(DocumentVersion version)
    {
        // A native key is used by one thread at a time.
        lock (gate) return ProgramSignature.Verify(key, StorageProtocol.SigningPurpose, version.Content.Span, version.Signature.Span);
    }
}
