namespace Florete.Identities;

/// <summary>The answer of a check: allowed, or refused with a reason that an operator can act on.</summary>
public readonly record struct Verdict
{
    private Verdict(string? refusal) => Refusal = refusal;

    public static Verdict Allowed => new(null);

    public bool IsAllowed => Refusal is null;

    /// <summary>Why not, naming the missing rule or the broken one; null when allowed.</summary>
    public string? Refusal { get; }

    public static Verdict Refused(string reason) => new(reason);
}

/// <summary>
/// What the operator allows. Default deny. The current bounds of a node may be replaced by a newer version at any time, so ask at
/// every use and keep no answer. Thread-safe.
/// </summary>
public interface IBounds
{
    /// <summary>May these two vertices form a link? Symmetric.</summary>
    Verdict MayLink(SpiffeId vertex, SpiffeId neighbour);

    /// <summary>May this caller open connections to this target?</summary>
    Verdict MayConnect(SpiffeId caller, SpiffeId target);

    /// <summary>May the node of this vertex hold the identity: publish it, or originate connections as it?</summary>
    Verdict MayHost(SpiffeId vertex, SpiffeId identity);

    /// <summary>May the group of this node (or vertex) be coordinated from there? Nobody may, unless the bounds say so.</summary>
    Verdict MayCoordinate(SpiffeId node) => Verdict.Refused("Nobody may coordinate here.");

    /// <summary>Raised after a newer version has taken effect.</summary>
    event Action? Changed;
}

/// <summary>Checks a peer's certificate chain against the trust bundle and the X.509-SVID rules (X509-SVID §4, §5). Thread-safe.</summary>
public interface IPeerVerifier
{
    /// <summary>
    /// Verifies <paramref name="derChain"/> (leaf first) at the wall-clock time <paramref name="now"/>, by the bounds of now if a node issued the leaf;
    /// returns the proved identity or why not.
    /// Never fetches anything from the network.
    /// </summary>
    PeerVerification Verify(IReadOnlyList<byte[]> derChain, DateTimeOffset now);

    /// <summary>The same whatever has been revoked: for what keeps proofs, and asks a <see cref="RevocationList"/> about them itself.</summary>
    PeerVerification VerifyWithoutRevocations(IReadOnlyList<byte[]> derChain, DateTimeOffset now) => Verify(derChain, now);
}

/// <summary>A proved identity with the end of its proof, or the reason of refusal.</summary>
/// <param name="Id">Who it is; null when refused.</param>
/// <param name="NotAfter">The earliest end in its chain.</param>
/// <param name="Refusal">Why not; null when proved.</param>
/// <param name="IssuingNode">The name of the node whose authority issued the leaf; null: the root itself did.</param>
public sealed record PeerVerification(SpiffeId? Id, DateTimeOffset NotAfter, string? Refusal, string? IssuingNode = null)
{
    /// <summary>The beginning of the leaf's validity; revocations are told by it.</summary>
    public DateTimeOffset NotBefore { get; init; }

    /// <summary>The beginning of the validity of the issuing node's authority, if one issued the leaf.</summary>
    public DateTimeOffset IssuerNotBefore { get; init; }

    /// <summary>What an SVID that is held here proves.</summary>
    public static PeerVerification Of(X509Svid svid)
    {
        var authority = svid.Intermediates.Count > 0 ? svid.Intermediates[0] : null;
        var node = authority is not null && NodeExtension.TryRead(authority, svid.Id.Cluster, out var name, out _) ? name : null;
        return new PeerVerification(svid.Id, svid.NotAfter, null, node)
        {
            NotBefore = svid.NotBefore,
            IssuerNotBefore = authority is null ? default : new DateTimeOffset(authority.NotBefore.ToUniversalTime(), TimeSpan.Zero),
        };
    }

    /// <summary>
    /// Do the bounds of now still let the issuing node issue this identity? The verifier asked when the proof was made; whoever keeps a proof (a
    /// connection, a record) asks again when the bounds change.
    /// </summary>
    public Verdict StillAllowed(IBounds bounds) =>
        Id is null || IssuingNode is null ? Verdict.Allowed : NodeAuthority.MayIssue(IssuingNode, Id, bounds);
}
