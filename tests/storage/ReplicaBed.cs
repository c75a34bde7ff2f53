using Florete.Identities;
using Florete.Storage.Contracts;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Storage.Tests;

/// <summary>Replicas on disk with real keys and rules that a test changes.</summary>
internal sealed class ReplicaBed : IDisposable, IWriteRules
{
    private readonly string folder = Directory.CreateTempSubdirectory("florete-storage").FullName;
    private readonly CertificateAuthority authority;

    public ReplicaBed()
    {
        authority = CertificateAuthority.Create("home", Time.GetUtcNow() - TimeSpan.FromHours(1));
        Peers = new PeerVerifier(TrustBundle.Of(authority.Root));
        Alice = Author("alice");
    }

    public ManualTime Time { get; } = new();

    public PeerVerifier Peers { get; }

    public Author Alice { get; }

    public Func<SpiffeId, CollectionName, Stamp, bool> MayWrite { get; set; } = (_, _, _) => true;

    public Author Author(string name, TimeSpan? lifetime = null) => new(authority.Issue(SpiffeId.Of("home", IdentityKind.User, name), lifetime ?? TimeSpan.FromDays(90), Time.GetUtcNow()));

    public string FolderOf(string replica) => Path.Combine(folder, replica);

    public Task<StorageReplica> OpenAsync(string replica = "a", StorageLimits? limits = null) =>
        StorageReplica.OpenAsync(FolderOf(replica), ReplicaName.Parse(replica), this, Peers, limits ?? new StorageLimits(), Time, NullLogger.Instance);

    Verdict IWriteRules.MayWrite(SpiffeId author, CollectionName collection, Stamp stamp) =>
        MayWrite(author, collection, stamp) ? Verdict.Allowed : Verdict.Refused($"no rule for {author}");

    public void Dispose()
    {
        Alice.Dispose();
        authority.Dispose();
        Directory.Delete(folder, true);
    }
}

internal static class ReplicaExtensions
{
    /// <summary>Prepares, signs and writes.</summary>
    public static async Task<DocumentVersion> PutAsync(this StorageReplica replica, Author author, DocumentKey key, string? body)
    {
        var version = author.Make(key, replica.Prepare(key), body);
        var result = await replica.WriteAsync(version, author.Chain, author.Id);
        Assert.True(result.IsAccepted, result.Problem);
        return version;
    }

    /// <summary>Fetches from another replica until both hold the same, as the exchange over HTTP does.</summary>
    public static async Task PullAsync(this StorageReplica replica, StorageReplica from)
    {
        for (var round = 0; round < 10; round++)
        {
            var lacking = replica.Lacking(from.DifferencesFrom(replica.Summary()));
            if (lacking.Count == 0) return;
            var offered = lacking.Select(e => new OfferedVersion(from.Reader.Find(e.Id)!.Version, e.IsSuperseded)).ToList();
            var result = await replica.MergeAsync(offered);
            if (result.UnknownChains.Count > 0) await replica.MergeAsync(offered, result.UnknownChains.ToDictionary(c => c, c => from.Reader.ReadChain(c)!));
        }
    }
}
