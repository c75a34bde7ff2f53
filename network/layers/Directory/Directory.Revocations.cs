using Florete.Identities;

namespace Florete.Layers;

/// <content>Revocations that the node itself hands in (docs/protocols/revocation.md).</content>
public sealed partial class Directory
{
    // An operator's clock is at most 120 s ahead of ours, and writes a little more than its own now.
    private static readonly TimeSpan MostAhead = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Checks a signed revocation as a neighbour's record, sends it on, and completes when it is saved and in force here. Inside a turn; the task completes in one.
    /// </summary>
    /// <param name="message">As <see cref="SignedRevocation.Message"/>.</param>
    /// <exception cref="IdentityException">It is refused; the message says why, and the remedy.</exception>
    public Task<AnnouncedRevocation> AnnounceAsync(ReadOnlySpan<byte> message)
    {
        var now = loop.WallClock.GetUtcNow();
        if (!SignedRevocation.TryRead(message, out var signed, out var problem)) throw new IdentityException(problem);
        var content = signed.Content;
        if (content.Before > now + MostAhead)
        {
            throw new IdentityException($"This revocation is for SVIDs that begin before {content.Before:u}, and it is {now:u} here; check both clocks, and revoke again.");
        }
        if (!RecordView.TryParse(signed.Record, out var view)) throw new InvalidOperationException("A record that was just read does not parse.");
        var (key, version) = (view.Key(), view.Version());
        var isNew = store.Find(key) is not { } held || held.Version < version;
        if (isNew) Admit(signed, view.Certificate, now);
        var promise = new Runtime.LoopPromise<AnnouncedRevocation>(loop);
        revocationRecords.WhenApplied(key, () => promise.Set(new AnnouncedRevocation(content, isNew)));
        return promise.Task;
    }

    private void Admit(SignedRevocation signed, CertificateHash chainHash, DateTimeOffset now)
    {
        if (!store.TryGetChain(chainHash, out var chain))
        {
            chain = CertificateChain.Verify(signed.Chain, intake.Verifier, now, out var refusal);
            if (chain is null) throw new IdentityException($"This revocation is refused. {refusal}");
            store.AddChain(chain, loop.Now);
        }
        var result = admission.Check(signed.Record, loop.Now, now, Runtime.Instant.Never, out var record, out var reason, out var detail);
        if (result == AdmissionResult.Accepted)
        {
            counters.Accept();
            Take(record!, null);
            return;
        }
        counters.Refuse(reason, null, detail);
        throw new IdentityException(reason switch
        {
            DirectoryRefusal.ForeignCluster => $"This revocation is by {signed.Content.SignedBy}, and this node is of cluster '{Vertex.Cluster}'; hand it to a node of its own cluster.",
            DirectoryRefusal.Quota => $"This node holds {options.MaxRevocations} revocations, as many as it may. Let those that are no longer needed go sooner (florctl revoke --keep), or make a new root.",
            DirectoryRefusal.Certificate => $"The SVID of {signed.Content.SignedBy} has expired; issue the operator a new one and revoke again.",
            DirectoryRefusal.Expired => $"This revocation was needed until {signed.Content.NeededUntil:u}, and it is {now:u} here.",
            DirectoryRefusal.Rate => $"{signed.Content.SignedBy} has revoked too much at once; try again in a few seconds.",
            DirectoryRefusal.Revoked => $"This revocation is refused. {detail}",
            _ => $"This revocation is refused ({reason}): it is not signed by {signed.Content.SignedBy}, or was altered since, or is for another layer than '{options.Layer}'.",
        });
    }

    /// <summary>What the file kept is in force already; the neighbours are to have it as well.</summary>
    private void OfferKept(SignedRevocation kept)
    {
        intake.OfferChain(null, kept.Chain);
        intake.OfferRecord(null, kept.Record, DirectoryLimits.LastingAge);
    }
}
