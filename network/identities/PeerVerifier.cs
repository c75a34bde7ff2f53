using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Florete.Identities;

/// <summary>
/// Proves peers against the roots of one cluster: a chain of at most <see cref="MaxCertificates"/>, the X.509-SVID rules on every
/// certificate of it, validity with a grace for clocks that are off. Fetches nothing. Thread-safe.
/// </summary>
public sealed class PeerVerifier(TrustBundle bundle, IBounds? bounds = null, RevocationList? revocations = null) : IPeerVerifier
{
    /// <summary>Leaf, an intermediate per node, one spare; roots are ours and need not be sent.</summary>
    public const int MaxCertificates = 4;

    /// <summary>Ours have about 600 bytes.</summary>
    public const int MaxCertificateBytes = 8 * 1024;

    /// <summary>
    /// Two nodes whose clocks are 60 s off in opposite directions differ by 120 s. So much is forgiven at both ends of a validity.
    /// </summary>
    public static readonly TimeSpan ClockGrace = TimeSpan.FromMinutes(2);

    // A chain that was proved is proved again by its hash and the clock: the roots are fixed here. When full it starts over.
    private const int MaxRemembered = 4096;

    private readonly ConcurrentDictionary<string, Proof> remembered = new(StringComparer.Ordinal);

    /// <inheritdoc />
    public PeerVerification Verify(IReadOnlyList<byte[]> derChain, DateTimeOffset now)
    {
        var proof = VerifyWithoutRevocations(derChain, now);
        // Asked at every use: a chain that was proved may have been revoked since.
        return revocations?.Refusal(proof) is { } revoked ? Refuse(revoked) : proof;
    }

    /// <inheritdoc />
    public PeerVerification VerifyWithoutRevocations(IReadOnlyList<byte[]> derChain, DateTimeOffset now)
    {
        if (derChain.Count == 0) return Refuse("The peer sent no certificate.");
        if (derChain.Count > MaxCertificates) return Refuse($"The peer sent {derChain.Count} certificates; at most {MaxCertificates} are allowed.");
        for (var i = 0; i < derChain.Count; i++)
        {
            if (derChain[i].Length > MaxCertificateBytes)
            {
                return Refuse($"Certificate {i + 1} of the peer has {derChain[i].Length} bytes; at most {MaxCertificateBytes} are allowed.");
            }
        }
        var key = Key(derChain);
        if (!remembered.TryGetValue(key, out var proof))
        {
            string? refusal;
            try
            {
                refusal = Prove(derChain, out proof);
            }
            catch (Exception e) when (e is CryptographicException or ArgumentException or FormatException or InvalidOperationException)
            {
                // The platform's parsers are lazy: a malformed part may show at any access.
                refusal = "The peer's certificate is malformed.";
            }
            if (refusal is not null) return Refuse(refusal);
            if (remembered.Count >= MaxRemembered) remembered.Clear();
            remembered[key] = proof!;
        }
        if (now + ClockGrace < proof!.NotBefore)
        {
            return Refuse($"The SVID of {proof.Id} is not valid before {proof.NotBefore:u}, and it is {now:u} here; check both clocks.");
        }
        if (now - ClockGrace > proof.NotAfter)
        {
            return Refuse($"The SVID of {proof.Id} has expired on {proof.NotAfter:u}, and it is {now:u} here; renew it, or check the clocks.");
        }
        // Asked at every use: the bounds change, the proof does not.
        if (proof.IssuingNode is { } node && NodeAuthority.MayIssue(node, proof.Id, bounds ?? Deny.All) is { IsAllowed: false } forbidden)
        {
            return Refuse($"The SVID of {proof.Id} was issued by node {node}, and that is not allowed: {forbidden.Refusal}");
        }
        return new PeerVerification(proof.Id, proof.NotAfter, null, proof.IssuingNode) { NotBefore = proof.LeafNotBefore, IssuerNotBefore = proof.IssuerNotBefore };
    }

    /// <summary>
    /// Verifies the authority of a node (DER), which is no peer: to which node it belongs, or why not. The identity is the node's.
    /// </summary>
    public PeerVerification VerifyAuthority(byte[] der, DateTimeOffset now)
    {
        try
        {
            if (der.Length is 0 or > MaxCertificateBytes || der[0] != 0x30) return Refuse("The node authority is malformed.");
            using var authority = X509CertificateLoader.LoadCertificate(der);
            if (CertificateRules.NodeAuthorityProblem(authority, bundle.Cluster, out var node) is { } problem) return Refuse($"The node authority is refused: {problem}.");
            using var chain = NewChain([]);
            try
            {
                if (!chain.Build(authority) || chain.ChainElements.Count != 2) return Refuse($"The authority of node {node} was issued by nobody whom cluster '{bundle.Cluster}' knows.");
            }
            finally
            {
                foreach (var element in chain.ChainElements) element.Certificate.Dispose();
            }
            var (from, until) = (Issuance.Utc(authority.NotBefore), Issuance.Utc(authority.NotAfter));
            if (now + ClockGrace < from || now - ClockGrace > until) return Refuse($"The authority of node {node} is valid from {from:u} to {until:u}, and it is {now:u} here.");
            var proof = new PeerVerification(SpiffeId.Of(bundle.Cluster, IdentityKind.Node, node!), until, null, node) { NotBefore = from, IssuerNotBefore = from };
            return revocations?.Refusal(proof) is { } revoked ? Refuse(revoked) : proof;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or FormatException or InvalidOperationException)
        {
            return Refuse("The node authority is malformed.");
        }
    }

    private X509Chain NewChain(IEnumerable<X509Certificate2> between)
    {
        var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(bundle.Roots.ToArray());
        chain.ChainPolicy.ExtraStore.AddRange(between.ToArray());
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        // Time is checked apart, with grace, at every use of the proof.
        chain.ChainPolicy.VerificationFlags = X509VerificationFlags.IgnoreNotTimeValid;
        return chain;
    }

    private string? Prove(IReadOnlyList<byte[]> derChain, out Proof? proof)
    {
        proof = null;
        var sent = new List<X509Certificate2>();
        try
        {
            foreach (var der in derChain)
            {
                // The loader would take PEM too; only DER is sent in handshakes.
                if (der.Length == 0 || der[0] != 0x30) return "The peer's certificate is malformed.";
                sent.Add(X509CertificateLoader.LoadCertificate(der));
            }
            if (CertificateRules.LeafProblem(sent[0], bundle.Cluster, out var id) is { } problem)
            {
                return $"The peer's certificate is refused: {problem}.";
            }
            using var chain = NewChain(sent.Skip(1));
            try
            {
                return Conclude(chain, chain.Build(sent[0]), id!, out proof);
            }
            finally
            {
                foreach (var element in chain.ChainElements) element.Certificate.Dispose();
            }
        }
        finally
        {
            foreach (var certificate in sent) certificate.Dispose();
        }
    }

    private string? Conclude(X509Chain chain, bool built, SpiffeId id, out Proof? proof)
    {
        proof = null;
        if (!built)
        {
            var flaws = chain.ChainStatus.Aggregate(X509ChainStatusFlags.NoError, (all, status) => all | status.Status);
            return (flaws & (X509ChainStatusFlags.PartialChain | X509ChainStatusFlags.UntrustedRoot)) != 0
                ? $"The SVID of {id} was issued by an unknown authority: no root of cluster '{bundle.Cluster}' leads to it."
                : $"The chain of {id} is refused: {flaws & ~X509ChainStatusFlags.NotTimeValid}.";
        }
        // Leaf, the authority of a node or none, root.
        if (chain.ChainElements.Count > 3) return $"The chain of {id} is refused: between an SVID and its root there is the authority of one node, or nothing.";
        string? issuingNode = null;
        var (from, until) = (DateTime.MinValue, DateTime.MaxValue);
        var (leafFrom, issuerFrom) = (DateTime.MinValue, DateTime.MinValue);
        for (var i = 0; i < chain.ChainElements.Count; i++)
        {
            var certificate = chain.ChainElements[i].Certificate;
            var isRoot = i == chain.ChainElements.Count - 1;
            var problem = i == 0 ? null
                : isRoot ? CertificateRules.SignerProblem(certificate, bundle.Cluster)
                : CertificateRules.NodeAuthorityProblem(certificate, bundle.Cluster, out issuingNode);
            if (problem is not null)
            {
                return $"The authority '{certificate.Subject}' above {id} is refused: {problem}.";
            }
            var (notBefore, notAfter) = (certificate.NotBefore.ToUniversalTime(), certificate.NotAfter.ToUniversalTime());
            if (i == 0) leafFrom = notBefore;
            else if (!isRoot) issuerFrom = notBefore;
            if (notBefore > from) from = notBefore;
            if (notAfter < until) until = notAfter;
        }
        proof = new Proof(
            id, new DateTimeOffset(from, TimeSpan.Zero), new DateTimeOffset(until, TimeSpan.Zero), issuingNode,
            new DateTimeOffset(leafFrom, TimeSpan.Zero), new DateTimeOffset(issuerFrom, TimeSpan.Zero));
        return null;
    }

    private static string Key(IReadOnlyList<byte[]> derChain)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var der in derChain)
        {
            hash.AppendData(BitConverter.GetBytes(der.Length));
            hash.AppendData(der);
        }
        return Convert.ToBase64String(hash.GetHashAndReset());
    }

    private static PeerVerification Refuse(string reason) => new(null, DateTimeOffset.MinValue, reason);

    private sealed record Proof(
        SpiffeId Id, DateTimeOffset NotBefore, DateTimeOffset NotAfter, string? IssuingNode, DateTimeOffset LeafNotBefore, DateTimeOffset IssuerNotBefore);

    /// <summary>Without bounds a node is believed about itself alone.</summary>
    private sealed class Deny : IBounds
    {
        public static readonly Deny All = new();

        public event Action? Changed
        {
            add
            {
            }
            remove
            {
            }
        }

        public Verdict MayLink(SpiffeId vertex, SpiffeId neighbour) => No;

        public Verdict MayConnect(SpiffeId caller, SpiffeId target) => No;

        public Verdict MayHost(SpiffeId vertex, SpiffeId identity) => No;

        private static Verdict No => Verdict.Refused("no bounds are known here.");
    }
}
