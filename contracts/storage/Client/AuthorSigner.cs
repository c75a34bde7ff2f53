using Florete.Identities;
using Florete.Portals;
using Florete.Storage.Contracts;

namespace Florete.Storage.Client;

/// <summary>
/// Signs versions as the portal's identity. A version names its author and the hash of the author's chain, and is signed with both in it: so the chain is learnt from one signature, and a
/// version that was signed by another (the SVID was renewed meanwhile) is made once more. Thread-safe.
/// </summary>
internal sealed class AuthorSigner(IProgramPortal portal)
{
    // An SVID is renewed in hours; twice in a row while one version is signed is a fault.
    private const int MaxTries = 3;

    private volatile Author? known;

    /// <summary>The version, signed, and its author's chain as it is sent.</summary>
    /// <exception cref="StorageClientException">The portal cannot sign now, or not as anybody.</exception>
    /// <exception cref="FormatException">What is to be signed is no version.</exception>
    public async Task<(DocumentVersion Version, byte[] Chain)> SignAsync(Func<SpiffeId, ChainHash, VersionDraft> make, CancellationToken cancellationToken)
    {
        var author = known ?? AuthorOf(await SignAsync(ReadOnlyMemory<byte>.Empty, cancellationToken).ConfigureAwait(false));
        for (var tries = 0; tries < MaxTries; tries++)
        {
            var draft = make(author.Id, author.Hash);
            var signature = await SignAsync(draft.Content, cancellationToken).ConfigureAwait(false);
            if (ReferenceEquals(signature.Chain, author.Source) || AuthorOf(signature) is var signer && signer.Hash == author.Hash) return (draft.WithSignature(signature.Bytes.Span), author.Chain);
            author = signer;
        }
        throw new StorageClientException(StorageError.Unavailable, "The SVID of this portal changes with each signature; look at what renews it.");
    }

    private async Task<PortalSignature> SignAsync(ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        try
        {
            return await portal.SignAsync(StorageProtocol.SigningPurpose, content, cancellationToken).ConfigureAwait(false);
        }
        catch (PortalException e)
        {
            throw new StorageClientException(e.Error == PortalError.Refused ? StorageError.Forbidden : StorageError.Unavailable, $"The portal does not sign: {e.Message}", e);
        }
    }

    private Author AuthorOf(PortalSignature signature)
    {
        if (signature.Chain.Count == 0 || !X509Svid.TryReadId(signature.Chain[0], out var id))
            throw new StorageClientException(StorageError.Unexpected, "The portal signs as nobody: its certificate names no identity.");
        var chain = EncodedChain.Encode(signature.Chain);
        return known = new Author(id, chain, ChainHash.Of(chain), signature.Chain);
    }

    private sealed record Author(SpiffeId Id, byte[] Chain, ChainHash Hash, IReadOnlyList<byte[]> Source);
}
