using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Florete.Identities;
using Florete.Identity.Contracts;
using Microsoft.Extensions.Logging;

namespace Florete.Identity;

/// <summary>
/// Holds the node's authority, and has it renewed by the issuer at half of its life: there is as much time again for a node that is cut off.
/// Called by one at a time.
/// </summary>
public sealed partial class AuthorityKeeper : IDisposable
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(2), MostPause = TimeSpan.FromMinutes(10);

    private readonly IdentityOptions options;
    private readonly NodeFiles files;
    private readonly Func<byte[], CancellationToken, Task<JoinAnswer>>? ask;
    private readonly IdentityMetrics metrics;
    private readonly TimeProvider clock;
    private readonly ILogger logger;
    private readonly Random random = new();
    private double luck;
    private int failures;
    private DateTimeOffset notBefore;

    /// <param name="options">Of the service.</param>
    /// <param name="files">Of the node.</param>
    /// <param name="ask">Sends a renewal to the issuer; null: there is no way to one.</param>
    /// <param name="metrics">Of the service.</param>
    /// <param name="clock">The wall clock.</param>
    /// <param name="logger">For people.</param>
    /// <exception cref="IdentityException">The node has no usable authority; the message names the remedy.</exception>
    public AuthorityKeeper(
        IdentityOptions options, NodeFiles files, Func<byte[], CancellationToken, Task<JoinAnswer>>? ask, IdentityMetrics metrics, TimeProvider clock, ILogger logger)
    {
        (this.options, this.files, this.ask, this.metrics, this.clock, this.logger) = (options, files, ask, metrics, clock, logger);
        Current = NodeAuthority.Load(options.Folder);
        if (Current.Cluster != files.Cluster.Name) throw new IdentityException($"{NodeAuthority.CertificatePath(options.Folder)}: it is of cluster '{Current.Cluster}', and {options.BundleFile} of '{files.Cluster.Name}'.");
        luck = random.NextDouble();
        metrics.AuthorityEnd = Current.NotAfter;
    }

    public NodeAuthority Current { get; private set; }

    /// <summary>Why it is late; null: all is well.</summary>
    public string? Problem { get; private set; }

    /// <summary>Renews it if that is due.</summary>
    public async Task TendAsync(CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        if (now < RenewalTimes.DueAt(Current.NotBefore, Current.NotAfter, luck) || now < notBefore) return;
        try
        {
            if (ask is null) throw new JoinException(JoinRefusal.Unreachable, "no portal is configured (--portal), so the issuer cannot be asked.");
            await RenewAsync(ask, cancellationToken).ConfigureAwait(false);
            (failures, Problem) = (0, null);
            metrics.Renewed("authority", succeeded: true);
            Renewed(Current.Node.Path, Current.NotAfter);
        }
        catch (Exception e) when (e is JoinException or IdentityException or IOException or UnauthorizedAccessException or CryptographicException)
        {
            notBefore = clock.GetUtcNow() + RenewalTimes.BackOff(++failures, FirstPause, MostPause, random.NextDouble());
            Problem = $"The authority of {Current.Node.Path}, which ends at {Current.NotAfter:u}, is not renewed yet: {e.Message}";
            metrics.Renewed("authority", succeeded: false);
            NotRenewed(Current.Node.Path, Current.NotAfter, e.Message);
        }
    }

    public void Dispose() => Current.Dispose();

    private async Task RenewAsync(Func<byte[], CancellationToken, Task<JoinAnswer>> issuer, CancellationToken cancellationToken)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=renew", key, HashAlgorithmName.SHA256).CreateSigningRequest();
        using var old = Current.Certificate.GetECDsaPrivateKey()!;
        var signature = old.SignData([.. Issuer.RenewPrefix, .. request], HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        var answer = await issuer(IdentityJson.Write(new RenewRequest(request, Current.Certificate.RawData, signature)), cancellationToken).ConfigureAwait(false);
        if (files.Verifier.VerifyAuthority(answer.Certificate, clock.GetUtcNow()) is { Refusal: { } refusal }) throw new IdentityException($"What the issuer answered is not used: {refusal}");
        using var certificate = X509CertificateLoader.LoadCertificate(answer.Certificate);
        var newer = NodeAuthority.Of(certificate, key);
        if (newer.Node != Current.Node)
        {
            newer.Dispose();
            throw new IdentityException($"The issuer answered with the authority of {newer.Node.Path}.");
        }
        newer.Save(options.Folder);
        Current.Dispose();
        Current = newer;
        luck = random.NextDouble();
        metrics.AuthorityEnd = newer.NotAfter;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The authority of {Node} is renewed until {NotAfter:u}")]
    private partial void Renewed(string node, DateTimeOffset notAfter);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The authority of {Node}, which ends at {NotAfter:u}, is not renewed yet, trying again: {Reason}")]
    private partial void NotRenewed(string node, DateTimeOffset notAfter, string reason);
}
