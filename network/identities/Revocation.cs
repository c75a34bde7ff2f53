namespace Florete.Identities;

/// <summary>Why an identity's SVIDs are refused: codes of RFC 5280 §5.3.1. Values that are not listed are passed on as they are.</summary>
public enum RevocationReason : byte
{
    Unspecified = 0,
    KeyCompromise = 1,
    AffiliationChanged = 3,
    Superseded = 4,
    CessationOfOperation = 5,
    PrivilegeWithdrawn = 9,
}

/// <summary>An operator's word that an identity's SVIDs are worth nothing any more (docs/protocols/revocation.md). Verified before it becomes this type.</summary>
/// <param name="Subject">Whose SVIDs; of kind node or vertex: everything of that node.</param>
/// <param name="Before">SVIDs whose NotBefore is earlier are refused.</param>
/// <param name="Reason">Why.</param>
/// <param name="Text">Why, in words; may be empty. Without control characters.</param>
/// <param name="SignedBy">The operator.</param>
/// <param name="SignedAt">By the operator's clock.</param>
/// <param name="NeededUntil">No SVID that it hits is valid after.</param>
public sealed record Revocation(
    SpiffeId Subject, DateTimeOffset Before, RevocationReason Reason, string Text, SpiffeId SignedBy, DateTimeOffset SignedAt, DateTimeOffset NeededUntil)
{
    /// <summary>
    /// How far after the operator's now the time of a revocation lies: an SVID that was issued just now by a clock 120 s ahead begins 60 s from now, and
    /// certificates count whole seconds.
    /// </summary>
    public static readonly TimeSpan Lead = TimeSpan.FromSeconds(61);

    /// <summary>Does it hit the node of this name?</summary>
    public bool IsOfNode => Subject.Kind is IdentityKind.Node or IdentityKind.Vertex;

    /// <summary>
    /// The time to give to who issues the identity anew: not before <paramref name="now"/>, and so late that the SVID begins, in whole seconds, when the revocation
    /// hits it no more.
    /// </summary>
    public DateTimeOffset ReissueTime(DateTimeOffset now)
    {
        var first = DateTimeOffset.FromUnixTimeSeconds((Before.ToUnixTimeMilliseconds() + 999) / 1000) + CertificateAuthority.Backdating;
        return first > now ? first : now;
    }

    /// <summary>A sentence for people that names the revocation.</summary>
    public string Describe(string what) =>
        $"{what} was revoked by {SignedBy.Path} at {SignedAt:u} ({Word(Reason)}{(Text.Length > 0 ? $": {Text}" : "")})";

    /// <summary>The reason as it is written in commands: <c>key-compromise</c>.</summary>
    public static string Word(RevocationReason reason) => reason switch
    {
        RevocationReason.Unspecified => "unspecified",
        RevocationReason.KeyCompromise => "key-compromise",
        RevocationReason.AffiliationChanged => "affiliation-changed",
        RevocationReason.Superseded => "superseded",
        RevocationReason.CessationOfOperation => "cessation-of-operation",
        RevocationReason.PrivilegeWithdrawn => "privilege-withdrawn",
        _ => $"reason {(byte)reason}",
    };
}
