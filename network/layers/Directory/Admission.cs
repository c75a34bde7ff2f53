using System.Security.Cryptography;
using System.Text;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>Why a record, chain or message was not taken. Names of counters, so they do not change.</summary>
public enum DirectoryRefusal
{
    /// <summary>Not the form of a message, record, body or chain.</summary>
    Malformed,

    /// <summary>The signer belongs to another cluster.</summary>
    ForeignCluster,

    /// <summary>An identity of that kind may not sign such a record.</summary>
    WrongKind,

    /// <summary>An unknown kind that says it must be understood.</summary>
    CriticalKind,

    /// <summary>The certificate chain proves nothing: unknown CA, expired, not an SVID.</summary>
    Certificate,

    /// <summary>The certificate proves another identity than the record's signer.</summary>
    WrongIdentity,

    /// <summary>The signature does not fit: forged or altered, or from another layer.</summary>
    Signature,

    /// <summary>The bounds do not let that vertex host the identity.</summary>
    Bounds,

    /// <summary>Older than what is held: replayed, or the neighbour is behind.</summary>
    Stale,

    /// <summary>Its age has run out.</summary>
    Expired,

    /// <summary>Its origin, or the directory, is full.</summary>
    Quota,

    /// <summary>Its origin changes too often.</summary>
    Rate,

    /// <summary>The neighbour sent too much that failed, or more than waits for one neighbour.</summary>
    PeerLimit,

    /// <summary>A certificate chain that nobody asked for.</summary>
    Unwanted,

    /// <summary>Refused a moment ago, and the same again.</summary>
    Repeated,

    /// <summary>Its certificate chain, or the record of its vertex, did not come in time.</summary>
    Unproved,

    /// <summary>The signer's SVID, or the authority of the node that issued it, is revoked.</summary>
    Revoked,
}

/// <summary>What became of a record that was offered.</summary>
internal enum AdmissionResult
{
    Accepted,

    /// <summary>Not for now and not for later; acknowledged, so that it is not sent again.</summary>
    Refused,

    /// <summary>Not now; comes again because it is not acknowledged.</summary>
    Later,

    /// <summary>Its certificate chain is missing.</summary>
    NeedsChain,

    /// <summary>The record of its vertex, in that incarnation, is missing.</summary>
    NeedsVertex,
}

/// <summary>Decides about records: cheap checks first, the signature last.</summary>
internal sealed class Admission(
    DirectoryOptions options, RecordStore store, IBounds bounds, SpiffeId self, RevocationList revocations, RevocationRecords revocationRecords)
{
    /// <summary>Checks a record that is newer than the one held; <paramref name="admitted"/> is set when it is accepted.</summary>
    public AdmissionResult Check(
        byte[] bytes, Instant now, DateTimeOffset wallClock, Instant deadline, out DirectoryRecord? admitted, out DirectoryRefusal refusal,
        out string? detail)
    {
        admitted = null;
        (refusal, detail) = (DirectoryRefusal.Malformed, null);
        if (!RecordView.TryParse(bytes, out var view)) return AdmissionResult.Refused;
        if (!TryReadId(view.Signer, out var signer)) return AdmissionResult.Refused;
        refusal = DirectoryRefusal.ForeignCluster;
        detail = signer.ToString();
        if (signer.Cluster != self.Cluster) return AdmissionResult.Refused;
        if (!TryReadContent(view, signer, out var vertex, out var body, out var revocation, out refusal)) return AdmissionResult.Refused;
        refusal = DirectoryRefusal.Expired;
        if (revocation?.NeededUntil < wallClock) return AdmissionResult.Refused;
        if (view.Kind == RecordKind.Service)
        {
            var life = CheckLife(view, signer, vertex!, ref refusal, ref detail);
            if (life != AdmissionResult.Accepted) return life;
        }
        var origin = store.FindOrigin(vertex ?? signer);
        refusal = DirectoryRefusal.Quota;
        if (!HasRoom(view, origin)) return AdmissionResult.Refused;
        refusal = DirectoryRefusal.Rate;
        if (origin is not null && !origin.Changes.Has(now)) return AdmissionResult.Later;
        if (!store.TryGetChain(view.Certificate, out var chain)) return AdmissionResult.NeedsChain;
        refusal = DirectoryRefusal.Certificate;
        if (chain.NotAfter + options.CertificateGrace < wallClock) return AdmissionResult.Refused;
        refusal = DirectoryRefusal.WrongIdentity;
        if (chain.Id != signer) return AdmissionResult.Refused;
        if (chain.StillAllowed(bounds) is { IsAllowed: false } issued)
        {
            (refusal, detail) = (DirectoryRefusal.Bounds, issued.Refusal);
            return AdmissionResult.Refused;
        }
        // An operator may revoke itself, and nothing else afterwards.
        if (revocation?.Subject != signer && revocations.Refusal(chain.Proof) is { } revoked)
        {
            (refusal, detail) = (DirectoryRefusal.Revoked, revoked);
            return AdmissionResult.Refused;
        }
        refusal = DirectoryRefusal.Signature;
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        view.HashToSign(options.Layer, hash);
        if (!SignatureForm.IsCanonical(view.Signature) || !chain.Verifies(hash, view.Signature)) return AdmissionResult.Refused;
        origin?.Changes.TryTake(now);
        admitted = new DirectoryRecord
        {
            Bytes = bytes,
            Key = view.Key(),
            Version = view.Version(),
            Kind = view.Kind,
            Flags = view.Flags,
            Signer = chain.Id,
            Vertex = vertex,
            Chain = chain,
            Deadline = (view.Flags & RecordFlags.Lasting) != 0 ? Instant.Never : deadline,
            Body = body,
            Revocation = revocation,
        };
        return AdmissionResult.Accepted;
    }

    /// <summary>True if the bounds still allow a record that is held.</summary>
    public bool StillAllowed(DirectoryRecord record) =>
        record.Chain.StillAllowed(bounds).IsAllowed && (record.Kind != RecordKind.Service || bounds.MayHost(record.Vertex!, record.Signer).IsAllowed);

    private static bool TryReadId(ReadOnlySpan<byte> text, out SpiffeId id) =>
        SpiffeId.TryParse(Encoding.Latin1.GetString(text), out id!, out _);

    private static bool TryReadContent(
        in RecordView view, SpiffeId signer, out SpiffeId? vertex, out VertexBody? body, out Revocation? revocation, out DirectoryRefusal refusal)
    {
        (vertex, body, revocation) = (null, null, null);
        refusal = DirectoryRefusal.WrongKind;
        var lasting = (view.Flags & RecordFlags.Lasting) != 0;
        switch (view.Kind)
        {
            case RecordKind.Vertex:
                if (signer.Kind != IdentityKind.Vertex || lasting) return false;
                vertex = signer;
                refusal = DirectoryRefusal.Malformed;
                return view.Subject.IsEmpty && VertexBody.TryDecode(view.Body, signer.Cluster, out body);
            case RecordKind.Service:
                if (signer.Kind is IdentityKind.Vertex or IdentityKind.Node || lasting) return false;
                refusal = DirectoryRefusal.Malformed;
                if (!TryReadId(view.Subject, out var publisher) || publisher.Kind != IdentityKind.Vertex || publisher.Cluster != signer.Cluster) return false;
                vertex = publisher;
                return VertexBody.AreSkippable(view.Body);
            case RecordKind.Revocation:
                if (signer.Kind != IdentityKind.Operator) return false;
                refusal = DirectoryRefusal.Malformed;
                return RevocationBody.TryRead(view, signer, out revocation);
            default:
                if (signer.Kind is not (IdentityKind.Vertex or IdentityKind.Operator) || (lasting && signer.Kind != IdentityKind.Operator)) return false;
                refusal = DirectoryRefusal.CriticalKind;
                return (view.Flags & RecordFlags.Critical) == 0;
        }
    }

    /// <summary>A service record belongs to one life of its vertex, and the bounds must let that vertex host the service.</summary>
    private AdmissionResult CheckLife(in RecordView view, SpiffeId signer, SpiffeId vertex, ref DirectoryRefusal refusal, ref string? detail)
    {
        var verdict = bounds.MayHost(vertex, signer);
        if (!verdict.IsAllowed)
        {
            (refusal, detail) = (DirectoryRefusal.Bounds, verdict.Refusal);
            return AdmissionResult.Refused;
        }
        var life = store.FindOrigin(vertex)?.VertexRecord?.Version.Incarnation;
        if (life is null || life < view.Incarnation) return AdmissionResult.NeedsVertex;
        refusal = DirectoryRefusal.Stale;
        return life > view.Incarnation ? AdmissionResult.Refused : AdmissionResult.Accepted;
    }

    /// <summary>True if what is held is by a signer that is revoked since.</summary>
    public bool IsRevoked(DirectoryRecord record) => record.Revocation?.Subject != record.Signer && revocations.Refusal(record.Chain.Proof) is not null;

    private bool HasRoom(in RecordView view, Origin? origin)
    {
        var held = store.Find(view.Key());
        var more = view.Bytes.Length - (held?.Bytes.Length ?? 0);
        // Whoever fills the directory must not keep itself from being revoked.
        if (view.Kind == RecordKind.Revocation) return revocationRecords.HasRoom(view.Key(), options.MaxRevocations);
        if (more > 0 && store.Bytes + more > options.MaxBytes) return false;
        if (origin is not null && origin.Bytes + more > options.MaxBytesPerOrigin) return false;
        if (held is not null) return true;
        if (store.Count >= options.MaxRecords) return false;
        return view.Kind switch
        {
            RecordKind.Vertex => store.Vertices < options.MaxVertices,
            RecordKind.Service => origin is null || origin.Services.Count < options.MaxServicesPerVertex,
            _ => (origin?.UnknownKinds ?? 0) < options.MaxUnknownPerSigner,
        };
    }
}
