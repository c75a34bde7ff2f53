using Florete.Identities;
using Florete.Storage.Contracts;

namespace Florete.Storage;

/// <summary>A version that is valid by the bounds of a moment ago, and was signed by its author. Only the verifier makes one, and tests.</summary>
internal sealed record VerifiedVersion(DocumentVersion Version, byte[] Chain);

/// <summary>What a verifier found: a verified version, an unknown chain, or a problem.</summary>
internal readonly record struct Verification(VerifiedVersion? Verified, string? Problem)
{
    public bool IsChainUnknown => Verified is null && Problem is null;
}

/// <summary>Checks versions, whoever sent them, cheap checks first. Thread-safe; used outside of the writer's turn, since a signature takes its time.</summary>
internal sealed class VersionVerifier(IWriteRules rules, AuthorProofs proofs, Func<ChainHash, byte[]?> findCommitted)
{
    /// <param name="version">What to check.</param>
    /// <param name="chain">The author's chain, if the sender gave it.</param>
    public Verification Verify(DocumentVersion version, byte[]? chain)
    {
        if (rules.MayWrite(version.Author, version.Key.Collection, version.Stamp).Refusal is { } refusal) return new Verification(null, refusal);
        var proof = proofs.Prove(version.Chain, version.Stamp, hash => chain ?? findCommitted(hash), out var problem);
        if (proof is null) return new Verification(null, problem);
        if (proof.Id != version.Author) return new Verification(null, $"The version says that {version.Author} made it, and its certificate is that of {proof.Id}.");
        if (!proof.Signed(version)) return new Verification(null, $"The signature of {version.Author} does not fit the version.");
        return new Verification(new VerifiedVersion(version, proof.Encoded), null);
    }

    /// <summary>Is a version that was verified once still valid?</summary>
    public bool IsValid(in VersionRow row, Func<ChainHash, byte[]?> findChain)
    {
        if (!SpiffeId.TryParse(row.Author, out var author, out _)) return false;
        return rules.MayWrite(author, row.Key.Collection, row.Stamp).IsAllowed && proofs.Prove(row.Chain, row.Stamp, findChain, out _) is not null;
    }
}
