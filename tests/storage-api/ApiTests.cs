using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Florete.Audit;
using Florete.Storage.Api.Tests.Harness;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using static Florete.Storage.Api.Tests.Harness.StorageBed;

namespace Florete.Storage.Api.Tests;

/// <summary>One replica, its client, and requests by hand.</summary>
public sealed class ApiTests : IAsyncLifetime
{
    private readonly StorageBed bed = new();

    public Task InitializeAsync() => bed.StartAsync("a");

    public async Task DisposeAsync() => await bed.DisposeAsync();

    [Fact]
    public async Task A_document_is_read_byte_for_byte_as_it_was_written_with_who_wrote_it()
    {
        var alice = bed.Client();
        const string body = "{ \"a\" : 1.0,\r\n \"é\": \"\\u00e9\" }\n";
        var written = await alice.PutAsync(Key("x/y.z_1"), Bytes(body));
        var read = await bed.Client("bob").GetAsync(Key("x/y.z_1"));
        Assert.Equal((body, written.Version, written.Stamp, "spiffe://home/user/alice", "a", 0), (Text(read), read!.Version, read.Stamp, read.Author.ToString(), read.Replica.ToString(), read.Superseded));
        Assert.Null(await alice.GetAsync(Key("x/y")));
        Assert.Null(await alice.GetAsync(Key("x/y.z_1", "status")));

        await alice.PutAsync(Key("x/y.z_1", "status"), Bytes("2"));
        Assert.Equal("2", Text(await alice.GetAsync(Key("x/y.z_1", "status"))));
        await alice.DeleteAsync(Key("x/y.z_1"));
        Assert.Null(await alice.GetAsync(Key("x/y.z_1")));
        Assert.Equal("2", Text(await alice.GetAsync(Key("x/y.z_1", "status"))));

        using var answer = await bed.Http().GetAsync("v1/collections/notes/documents/x/y.z_1");
        Assert.Equal((HttpStatusCode.NotFound, "application/problem+json"), (answer.StatusCode, answer.Content.Headers.ContentType?.MediaType));
    }

    [Fact]
    public async Task A_version_is_had_whole_to_be_checked_by_who_acts_on_it()
    {
        var written = await bed.Client().PutAsync(Key("whole"), Bytes("1"));
        using var request = new HttpRequestMessage(HttpMethod.Get, "v1/collections/notes/documents/whole");
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue(StorageProtocol.VersionMediaType));
        using var answer = await bed.Http().SendAsync(request);
        Assert.True(DocumentVersion.TryParse(await answer.Content.ReadAsByteArrayAsync(), out var version, out _));
        Assert.Equal((written.Version, "user/alice"), (version.Id, version.Author.Path));
    }

    [Fact]
    public async Task Refused_versions_are_told_to_the_identity_service_alone()
    {
        var bob = bed.Client("bob");
        await Assert.ThrowsAsync<StorageClientException>(() => bob.PutAsync(Key("his"), Bytes("1")));
        using (var refused = await bed.Http().GetAsync("v1/events?after=0")) Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        using (var malformed = await bed.Http("service/identity").GetAsync("v1/events?after=x")) Assert.Equal(HttpStatusCode.BadRequest, malformed.StatusCode);
        var told = JsonSerializer.Deserialize(await bed.Http("service/identity").GetStringAsync("v1/events?after=0"), AuditJson.Default.NoticedEvents)!;
        var noticed = Assert.Single(told.Events);
        Assert.Equal((1, "refusedDocument", "user/bob", "vertex/a"), (noticed.Number, noticed.Kind, noticed.Subject, noticed.Peer));
        Assert.Contains("no rule that lets user/bob write", noticed.Reason, StringComparison.Ordinal);
        Assert.Empty(JsonSerializer.Deserialize(await bed.Http("service/identity").GetStringAsync("v1/events?after=1"), AuditJson.Default.NoticedEvents)!.Events);
    }

    [Fact]
    public async Task Lists_are_in_order_by_prefix_and_in_pages()
    {
        var alice = bed.Client();
        foreach (var name in new[] { "b/2", "a", "b/1", "c" }) await alice.PutAsync(Key(name), Bytes($"\"{name}\""));
        await alice.PutAsync(Key("b/1", "status"), Bytes("{\n\"line\": \"one\"\n}"));
        var all = new List<string>();
        await foreach (var document in alice.ListAsync(Notes)) all.Add(document.Key.ToString());
        Assert.Equal(["notes/a", "notes/b/1", "notes/b/1:status", "notes/b/2", "notes/c"], all);
        var some = new List<string>();
        await foreach (var document in alice.ListAsync(Notes, "b/")) some.Add(document.Key.ToString());
        Assert.Equal(["notes/b/1", "notes/b/1:status", "notes/b/2"], some);

        var http = bed.Http();
        string? after = "";
        var paged = new List<string>();
        while (after is not null)
        {
            var page = JsonSerializer.Deserialize(await http.GetByteArrayAsync($"v1/collections/notes/documents?limit=2{(after.Length > 0 ? $"&after={after}" : "")}"), StorageJson.Default.ListPage)!;
            Assert.InRange(page.Items.Count, 0, 2);
            paged.AddRange(page.Items.Select(static item => $"notes/{item.Name}{(item.Unit.Length > 0 ? ":" + item.Unit : "")}"));
            after = page.Next;
        }
        Assert.Equal(all, paged);
        Assert.Equal([("notes", 5L)], (await alice.CollectionsAsync()).Select(static c => (c.Name, c.Documents)));
        Assert.Empty(await bed.Client("mallory").CollectionsAsync());
    }

    [Fact]
    public async Task Whom_no_rule_lets_is_refused_everywhere_and_told_which_rule_is_missing()
    {
        await bed.Client().PutAsync(Key("secret"), Bytes("1"));
        var (mallory, bob) = (bed.Client("mallory"), bed.Client("bob"));
        async Task RefusedAsync(Func<Task> act, string what)
        {
            var refusal = await Assert.ThrowsAsync<StorageClientException>(act);
            Assert.Equal(StorageError.Forbidden, refusal.Error);
            Assert.Contains($"no rule that lets {what}; add it under store", refusal.Message, StringComparison.Ordinal);
        }
        await RefusedAsync(() => mallory.GetAsync(Key("secret")), "user/mallory read collection 'notes'");
        await RefusedAsync(() => mallory.ListAsync(Notes).GetAsyncEnumerator().MoveNextAsync().AsTask(), "user/mallory read collection 'notes'");
        await RefusedAsync(() => mallory.WatchAsync(Notes).GetAsyncEnumerator().MoveNextAsync().AsTask(), "user/mallory read collection 'notes'");
        await RefusedAsync(() => bob.PutAsync(Key("secret"), Bytes("2")), "user/bob write collection 'notes'");
        await RefusedAsync(() => bob.DeleteAsync(Key("secret")), "user/bob write collection 'notes'");
        Assert.Empty(await mallory.ConflictsAsync());
        foreach (var path in new[] { "log", $"chains/{new string('0', 64)}" })
        {
            using var answer = await bed.Http().GetAsync($"v1/replication/{path}");
            Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);
        }
        foreach (var path in new[] { "differences", "versions", "offers", "prepare" })
        {
            using var answer = await bed.Http().PostAsync($"v1/replication/{path}", new ByteArrayContent([]));
            Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);
        }
    }

    [Fact]
    public async Task Nobody_writes_in_the_name_of_another()
    {
        var key = Key("hers");
        var bob = bed.Portal("user/bob", "a");
        var proof = (await bob.SignAsync(StorageProtocol.SigningPurpose, default)).Chain;
        var draft = new VersionDraft
        {
            Key = key,
            Replica = ReplicaName.Parse("a"),
            Stamp = Stamp.Of(DateTimeOffset.UtcNow),
            Seen = SeenVector.Empty,
            Author = Identities.SpiffeId.Parse("spiffe://home/user/alice"),
            Chain = ChainHash.Of(Identities.EncodedChain.Encode(proof)),
            Body = Bytes("1"),
        };
        var version = draft.WithSignature((await bob.SignAsync(StorageProtocol.SigningPurpose, draft.Content)).Bytes.Span);
        using var request = new HttpRequestMessage(HttpMethod.Put, "v1/collections/notes/documents/hers") { Content = new ByteArrayContent(version.Bytes.ToArray()) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue(StorageProtocol.VersionMediaType);
        request.Headers.Add(HeaderNames.Chain, Convert.ToBase64String(Identities.EncodedChain.Encode(proof)));
        using var answer = await bed.Http("user/bob").SendAsync(request);
        Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);
        Assert.Equal(1, (await bed.Client().HealthAsync()).Refused);
        Assert.Null(await bed.Client().GetAsync(key));
    }

    [Fact]
    public async Task Compare_and_swap_replaces_what_it_names_and_nothing_else()
    {
        var alice = bed.Client();
        var first = await alice.CompareAndSwapAsync(Key("swap"), null, Bytes("1"));
        var conflict = await Assert.ThrowsAsync<StorageClientException>(() => alice.CompareAndSwapAsync(Key("swap"), null, Bytes("2")));
        Assert.Equal((StorageError.Conflict, first.Version.ToString()), (conflict.Error, conflict.CurrentVersion));
        var second = await alice.CompareAndSwapAsync(Key("swap"), first.Version, Bytes("2"));
        await Assert.ThrowsAsync<StorageClientException>(() => alice.CompareAndSwapAsync(Key("swap"), first.Version, Bytes("3")));
        await alice.CompareAndSwapAsync(Key("swap"), second.Version, null);
        Assert.Null(await alice.GetAsync(Key("swap")));
        // What is deleted may be made again.
        await alice.CompareAndSwapAsync(Key("swap"), null, Bytes("4"));
        Assert.Equal("4", Text(await alice.GetAsync(Key("swap"))));
        Assert.Empty(await alice.ConflictsAsync());
    }

    [Fact]
    public async Task Of_many_swaps_at_once_one_succeeds_each_time()
    {
        const int Writers = 6, Each = 10;
        var alice = bed.Client();
        await alice.PutAsync(Key("count"), Bytes("0"));
        await Task.WhenAll(Enumerable.Range(0, Writers).Select(_ => Task.Run(async () =>
        {
            for (var done = 0; done < Each;)
            {
                var now = await alice.GetAsync(Key("count"));
                try
                {
                    await alice.CompareAndSwapAsync(Key("count"), now!.Version, Bytes($"{int.Parse(Text(now), System.Globalization.CultureInfo.InvariantCulture) + 1}"));
                    done++;
                }
                catch (StorageClientException e) when (e.Error == StorageError.Conflict)
                {
                    // Another was first.
                }
            }
        })));
        Assert.Equal($"{Writers * Each}", Text(await alice.GetAsync(Key("count"))));
    }

    [Fact]
    public async Task Writers_of_one_document_at_once_all_succeed_without_conflict()
    {
        var alice = bed.Client();
        await Parallel.ForEachAsync(Enumerable.Range(0, 60), new ParallelOptions { MaxDegreeOfParallelism = 3 }, async (i, stopped) => await alice.PutAsync(Key("one"), Bytes($"{i}"), stopped));
        Assert.Empty(await alice.SupersededAsync(Key("one")));
    }

    [Fact]
    public async Task What_is_malformed_is_refused_with_a_sentence_whatever_it_is()
    {
        var (alice, replica) = (bed.Http(), bed.Http("service/storage"));
        var random = new Random(3);
        async Task BadAsync(HttpClient http, HttpMethod method, string path, byte[] body, string type = StorageProtocol.VersionMediaType)
        {
            using var request = new HttpRequestMessage(method, path) { Content = new ByteArrayContent(body) };
            request.Content.Headers.ContentType = new MediaTypeHeaderValue(type);
            using var answer = await http.SendAsync(request);
            Assert.InRange((int)answer.StatusCode, 400, 499);
            var problem = JsonSerializer.Deserialize(await answer.Content.ReadAsByteArrayAsync(), StorageJson.Default.Problem);
            Assert.NotEmpty(problem!.Title);
        }
        foreach (var path in new[]
        {
            "v1/collections/Notes/documents", "v1/collections/notes/documents?limit=0", "v1/collections/notes/documents?after=x", "v1/collections/notes/documents?prefix=A",
            "v1/collections/notes/documents/UPPER", "v1/collections/notes/documents/a?unit=B", "v1/collections/notes/documents/a?unit=a&unit=b", "v1/collections/notes/watch?after=1", "v1/nothing", "",
        })
        {
            await BadAsync(alice, HttpMethod.Get, path, []);
        }
        for (var i = 0; i < 60; i++)
        {
            var noise = new byte[random.Next(300)];
            random.NextBytes(noise);
            await BadAsync(alice, HttpMethod.Put, "v1/collections/notes/documents/a", noise);
            await BadAsync(alice, HttpMethod.Post, "v1/prepare", noise, "application/json");
            await BadAsync(replica, HttpMethod.Post, "v1/replication/differences", noise);
            await BadAsync(replica, HttpMethod.Post, "v1/replication/offers", [1, .. noise]);
            await BadAsync(replica, HttpMethod.Post, "v1/replication/versions", [.. noise, .. new byte[(17 - (noise.Length % 16)) % 16]]);
            await BadAsync(replica, HttpMethod.Put, "v1/replication/swap?expected=none", noise);
        }
        await BadAsync(alice, HttpMethod.Put, "v1/collections/notes/documents/a", new byte[StorageProtocol.MaxVersionBytes + 1]);
        await BadAsync(alice, HttpMethod.Put, "v1/collections/notes/documents/a", [1], "application/json");
        await BadAsync(replica, HttpMethod.Get, "v1/replication/chains/xyz", []);
        await BadAsync(replica, HttpMethod.Get, "v1/replication/log?after=-1", []);
        Assert.Equal(StorageError.Invalid, (await Assert.ThrowsAsync<StorageClientException>(() => bed.Client().PutAsync(Key("bad"), Bytes("{")))).Error);
        Assert.Equal(StorageError.Invalid, (await Assert.ThrowsAsync<StorageClientException>(() => bed.Client().PutAsync(Key("bad"), new byte[StorageProtocol.MaxBodyBytes + 1]))).Error);
    }
}
