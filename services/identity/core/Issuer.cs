using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Florete.Identities;
using Florete.Identity.Contracts;

namespace Florete.Identity;

/// <summary>
/// Redeems tokens and renews node authorities, at the one node that has the root's key (docs/protocols/join.md "The issuer"). Thread-safe.
/// </summary>
public sealed class Issuer : IDisposable
{
    /// <summary>What a renewal's signature covers before the request, so that a signature of something else is worth nothing here.</summary>
    public static readonly byte[] RenewPrefix = "florete-renew-1"u8.ToArray();

    private readonly CertificateAuthority root;
    private readonly SpiffeId vertex;
    private readonly NodeFiles files;
    private readonly Redemptions redemptions;
    private readonly EventFile events;
    private readonly TimeSpan lifetime;
    private readonly TimeProvider clock;
    private readonly Lock gate = new();

    private Issuer(CertificateAuthority root, SpiffeId vertex, NodeFiles files, Redemptions redemptions, EventFile events, TimeSpan lifetime, TimeProvider clock) =>
        (this.root, this.vertex, this.files, this.redemptions, this.events, this.lifetime, this.clock) = (root, vertex, files, redemptions, events, lifetime, clock);

    /// <summary>The issuer, if the root's key is at this node.</summary>
    /// <exception cref="IdentityException">A file is unusable; the message names it and the remedy.</exception>
    public static Issuer? Open(IdentityOptions options, string node, NodeFiles files, EventFile events, TimeProvider clock)
    {
        var (certificate, key) = (Path.Combine(options.IssuerFolder, "root.pem"), Path.Combine(options.IssuerFolder, "root.key"));
        if (!File.Exists(key)) return null;
        var root = CertificateAuthority.Load(certificate, key);
        if (!TrustBundle.Load(options.BundleFile).Roots.Any(trusted => trusted.RawDataMemory.Span.SequenceEqual(root.Root.RawDataMemory.Span)))
        {
            throw new IdentityException($"{certificate} is not among the roots of {options.BundleFile}: nobody would believe what it issues; enable the issuer again (florctl issuer enable).");
        }
        var vertex = SpiffeId.Of(files.Cluster.Name, IdentityKind.Vertex, node);
        return new Issuer(root, vertex, files, Redemptions.Open(Path.Combine(options.IssuerFolder, "joins"), clock), events, options.AuthorityLifetime, clock);
    }

    /// <summary>Redeems a token: once, or again for the same key. The record is on disk when this returns.</summary>
    /// <param name="request">Bytes of a stranger.</param>
    /// <param name="by">Who relayed it.</param>
    /// <exception cref="JoinException">Why not.</exception>
    /// <exception cref="IOException">The record cannot be written; nothing was redeemed.</exception>
    public JoinAnswer Join(ReadOnlySpan<byte> request, SpiffeId by)
    {
        var subject = "?";
        try
        {
            if (!IdentityJson.TryRead<JoinRequest>(request, out var read)) throw Refused(JoinRefusal.Malformed, "The request is malformed; use the same version of Florete.");
            if (!JoinToken.TryParse(read.Token, out var token, out var flaw)) throw Refused(JoinRefusal.Malformed, $"{flaw}.");
            subject = token.Node.ToString();
            return Redeem(token, read.Request, by);
        }
        catch (JoinException e)
        {
            events.Add("refusal", subject, by.ToString(), $"{e.Code.Word()}: {e.Message}");
            throw;
        }
    }

    /// <summary>Renews the authority of a node, by proof of the one that ends.</summary>
    /// <exception cref="JoinException">Why not.</exception>
    public JoinAnswer Renew(ReadOnlySpan<byte> request, SpiffeId by)
    {
        var subject = "?";
        try
        {
            if (!IdentityJson.TryRead<RenewRequest>(request, out var read)) throw Refused(JoinRefusal.Malformed, "The request is malformed; use the same version of Florete.");
            var now = clock.GetUtcNow();
            // What was revoked a moment ago is not renewed.
            files.Refresh();
            var node = Prove(read, now);
            subject = $"spiffe://{files.Cluster.Name}/node/{node}";
            using var made = Issue(node, read.Request, now);
            events.Add("renew", subject, by.ToString(), $"node authority until {made.NotAfter.ToUniversalTime():u}");
            return Answer(made.RawData);
        }
        catch (JoinException e)
        {
            events.Add("refusal", subject, by.ToString(), $"{e.Code.Word()}: {e.Message}");
            throw;
        }
    }

    public void Dispose() => root.Dispose();

    private JoinAnswer Redeem(JoinToken token, byte[] request, SpiffeId by)
    {
        var now = clock.GetUtcNow();
        if (token.Cluster != files.Cluster) throw Refused(JoinRefusal.WrongCluster, $"The token is for cluster {token.Cluster}, and this is {files.Cluster}.");
        if (token.IssuerVertex != vertex) throw Refused(JoinRefusal.Forbidden, $"The token is to be redeemed at {token.IssuerVertex.Path}, and this is {vertex.Path}.");
        if (token.Verify(files.Verifier, files.Cluster, now) is { IsAllowed: false } unsigned) throw Refused(JoinRefusal.Malformed, unsigned.Refusal!);
        if (token.IsExpired(now)) throw Refused(JoinRefusal.Expired, $"The token has expired at {token.Expiry:u}; make a new one (florctl token create).");
        if (token.Expiry > now + JoinToken.MaxLifetime + PeerVerifier.ClockGrace) throw Refused(JoinRefusal.Malformed, $"The token is valid for more than {JoinToken.MaxLifetime.TotalDays:0} days; make a new one (florctl token create).");
        var key = KeyOf(request);
        // One at a time: a token that comes twice at once is redeemed once.
        lock (gate)
        {
            if (redemptions.Find(token.Id) is { } earlier)
            {
                if (earlier.Key != key) throw Refused(JoinRefusal.Used, $"The token was redeemed at {earlier.Time:u} by another machine; if that was not yours, revoke {token.Node.Path}. Make a new token (florctl token create).");
                // The answer was lost.
                return Answer(earlier.Certificate);
            }
            using var made = Issue(token.Node.Name, request, now);
            redemptions.Add(new Redemption(token.Id, token.Node.Name, key, made.RawData, now, token.Expiry));
            events.Add("join", token.Node.ToString(), by.ToString(), $"token {token.Id}, node authority until {made.NotAfter.ToUniversalTime():u}");
            return Answer(made.RawData);
        }
    }

    private string Prove(RenewRequest request, DateTimeOffset now)
    {
        try
        {
            using var certificate = X509CertificateLoader.LoadCertificate(request.Certificate);
            using var key = certificate.GetECDsaPublicKey();
            if (key?.VerifyData((byte[])[.. RenewPrefix, .. request.Request], request.Signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence) != true)
            {
                throw Refused(JoinRefusal.Malformed, "The request is not signed by the node authority that ends.");
            }
            var proof = files.Verifier.VerifyAuthority(request.Certificate, now);
            if (proof.Refusal is not null) throw Refused(JoinRefusal.Forbidden, $"{proof.Refusal} Let the node join again with a new token.");
            return proof.IssuingNode!;
        }
        catch (CryptographicException)
        {
            throw Refused(JoinRefusal.Malformed, "The request has no certificate of a node authority.");
        }
    }

    private X509Certificate2 Issue(string node, byte[] request, DateTimeOffset now)
    {
        try
        {
            // What begins before the revocation would be refused: a node that was revoked and joins anew begins after.
            var begins = files.Verifier.Revocations.Find(SpiffeId.Of(files.Cluster.Name, IdentityKind.Node, node))?.ReissueTime(now) ?? now;
            return root.IssueNodeAuthority(node, request, lifetime, begins);
        }
        catch (IdentityException e)
        {
            throw new JoinException(JoinRefusal.Malformed, e.Message, e);
        }
    }

    private JoinAnswer Answer(byte[] certificate)
    {
        var (bundle, bounds) = files.Texts();
        return new JoinAnswer(certificate, bundle, bounds);
    }

    // Hash of the key that the request proves: the same machine asking again has the same.
    private static string KeyOf(byte[] request)
    {
        try
        {
            var key = CertificateRequest.LoadSigningRequest(request, HashAlgorithmName.SHA256).PublicKey;
            return Convert.ToHexStringLower(SHA256.HashData(key.ExportSubjectPublicKeyInfo()));
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or FormatException or NotSupportedException)
        {
            throw Refused(JoinRefusal.Malformed, "The certificate request is malformed, or not signed by its key.");
        }
    }

    private static JoinException Refused(JoinRefusal code, string message) => new(code, message);
}
