// Measures one replica of the storage without the network: writes with fsync, reads, merges, digests, memory and start.
// dotnet run -c Release --project bench/storage [documents] [folder]
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Florete.Identities;
using Florete.Storage;
using Florete.Storage.Contracts;
using Microsoft.Extensions.Logging.Abstractions;

if (args is ["start", _])
{
    await StartAsync(args[1]);
    return;
}
var documents = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 100_000;
var folder = args.Length > 1 ? args[1] : Path.Combine(Path.GetTempPath(), $"florete-bench-storage-{Environment.ProcessId}");
var body = Encoding.ASCII.GetBytes($$"""{"text":"{{new string('x', 480)}}"}""");
var now = DateTimeOffset.UtcNow;
using var authority = CertificateAuthority.Create("bench", now - TimeSpan.FromHours(1));
var svid = authority.Issue(SpiffeId.Of("bench", IdentityKind.User, "alice"), TimeSpan.FromDays(30), now);
var chain = EncodedChain.Encode(svid);
var chains = new Dictionary<ChainHash, byte[]> { [ChainHash.Of(chain)] = chain };
Directory.CreateDirectory(folder);
Console.WriteLine($"{documents} documents of {body.Length} bytes in {folder}");
Fsync();

var replica = await OpenAsync("a");
await WriteAsync(4, TimeSpan.FromSeconds(2), isWarmUp: true);
foreach (var writers in new[] { 1, 16, 256 }) await WriteAsync(writers, TimeSpan.FromSeconds(4));
await FillAsync();
Read();
await MergeAsync();
Digests();
await replica.DisposeAsync();
// In a process of its own, which has done nothing else.
using (var anew = Process.Start(Environment.ProcessPath!, ["start", folder])) await anew.WaitForExitAsync();
Console.WriteLine($"on disk: {new DirectoryInfo(Path.Combine(folder, "a")).EnumerateFiles().Sum(f => f.Length) / 1e6:F1} MB");
Directory.Delete(folder, true);

Task<StorageReplica> OpenAsync(string name) => StorageReplica.OpenAsync(
    Path.Combine(folder, name), ReplicaName.Parse(name), new AnybodyMay(), new PeerVerifier(TrustBundle.Of(authority.Root)), new StorageLimits(), TimeProvider.System, NullLogger.Instance);

// The chains on disk are of a root that is gone, so they are believed; a replica proves each once.
static async Task StartAsync(string folder)
{
    var (watch, began) = (Stopwatch.StartNew(), Cpu());
    await using var replica = await StorageReplica.OpenAsync(
        Path.Combine(folder, "a"), ReplicaName.Parse("a"), new AnybodyMay(), new Believing(), new StorageLimits(), TimeProvider.System, NullLogger.Instance);
    Console.WriteLine($"start with {replica.Digest().Documents} documents: {watch.ElapsedMilliseconds} ms, {(Cpu() - began).TotalMilliseconds:F0} ms of CPU");
    Console.WriteLine($"memory then: {Environment.WorkingSet / 1e6:F0} MB resident; {GC.GetTotalMemory(true) / 1e6:F1} MB on the managed heap after a collection");
    watch.Restart();
    await replica.ReevaluateAsync();
    Console.WriteLine($"all of them against other bounds: {watch.ElapsedMilliseconds} ms");
}

// What the disk does with as much as a small transaction, over a file that is there already, as the WAL is.
void Fsync()
{
    var pages = new byte[3 * 4096];
    using var file = new FileStream(Path.Combine(folder, "fsync"), FileMode.Create, FileAccess.Write, FileShare.None, 0);
    file.Write(new byte[100 * pages.Length]);
    file.Flush(true);
    var watch = Stopwatch.StartNew();
    var count = 0;
    for (; watch.ElapsedMilliseconds < 1000; count++)
    {
        file.Position = count % 100 * pages.Length;
        file.Write(pages);
        file.Flush(true);
    }
    Console.WriteLine($"the disk: {count / watch.Elapsed.TotalSeconds:F0} times 12 KB with fsync/s");
}

DocumentVersion Make(string name, PreparedWrite prepared)
{
    var draft = new VersionDraft
    {
        Key = Key(name),
        Replica = prepared.Replica,
        Stamp = prepared.Clock,
        Seen = prepared.Seen,
        Author = svid.Id,
        Chain = ChainHash.Of(chain),
        Body = body,
    };
    return draft.WithSignature(ProgramSignature.Sign(svid, StorageProtocol.SigningPurpose, SHA256.HashData(draft.Content.Span)));
}

static DocumentKey Key(string name) => new(CollectionName.Parse("bench"), DocumentName.Parse(name));

// Prepared and signed by the same process, as by a client and its portal on the same node.
async Task WriteAsync(int writers, TimeSpan duration, bool isWarmUp = false)
{
    var (count, latencies) = (0, new List<double>());
    var watch = Stopwatch.StartNew();
    var began = Cpu();
    await Task.WhenAll(Enumerable.Range(0, writers).Select(writer => Task.Run(async () =>
    {
        for (var i = 0; watch.Elapsed < duration; i++)
        {
            var name = $"w{writers}/{writer}/{i % 100}";
            var from = Stopwatch.GetTimestamp();
            var result = await replica.WriteAsync(Make(name, replica.Prepare(Key(name))), chain, svid.Id);
            if (!result.IsAccepted) throw new InvalidOperationException(result.Problem);
            lock (latencies) latencies.Add(Stopwatch.GetElapsedTime(from).TotalMilliseconds);
            Interlocked.Increment(ref count);
        }
    })));
    var (seconds, used) = (watch.Elapsed.TotalSeconds, Cpu() - began);
    if (isWarmUp) return;
    latencies.Sort();
    Console.WriteLine($"{writers,3} writers: {count / seconds:F0} writes/s, median {latencies[count / 2]:F2} ms, 99 % {latencies[count * 99 / 100]:F2} ms, {used.TotalMilliseconds * 1000 / count:F0} µs of CPU a write");
}

async Task FillAsync()
{
    var prepared = new PreparedWrite(ReplicaName.Parse("b"), Stamp.None, null, SeenVector.Empty);
    var elsewhere = new HybridClock(TimeProvider.System, Stamp.None);
    var made = Enumerable.Range(0, documents).AsParallel().AsOrdered().Select(i => new OfferedVersion(Make($"d{i / 1000}/{i % 1000}", prepared with { Clock = elsewhere.Next() }), false)).ToList();
    var watch = Stopwatch.StartNew();
    var began = Cpu();
    foreach (var batch in made.Chunk(500))
    {
        if ((await replica.MergeAsync(batch, chains)).Merged != batch.Length) throw new InvalidOperationException("Not all were merged.");
    }
    Console.WriteLine($"merged {documents} new versions, one batch of 500 after another: {documents / watch.Elapsed.TotalSeconds:F0}/s, {(Cpu() - began).TotalMilliseconds * 1000 / documents:F0} µs of CPU each");
}

async Task MergeAsync()
{
    // The same once more, as by the bus and by a pull.
    var page = replica.Reader.ReadLog(0, StorageLimits.MaxPageItems).Items.Select(v => new OfferedVersion(v.Version, false)).ToList();
    var watch = Stopwatch.StartNew();
    var count = 0;
    for (; watch.ElapsedMilliseconds < 1000; count += page.Count) await replica.MergeAsync(page);
    Console.WriteLine($"merged versions that are held: {count / watch.Elapsed.TotalSeconds:F0}/s");
}

void Read()
{
    var random = new Random(1);
    foreach (var readers in new[] { 1, 2 })
    {
        var count = 0;
        var watch = Stopwatch.StartNew();
        Parallel.For(0, readers, reader =>
        {
            var own = new Random(reader);
            while (watch.ElapsedMilliseconds < 2000)
            {
                if (replica.Reader.ReadUnit(Key($"d{own.Next(documents / 1000)}/{own.Next(1000)}")).Count != 1) throw new InvalidOperationException("It is not there.");
                Interlocked.Increment(ref count);
            }
        });
        Console.WriteLine($"{readers} readers of single documents: {count / watch.Elapsed.TotalSeconds:F0}/s");
    }
    var listing = Stopwatch.StartNew();
    DocumentKey? after = null;
    var listed = 0;
    while (replica.Reader.ReadCollection(CollectionName.Parse("bench"), "d", after, 1000) is { Count: > 0 } page)
    {
        listed += page.Count;
        after = page[^1].Version.Key;
    }
    Console.WriteLine($"a listing by pages of 1000: {listed / listing.Elapsed.TotalSeconds:F0} documents/s");
}

void Digests()
{
    var watch = Stopwatch.StartNew();
    var count = 0;
    for (; watch.ElapsedMilliseconds < 500; count++) replica.Summary();
    Console.WriteLine($"a summary: {watch.Elapsed.TotalMicroseconds / count:F1} µs");
    watch.Restart();
    if (!BucketSummary.TryParse(new byte[BucketSummary.EncodedBytes], out var empty)) return;
    var told = replica.DifferencesFrom(empty);
    Console.WriteLine($"the answer to one that differs in everything: {told.Count} entries in {watch.ElapsedMilliseconds} ms");
}

static TimeSpan Cpu() => Process.GetCurrentProcess().TotalProcessorTime;

internal sealed class AnybodyMay : IWriteRules
{
    public Verdict MayWrite(SpiffeId author, CollectionName collection, Stamp stamp) => Verdict.Allowed;
}

internal sealed class Believing : IPeerVerifier
{
    public PeerVerification Verify(IReadOnlyList<byte[]> derChain, DateTimeOffset now) => new(SpiffeId.Of("bench", IdentityKind.User, "alice"), DateTimeOffset.MaxValue, null);
}
