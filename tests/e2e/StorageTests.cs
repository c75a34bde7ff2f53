using System.Collections.Concurrent;
using System.Diagnostics;
using Florete.EndToEnd.Tests.Harness;
using Florete.Identities;
using Florete.Portals;
using Florete.PortalSocket;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Xunit.Abstractions;
using static Florete.EndToEnd.Tests.Harness.StorageLab;

namespace Florete.EndToEnd.Tests;

/// <summary>The storage by real programs: flor and florete-storage on each of three nodes in a line.</summary>
[Trait("Lane", "2")]
public sealed class StorageTests(ITestOutputHelper output)
{
    [Fact]
    public async Task What_is_written_on_one_node_is_read_and_watched_on_the_others_by_those_whom_a_rule_lets()
    {
        await using var lab = await Lab.OpenAsync(output);
        await using var storage = await StartAsync(lab, "a", "b", "c");
        var (a, c, watched) = (storage.Client("a"), storage.Client("c"), storage.Client("c"));
        using var stop = new CancellationTokenSource(Eventually.Deadline);
        var changes = watched.WatchAsync(Notes, cancellationToken: stop.Token).GetAsyncEnumerator(stop.Token);
        Assert.True(await changes.MoveNextAsync());
        Assert.Equal(StorageChangeKind.CaughtUp, changes.Current.Kind);

        var clock = Stopwatch.StartNew();
        var written = await a.PutAsync(Key("first"), Json("hello"));
        Assert.Equal("a", written.Replica.ToString());
        Assert.True(await changes.MoveNextAsync());
        lab.Say($"measured: from the beginning of a write at a to the watch at c, two hops: {clock.Elapsed.TotalMilliseconds:0.0} ms");
        Assert.Equal((StorageChangeKind.Put, "first", "hello"), (changes.Current.Kind, changes.Current.Key.Name.ToString(), Text(changes.Current.Document)));
        var read = await c.GetAsync(Key("first"));
        Assert.Equal(("hello", written.Version, $"spiffe://{Cluster.Name}/user/alice"), (Text(read), read!.Version, read.Author.ToString()));

        // By compare-and-swap at c, which a decides; a deletion at c is seen at a.
        var swapped = await c.CompareAndSwapAsync(Key("first"), written.Version, Json("again"));
        Assert.Equal("a", swapped.Replica.ToString());
        Assert.Equal("again", Text(await c.GetAsync(Key("first"))));
        var late = await Assert.ThrowsAsync<StorageClientException>(() => c.CompareAndSwapAsync(Key("first"), written.Version, Json("late")));
        Assert.Equal((StorageError.Conflict, swapped.Version.ToString()), (late.Error, late.CurrentVersion));
        await c.DeleteAsync(Key("first"));
        await Eventually.HoldsAsync("the deletion has come to a", async () => await a.GetAsync(Key("first")) is null);
        Assert.True(await changes.MoveNextAsync());
        Assert.Equal("again", Text(changes.Current.Document));
        Assert.True(await changes.MoveNextAsync());
        Assert.Equal((StorageChangeKind.Delete, "first"), (changes.Current.Kind, changes.Current.Key.Name.ToString()));
        await stop.CancelAsync();
        await storage.EqualAsync("a", "b", "c");

        var mallory = storage.Client("b", "mallory");
        var refused = await Assert.ThrowsAsync<StorageClientException>(() => mallory.GetAsync(Key("first")));
        Assert.Equal(StorageError.Forbidden, refused.Error);
        Assert.Contains("no rule that lets user/mallory read collection 'notes'", refused.Message, StringComparison.Ordinal);
        Assert.Equal(StorageError.Forbidden, (await Assert.ThrowsAsync<StorageClientException>(() => mallory.PutAsync(Key("first"), Json("mine")))).Error);
        await ForgeAsync(lab, storage);
        await OverFlorctlAsync(lab, storage);
    }

    [Fact]
    public async Task Two_sides_of_a_cut_go_on_writing_and_are_equal_after_it_with_what_lost_in_sight()
    {
        await using var lab = await Lab.OpenAsync(output);
        await using var storage = await StartAsync(lab, "a", "b", "c");
        var (a, c) = (storage.Client("a"), storage.Client("c"));
        var before = await a.PutAsync(Key("swapped"), Json("before"));
        await a.PutAsync(Key("same"), Json("before"));
        await storage.EqualAsync("a", "b", "c");

        await storage.Cluster.CableOf("b", "c").CutAsync();
        await a.PutAsync(Key("only-a"), Json("a"));
        await c.PutAsync(Key("only-c"), Json("c"));
        await a.PutAsync(Key("same"), Json("a"));
        await c.PutAsync(Key("same"), Json("c"));
        await a.CompareAndSwapAsync(Key("swapped"), before.Version, Json("a"));
        // Until c has found out that it is alone its arbiter is a, which it cannot reach.
        await Eventually.HoldsAsync("c swaps alone", async () =>
        {
            await c.CompareAndSwapAsync(Key("swapped"), before.Version, Json("c"));
            return true;
        });
        Assert.Null(await c.GetAsync(Key("only-a")));

        await storage.Cluster.CableOf("b", "c").MendAsync();
        var took = await storage.EqualAsync("a", "b", "c");
        lab.Say($"measured: replicas equal {took.TotalSeconds:0.00} s after the cable was mended, with the time that the link takes to come up");
        // The pull that certainty is for comes after 30 s; this must not have waited for it.
        Assert.InRange(took, TimeSpan.Zero, TimeSpan.FromSeconds(15));
        Assert.Equal(("a", "c"), (Text(await c.GetAsync(Key("only-a"))), Text(await a.GetAsync(Key("only-c")))));
        foreach (var name in new[] { "same", "swapped" })
        {
            var current = await a.GetAsync(Key(name));
            Assert.Equal(current!.Version, (await c.GetAsync(Key(name)))!.Version);
            var superseded = Assert.Single(await c.SupersededAsync(Key(name)));
            Assert.Equal(["a", "c"], new[] { Text(current), Text(superseded) }.Order());
        }

        Assert.Equal(["same", "swapped"], (await a.ConflictsAsync()).Select(static conflict => conflict.Loser.Name).Order());
    }

    [Fact]
    public async Task Fifty_deaths_under_load_lose_nothing_that_was_acknowledged()
    {
        const int Kills = 50, Writers = 4;
        await using var lab = await Lab.OpenAsync(output);
        await using var storage = await StartAsync(lab, "a", "b", "c");
        var acknowledged = new ConcurrentDictionary<string, string>();
        using var stop = new CancellationTokenSource();
        var writing = Enumerable.Range(0, Writers).Select(writer => Task.Run(async () =>
        {
            var client = storage.Client("a");
            for (var i = 0; !stop.IsCancellationRequested; i++)
            {
                var name = $"w{writer}/{i % 200}";
                try
                {
                    await client.PutAsync(Key(name), Json($"{i}"), stop.Token);
                    acknowledged[name] = $"{i}";
                }
                catch (StorageClientException e) when (e.Error == StorageError.Unavailable)
                {
                    // Not acknowledged: it may be there or not, and what is acknowledged later counts.
                    acknowledged.TryRemove(name, out _);
                }
                catch (OperationCanceledException)
                {
                    acknowledged.TryRemove(name, out _);
                }
            }
        })).ToArray();
        var random = new Random(11);
        for (var kill = 0; kill < Kills; kill++)
        {
            var written = acknowledged.Values.Sum(static value => long.Parse(value, System.Globalization.CultureInfo.InvariantCulture));
            await Eventually.HoldsAsync("something is acknowledged again", () => acknowledged.Values.Sum(static value => long.Parse(value, System.Globalization.CultureInfo.InvariantCulture)) != written);
            await Task.Delay(random.Next(100));
            await storage.Replica("a").KillAsync();
            storage.Start("a");
        }

        await stop.CancelAsync();
        await Task.WhenAll(writing);
        await storage.ReadyAsync("a", 2);
        await storage.EqualAsync("a", "b", "c");
        foreach (var node in new[] { "a", "c" })
        {
            var held = new Dictionary<string, string>();
            await foreach (var document in storage.Client(node).ListAsync(Notes)) held[document.Key.Name.ToString()] = Text(document);
            Assert.DoesNotContain(acknowledged, pair => held.GetValueOrDefault(pair.Key) != pair.Value);
        }

        lab.Say($"measured: {Kills} kills under {Writers} writers, {acknowledged.Count} documents, none lost");
        Assert.NotEmpty(acknowledged);
    }

    [Fact]
    public async Task A_new_replica_is_filled_while_writes_go_on()
    {
        const int Before = 1500;
        await using var lab = await Lab.OpenAsync(output);
        await using var storage = await StartAsync(lab, "a", "b");
        var a = storage.Client("a");
        await Parallel.ForEachAsync(Enumerable.Range(0, Before), new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (i, stopped) =>
        {
            await a.PutAsync(Key($"before/{i}"), Json($"{i}"), stopped);
        });
        using var stop = new CancellationTokenSource();
        var count = 0;
        var writing = Task.Run(async () =>
        {
            for (; !stop.IsCancellationRequested; count++) await a.PutAsync(Key($"while/{count % 300}"), Json($"{count}"));
        });
        await Eventually.HoldsAsync("writes go on", () => count > 0);
        var clock = Stopwatch.StartNew();
        storage.Start("c");
        await Eventually.HoldsAsync("c has what was there before", async () => (await storage.Client("c").GetAsync(Key($"before/{Before - 1}"))) is not null, () => storage.Replica("c").Log);
        lab.Say($"measured: an empty replica has {Before} documents {clock.Elapsed.TotalSeconds:0.0} s after its start, two hops away, while {count} more were written");
        await stop.CancelAsync();
        await writing;
        await storage.EqualAsync("a", "b", "c");
        Assert.Contains("This replica was empty", storage.Replica("c").Log, StringComparison.Ordinal);
        Assert.Equal($"{count - 1}", Text(await storage.Client("c").GetAsync(Key($"while/{(count - 1) % 300}"))));
    }

    /// <summary>c's replica is gone, and somebody who has its portal socket tells others versions that alice never made.</summary>
    private static async Task ForgeAsync(Lab lab, StorageLab storage)
    {
        await storage.Replica("c").StopAsync();
        var portal = new PortalSocketClient(storage.Cluster["c"].PortalOf("storage"));
        var own = (await portal.SignAsync(StorageProtocol.SigningPurpose, Array.Empty<byte>())).Chain;
        var hers = (await new PortalSocketClient(storage.Cluster["c"].PortalOf("alice")).SignAsync(StorageProtocol.SigningPurpose, Array.Empty<byte>())).Chain;
        var (a, b) = (storage.Client("a"), storage.Client("b"));
        async Task<long> RefusedAsync() => (await a.HealthAsync()).Refused + (await b.HealthAsync()).Refused;
        var before = await RefusedAsync();
        using var http = new HttpClient(PortalHttp.CreateHandler(portal)) { BaseAddress = new Uri("http://storage.rete/") };

        // In her name, with the forger's own proof: as a compare-and-swap that another replica passes on.
        var named = await SignedAsync(portal, "forged/named", own, isSwap: true);
        using var swap = new HttpRequestMessage(HttpMethod.Put, "v1/replication/swap?expected=none") { Content = new ByteArrayContent(named.Bytes.ToArray()) };
        swap.Content.Headers.ContentType = new System.Net.Http.Headers.MediaTypeHeaderValue(StorageProtocol.VersionMediaType);
        swap.Headers.Add(HeaderNames.Chain, Convert.ToBase64String(EncodedChain.Encode(own)));
        using var refusal = await http.SendAsync(swap);
        Assert.Equal(System.Net.HttpStatusCode.Forbidden, refusal.StatusCode);
        lab.Say(await refusal.Content.ReadAsStringAsync());

        // With her proof, and a signature that is not hers: as what a replica tells.
        var signed = await SignedAsync(portal, "forged/signed", hers, isSwap: false);
        var batch = new byte[5 + signed.Bytes.Length];
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(batch, 1 + signed.Bytes.Length);
        signed.Bytes.CopyTo(batch.AsMemory(5));
        using var told = await http.PostAsync(new Uri("v1/replication/offers", UriKind.Relative), new ByteArrayContent(batch));

        await Eventually.HoldsAsync("both are refused and counted", async () => await RefusedAsync() == before + 2, () => storage.Replica("a").Log + storage.Replica("b").Log);
        foreach (var client in new[] { a, b })
        {
            Assert.Null(await client.GetAsync(Key("forged/named")));
            Assert.Null(await client.GetAsync(Key("forged/signed")));
        }

        storage.Start("c");
        await storage.ReadyAsync("c", 2);
    }

    private static async Task<DocumentVersion> SignedAsync(PortalSocketClient portal, string name, IReadOnlyList<byte[]> proof, bool isSwap)
    {
        var draft = new VersionDraft
        {
            Key = Key(name),
            Replica = ReplicaName.Parse("c"),
            Stamp = Stamp.Of(DateTimeOffset.UtcNow),
            Seen = SeenVector.Empty,
            Author = SpiffeId.Parse($"spiffe://{Cluster.Name}/user/alice"),
            Chain = ChainHash.Of(EncodedChain.Encode(proof)),
            Body = Json("forged"),
            CompareAndSwap = isSwap,
        };
        return draft.WithSignature((await portal.SignAsync(StorageProtocol.SigningPurpose, draft.Content)).Bytes.Span);
    }

    private static async Task OverFlorctlAsync(Lab lab, StorageLab storage)
    {
        var portal = storage.Cluster["b"].PortalOf("alice");
        var file = Path.Combine(lab.Folder, "note.json");
        await File.WriteAllTextAsync(file, "{\"text\": \"by hand\"}\n");
        _ = (await storage.Cluster.FlorctlAsync("store", "put", "notes/by-hand", file, "--portal", portal)).Succeeded();
        Assert.Equal("{\"text\": \"by hand\"}\n", (await storage.Cluster.FlorctlAsync("store", "get", "notes/by-hand", "--portal", portal)).Succeeded().Output);
        Assert.Contains("notes/by-hand", (await storage.Cluster.FlorctlAsync("store", "list", "notes", "--portal", portal, "-o", "json")).Succeeded().Output, StringComparison.Ordinal);
        Assert.Contains("c: current", (await storage.Cluster.FlorctlAsync("store", "digest", "--instance", "c", "--portal", portal)).Succeeded().Output, StringComparison.Ordinal);
    }
}
