using System.Text;
using Florete.Storage.Contracts;

namespace Florete.Storage.Tests;

public sealed class StorageReplicaTests : IDisposable
{
    private readonly ReplicaBed bed = new();

    public void Dispose() => bed.Dispose();

    [Fact]
    public async Task What_was_acknowledged_is_there_after_a_restart_and_the_clock_goes_on()
    {
        var key = Versions.Key("shop", "status");
        DocumentVersion written;
        ChangePosition position;
        ReplicaDigest digest;
        await using (var replica = await bed.OpenAsync())
        {
            await replica.PutAsync(bed.Alice, key, """{"a": 1}""");
            written = await replica.PutAsync(bed.Alice, key, """{"a":  2}""");
            (position, digest) = (replica.Position, replica.Digest());
        }
        // An hour back: what is stamped now must still be greater.
        bed.Time.Advance(TimeSpan.FromSeconds(-30));
        await using var again = await bed.OpenAsync();
        Assert.Equal(position, again.Position);
        Assert.Null(again.ProblemOf(position));
        Assert.Equal(digest, again.Digest());
        var held = Assert.Single(again.Reader.ReadUnit(key));
        Assert.Equal(written.Id, held.Version.Id);
        Assert.Equal("""{"a":  2}""", Encoding.UTF8.GetString(held.Version.Body.Span));
        Assert.True(again.Prepare(key).Clock > written.Stamp);
        Assert.Equal([new CollectionTotals(key.Collection, 1, written.Bytes.Length)], again.Collections());
        var next = await again.PutAsync(bed.Alice, key, "3");
        Assert.True(next.Dominates(written));
    }

    [Fact]
    public async Task A_write_that_does_not_fit_is_told_what_would()
    {
        var key = Versions.Key("shop");
        await using var replica = await bed.OpenAsync();
        var prepared = replica.Prepare(key);
        var first = await replica.PutAsync(bed.Alice, key, "1");
        var late = await replica.WriteAsync(bed.Alice.Make(key, prepared with { Clock = replica.Prepare(key).Clock }, "2"), null, bed.Alice.Id);
        Assert.Equal(WriteStatus.Conflict, late.Status);
        Assert.Equal(first.Id, late.Prepared!.Version);
        Assert.True((await replica.WriteAsync(bed.Alice.Make(key, late.Prepared, "2"), null, bed.Alice.Id)).IsAccepted);
        // The same once more: the answer was lost. It is accepted still, and changes nothing.
        var sequence = replica.Position;
        var again = replica.Reader.ReadUnit(key)[0].Version;
        Assert.True((await replica.WriteAsync(again, null, bed.Alice.Id)).IsAccepted);
        Assert.Equal(sequence, replica.Position);
        var elsewhere = await replica.WriteAsync(bed.Alice.Make(key, replica.Prepare(key) with { Replica = ReplicaName.Parse("b") }, "3"), null, bed.Alice.Id);
        Assert.Equal(WriteStatus.Conflict, elsewhere.Status);
    }

    [Fact]
    public async Task Stamps_more_than_a_minute_off_are_refused_and_do_not_move_the_clock()
    {
        var key = Versions.Key("shop");
        await using var replica = await bed.OpenAsync();
        foreach (var seconds in new[] { -61, 61, 3600 })
        {
            var prepared = replica.Prepare(key) with { Clock = Stamp.Of(bed.Time.GetUtcNow() + TimeSpan.FromSeconds(seconds)) };
            var result = await replica.WriteAsync(bed.Alice.Make(key, prepared, "1"), bed.Alice.Chain, bed.Alice.Id);
            Assert.Equal(WriteStatus.Conflict, result.Status);
        }
        Assert.True(replica.Prepare(key).Clock.Time - bed.Time.GetUtcNow() < TimeSpan.FromSeconds(1));
        var early = bed.Alice.Make(key, replica.Prepare(key) with { Clock = Stamp.Of(bed.Time.GetUtcNow() + TimeSpan.FromSeconds(61)), Replica = ReplicaName.Parse("b") }, "1");
        var merged = await replica.MergeAsync([new OfferedVersion(early, false)], new Dictionary<ChainHash, byte[]> { [early.Chain] = bed.Alice.Chain });
        Assert.Equal(1, merged.Early);
        bed.Time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(1, (await replica.MergeAsync([new OfferedVersion(early, false)], new Dictionary<ChainHash, byte[]> { [early.Chain] = bed.Alice.Chain })).Merged);
    }

    [Fact]
    public async Task Only_what_its_author_signed_and_may_write_is_taken()
    {
        var key = Versions.Key("shop");
        using var bob = bed.Author("bob");
        await using var replica = await bed.OpenAsync();
        var prepared = replica.Prepare(key);
        var version = bed.Alice.Make(key, prepared, "1");
        Assert.Equal(WriteStatus.ChainUnknown, (await replica.WriteAsync(version, null, bed.Alice.Id)).Status);
        Assert.Equal(WriteStatus.Forbidden, (await replica.WriteAsync(version, bob.Chain, bed.Alice.Id)).Status);
        Assert.Equal(WriteStatus.Forbidden, (await replica.WriteAsync(version, bed.Alice.Chain, bob.Id)).Status);
        var flipped = version.Bytes.ToArray();
        flipped[^70] ^= 1;
        if (DocumentVersion.TryParse(flipped, out var altered, out _)) Assert.Equal(WriteStatus.Forbidden, (await replica.WriteAsync(altered, bed.Alice.Chain, bed.Alice.Id)).Status);
        var otherForm = bed.Alice.Sign(bed.Alice.Draft(key, prepared, "1"), canonical: false);
        Assert.Equal(WriteStatus.Forbidden, (await replica.WriteAsync(otherForm, bed.Alice.Chain, bed.Alice.Id)).Status);
        // Bob signs in Alice's name, with his own chain.
        var forged = bob.Sign(new VersionDraft { Key = key, Replica = prepared.Replica, Stamp = prepared.Clock, Seen = prepared.Seen, Author = bed.Alice.Id, Chain = ChainHash.Of(bob.Chain), Body = "1"u8.ToArray() });
        Assert.Equal(WriteStatus.Forbidden, (await replica.WriteAsync(forged, bob.Chain, bed.Alice.Id)).Status);
        bed.MayWrite = (author, _, _) => author == bob.Id;
        Assert.Equal(WriteStatus.Forbidden, (await replica.WriteAsync(version, bed.Alice.Chain, bed.Alice.Id)).Status);
        Assert.Single((await replica.MergeAsync([new OfferedVersion(version, false)])).Refused);
        bed.MayWrite = (_, _, _) => true;
        Assert.True((await replica.WriteAsync(version, bed.Alice.Chain, bed.Alice.Id)).IsAccepted);
    }

    [Fact]
    public async Task A_certificate_must_have_been_valid_when_the_version_was_stamped_and_need_not_be_any_more()
    {
        var key = Versions.Key("shop");
        using var brief = bed.Author("brief", TimeSpan.FromHours(1));
        await using var a = await bed.OpenAsync("a");
        await using var b = await bed.OpenAsync("b");
        await a.PutAsync(brief, key, "1");
        bed.Time.Advance(TimeSpan.FromHours(3));
        await b.PullAsync(a);
        Assert.Single(b.Reader.ReadUnit(key));
        Assert.Equal(WriteStatus.Forbidden, (await a.WriteAsync(brief.Make(key, a.Prepare(key), "2"), brief.Chain, brief.Id)).Status);
    }

    [Fact]
    public async Task Concurrent_writes_end_as_one_winner_and_one_visible_loser_everywhere()
    {
        var key = Versions.Key("shop");
        await using var a = await bed.OpenAsync("a");
        await using var b = await bed.OpenAsync("b");
        var first = await a.PutAsync(bed.Alice, key, "1");
        bed.Time.Advance(TimeSpan.FromSeconds(1));
        var second = await b.PutAsync(bed.Alice, key, "2");
        await a.PullAsync(b);
        await b.PullAsync(a);
        foreach (var replica in new[] { a, b })
        {
            Assert.Equal([second.Id, first.Id], replica.Reader.ReadUnit(key).Select(v => v.Version.Id));
            Assert.Equal(first.Id, Assert.Single(replica.Reader.ReadSuperseded(null, 10)).Version.Id);
        }
        Assert.Equal(a.Digest() with { Sequence = 0 }, b.Digest() with { Sequence = 0 });
        // A later write knows both, and the loser stays in sight.
        await a.PutAsync(bed.Alice, key, "3");
        await b.PullAsync(a);
        Assert.Equal([VersionState.Current, VersionState.Superseded], b.Reader.ReadUnit(key).Select(v => v.State));
        Assert.Equal(a.Digest() with { Sequence = 0 }, b.Digest() with { Sequence = 0 });
    }

    [Fact]
    public async Task Compare_and_swap_takes_one_of_many()
    {
        var key = Versions.Key("lease");
        await using var replica = await bed.OpenAsync();
        var prepared = replica.Prepare(key);
        var tries = Enumerable.Range(0, 20).Select(i => bed.Alice.Make(key, prepared with { Clock = replica.Prepare(key).Clock }, $"{i}", compareAndSwap: true)).ToList();
        var results = await Task.WhenAll(tries.Select(v => replica.CompareAndSwapAsync(v, bed.Alice.Chain, null, bed.Alice.Id)));
        Assert.Single(results, r => r.IsAccepted);
        Assert.All(results, r => Assert.True(r.Status is WriteStatus.Accepted or WriteStatus.Conflict, r.Problem));
        var current = replica.Reader.ReadUnit(key).Single().Version;
        Assert.True((await replica.CompareAndSwapAsync(bed.Alice.Make(key, replica.Prepare(key), null, true), null, current.Id, bed.Alice.Id)).IsAccepted);
        Assert.True((await replica.CompareAndSwapAsync(bed.Alice.Make(key, replica.Prepare(key), "\"anew\"", true), null, null, bed.Alice.Id)).IsAccepted);
        // A version says how it was made.
        Assert.Equal(WriteStatus.Forbidden, (await replica.WriteAsync(bed.Alice.Make(key, replica.Prepare(key), "1", true), null, bed.Alice.Id)).Status);
        Assert.Equal(WriteStatus.Forbidden, (await replica.CompareAndSwapAsync(bed.Alice.Make(key, replica.Prepare(key), "1"), null, null, bed.Alice.Id)).Status);
    }

    [Fact]
    public async Task What_the_bounds_take_away_is_hidden_and_comes_back_with_them()
    {
        var (mine, his) = (Versions.Key("mine"), Versions.Key("his"));
        using var bob = bed.Author("bob");
        await using var a = await bed.OpenAsync("a");
        await using var b = await bed.OpenAsync("b");
        await a.PutAsync(bed.Alice, mine, "1");
        await a.PutAsync(bob, his, "1");
        await b.PullAsync(a);
        var (before, position) = (a.Digest(), a.Position);
        bed.MayWrite = (author, _, _) => author != bob.Id;
        await a.ReevaluateAsync();
        Assert.Empty(a.Reader.ReadUnit(his));
        Assert.Equal(1, a.Digest().Documents);
        var change = Assert.Single(a.Reader.ReadChanges(position.Sequence, null, "", 10).Items);
        Assert.True(change.IsHidden);
        Assert.Single(a.Reader.ReadLog(0, 10).Items);
        // The other side has not heard yet: what it tells is not taken again.
        Assert.Empty(a.Lacking(b.DifferencesFrom(a.Summary())));
        await a.DisposeAsync();
        bed.MayWrite = (_, _, _) => true;
        await using var again = await bed.OpenAsync("a");
        Assert.Single(again.Reader.ReadUnit(his));
        Assert.Equal(before with { Sequence = 0 }, again.Digest() with { Sequence = 0 });
    }

    [Fact]
    public async Task Deletions_and_losers_are_forgotten_at_their_end_and_not_brought_back()
    {
        var (gone, contested) = (Versions.Key("gone"), Versions.Key("contested"));
        await using var a = await bed.OpenAsync("a");
        await using var b = await bed.OpenAsync("b");
        await a.PutAsync(bed.Alice, gone, "1");
        await a.PutAsync(bed.Alice, gone, null);
        var position = a.Position;
        await a.PutAsync(bed.Alice, contested, "1");
        await b.PutAsync(bed.Alice, contested, "2");
        await a.PullAsync(b);
        await b.PullAsync(a);
        Assert.Single(a.Reader.ReadSuperseded(null, 10));
        bed.Time.Advance(TimeSpan.FromDays(6.2));
        await a.UpkeepNowAsync();
        // One has looked and the other has not: they differ, and there is nothing to fetch.
        Assert.Empty(a.Lacking(b.DifferencesFrom(a.Summary())));
        bed.Time.Advance(TimeSpan.FromDays(1));
        await a.UpkeepNowAsync();
        Assert.Empty(a.Reader.ReadSuperseded(null, 10));
        await a.PullAsync(b);
        Assert.Empty(a.Reader.ReadSuperseded(null, 10));
        await b.UpkeepNowAsync();
        Assert.Equal(a.Digest() with { Sequence = 0 }, b.Digest() with { Sequence = 0 });
        Assert.Null(a.ProblemOf(position with { Sequence = 0 }));
        bed.Time.Advance(TimeSpan.FromDays(24));
        await a.UpkeepNowAsync();
        await a.PullAsync(b);
        Assert.Empty(a.Reader.ReadUnit(gone));
        // Whoever has read all waits, although the last rows are gone; also after a start.
        Assert.Equal(a.Position.Sequence, a.Reader.ReadChanges(0, null, "", 1000).Through);
        // Who watches from before the deletion has to list again.
        Assert.NotNull(a.ProblemOf(position with { Sequence = 0 }));
        Assert.Null(a.ProblemOf(position));
    }

    [Fact]
    public async Task A_sequence_that_was_told_is_not_used_again_although_its_row_is_gone()
    {
        var key = Versions.Key("shop");
        using var bob = bed.Author("bob");
        ChangePosition position;
        await using (var a = await bed.OpenAsync("a"))
        {
            await using var b = await bed.OpenAsync("b");
            await b.PutAsync(bob, key, "1");
            bed.Time.Advance(TimeSpan.FromSeconds(1));
            await a.PutAsync(bed.Alice, key, "2");
            await a.PullAsync(b);
            bed.MayWrite = (author, _, _) => author != bob.Id;
            await a.ReevaluateAsync();
            position = a.Position;
            // What comes into sight again is past its time by then.
            bed.Time.Advance(TimeSpan.FromDays(8));
            bed.MayWrite = (_, _, _) => true;
            await a.ReevaluateAsync();
            Assert.Single(a.Reader.ReadLog(0, 10).Items);
            Assert.Equal(position, a.Position);
            Assert.Equal(position.Sequence, a.Reader.ReadChanges(0, null, "", 10).Through);
        }
        await using var again = await bed.OpenAsync("a");
        Assert.Equal(position, again.Position);
    }

    [Fact]
    public async Task A_full_replica_takes_only_what_makes_room()
    {
        await using var replica = await bed.OpenAsync(limits: new StorageLimits { MaxDocuments = 2 });
        await replica.PutAsync(bed.Alice, Versions.Key("x"), "1");
        await replica.PutAsync(bed.Alice, Versions.Key("y"), "1");
        var third = Versions.Key("z");
        Assert.Equal(WriteStatus.Full, (await replica.WriteAsync(bed.Alice.Make(third, replica.Prepare(third), "1"), null, bed.Alice.Id)).Status);
        await replica.PutAsync(bed.Alice, Versions.Key("x"), "2");
        await replica.PutAsync(bed.Alice, Versions.Key("x"), null);
        await replica.PutAsync(bed.Alice, third, "1");
        Assert.Equal(2, replica.Digest().Documents);
    }

    [Fact]
    public async Task Pages_of_a_collection_begin_where_the_last_one_ended()
    {
        await using var replica = await bed.OpenAsync();
        foreach (var name in new[] { "a/1", "a/2", "a/3", "b" }) await replica.PutAsync(bed.Alice, Versions.Key(name), "1");
        await replica.PutAsync(bed.Alice, Versions.Key("a/2", "status"), "1");
        await replica.PutAsync(bed.Alice, Versions.Key("a/3"), null);
        await replica.PutAsync(bed.Alice, Versions.Key("a/1", collection: "others"), "1");
        var names = new List<string>();
        DocumentKey? after = null;
        while (replica.Reader.ReadCollection(CollectionName.Parse("apps"), "a/", after, 1) is [var item])
        {
            names.Add(item.Version.Key.ToString());
            after = item.Version.Key;
        }
        Assert.Equal(["apps/a/1", "apps/a/2", "apps/a/2:status"], names);
    }

    [Fact]
    public async Task A_watch_is_woken_by_every_commit_and_misses_no_unit()
    {
        await using var replica = await bed.OpenAsync();
        var keys = Enumerable.Range(0, 8).Select(i => Versions.Key($"d{i}")).ToArray();
        using var stop = new CancellationTokenSource();
        var seen = new Dictionary<DocumentKey, VersionId>();
        var watch = Task.Run(async () =>
        {
            for (var at = 0L; ;)
            {
                var page = replica.Reader.ReadChanges(at, null, "", 3);
                foreach (var item in page.Items) seen[item.Version.Key] = item.Version.Id;
                at = page.Through;
                if (!page.IsLast) continue;
                if (stop.IsCancellationRequested) return;
                await Task.WhenAny(replica.WaitForChangeAsync(at), Task.Delay(Timeout.Infinite, stop.Token));
            }
        });
        await Task.WhenAll(keys.Select(key => Task.Run(async () =>
        {
            for (var i = 0; i < 20; i++) await replica.PutAsync(bed.Alice, key, $"{i}");
        })));
        await stop.CancelAsync();
        await watch;
        Assert.Equal(keys.ToDictionary(k => k, k => replica.Reader.ReadUnit(k).Single().Version.Id), seen);
    }

    [Fact]
    public async Task A_new_replica_is_filled_from_the_log_and_chains()
    {
        await using var a = await bed.OpenAsync("a");
        for (var i = 0; i < 30; i++) await a.PutAsync(bed.Alice, Versions.Key($"d{i % 20}"), $"{i}");
        await using var b = await bed.OpenAsync("b");
        var writer = new System.Buffers.ArrayBufferWriter<byte>();
        for (var at = 0L; ;)
        {
            var page = a.Reader.ReadLog(at, 7);
            foreach (var item in page.Items) VersionBatch.Append(writer, item.Version, item.State == VersionState.Superseded);
            at = page.Through;
            if (page.IsLast) break;
        }
        Assert.True(VersionBatch.TryDecode(writer.WrittenMemory, out var versions, out _));
        var unknown = await b.MergeAsync(versions);
        Assert.Equal([ChainHash.Of(bed.Alice.Chain)], unknown.UnknownChains);
        Assert.Equal(20, (await b.MergeAsync(versions, unknown.UnknownChains.ToDictionary(c => c, c => a.Reader.ReadChain(c)!))).Merged);
        Assert.Equal(a.Digest().Current, b.Digest().Current);
        Assert.Empty(a.Summary().Differing(b.Summary()));
    }
}
