using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Florete.Audit;
using Florete.Identities;
using Florete.Storage.Api.Tests.Harness;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using static Florete.Storage.Api.Tests.Harness.StorageBed;

namespace Florete.Storage.Api.Tests;

/// <summary>Several replicas. They pull when they see each other, and otherwise, here, never: what arrives at once came by the bus.</summary>
public sealed class ReplicationTests : IAsyncLifetime
{
    private readonly StorageBed bed = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await bed.DisposeAsync();

    [Fact]
    public async Task What_one_replica_accepts_the_others_have_and_they_are_equal()
    {
        foreach (var vertex in new[] { "a", "b", "c" }) await bed.StartAsync(vertex);
        var (a, b, c) = (bed.Client(vertex: "a"), bed.Client(vertex: "b"), bed.Client(vertex: "c"));
        for (var i = 0; i < 30; i++) await new[] { a, b, c }[i % 3].PutAsync(Key($"{i}"), Bytes($"{i}"));
        await EqualAsync(a, b, c);
        Assert.Equal("29", Text(await a.GetAsync(Key("29"))));
        Assert.Equal("c", (await a.GetAsync(Key("29")))!.Replica.ToString());
        await Eventually.TrueAsync(async () => (await a.HealthAsync()).Peers.Count(static p => p.Problem is null) == 2);
    }

    [Fact]
    public async Task What_is_forged_is_told_of_the_vertex_that_it_came_from_whoever_its_author_is_said_to_be()
    {
        await bed.StartAsync("a");
        // service/storage of another node, with alice's chain and its own signature.
        var chain = EncodedChain.Encode((await bed.Portal("user/alice", "a").SignAsync(StorageProtocol.SigningPurpose, default)).Chain);
        var draft = new VersionDraft
        {
            Key = Key("swapped"),
            Replica = ReplicaName.Parse("a"),
            Stamp = Stamp.Of(DateTimeOffset.UtcNow),
            Seen = SeenVector.Empty,
            Author = SpiffeId.Parse("spiffe://home/user/alice"),
            Chain = ChainHash.Of(chain),
            Body = Bytes("1"),
            CompareAndSwap = true,
        };
        var forged = draft.WithSignature((await bed.Portal("service/storage", "z").SignAsync(StorageProtocol.SigningPurpose, draft.Content)).Bytes.Span);
        using var swap = new HttpRequestMessage(HttpMethod.Put, "v1/replication/swap?expected=none") { Content = new ByteArrayContent(forged.Bytes.ToArray()) };
        swap.Content.Headers.ContentType = new MediaTypeHeaderValue(StorageProtocol.VersionMediaType);
        swap.Headers.Add(HeaderNames.Chain, Convert.ToBase64String(chain));
        using (var refused = await bed.Http("service/storage", "z").SendAsync(swap)) Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        // No replica at all.
        using (var refused = await bed.Http("user/mallory", "z").PostAsync("v1/replication/offers", new ByteArrayContent([]))) Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        var told = JsonSerializer.Deserialize(await bed.Http("service/identity").GetStringAsync("v1/events?after=0"), AuditJson.Default.NoticedEvents)!;
        Assert.Equal([("user/alice", "vertex/z"), ("user/mallory", "vertex/z")], told.Events.Select(static e => (e.Subject!, e.Peer!)));
        Assert.StartsWith("notes/swapped", told.Events[0].Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_replica_that_comes_later_is_filled_with_what_was_there()
    {
        await bed.StartAsync("a");
        var a = bed.Client(vertex: "a");
        for (var i = 0; i < 50; i++) await a.PutAsync(Key($"{i}"), Bytes($"{i}"));
        await a.DeleteAsync(Key("7"));
        await bed.StartAsync("b");
        var b = bed.Client(vertex: "b");
        await EqualAsync(a, b);
        Assert.Equal((49, true), ((int)(await b.DigestAsync()).Documents, await b.GetAsync(Key("7")) is null));
    }

    [Fact]
    public async Task A_new_replica_accepts_no_writes_until_it_has_what_the_others_have_and_the_first_of_all_does()
    {
        await bed.StartAsync("a");
        var a = bed.Client(vertex: "a");
        await a.PutAsync(Key("there"), Bytes("1"));
        await bed.StartAsync("b");
        var written = await bed.Client(vertex: "b").PutAsync(Key("there"), Bytes("2"));
        // It knew what was there: nothing is superseded.
        await Eventually.TrueAsync(async () => (await a.GetAsync(Key("there")))!.Version == written.Version);
        Assert.Empty(await a.ConflictsAsync());
        Assert.Empty((await bed.Client(vertex: "b").HealthAsync()).Missing);
    }

    [Fact]
    public async Task Groups_that_were_apart_are_equal_after_they_meet_and_what_lost_is_in_sight()
    {
        await bed.StartAsync("a");
        await bed.StartAsync("b");
        var (a, b) = (bed.Client(vertex: "a"), bed.Client(vertex: "b"));
        var before = await a.PutAsync(Key("swapped"), Bytes("0"));
        await EqualAsync(a, b);
        bed.Mesh.Cut("a", "b");
        await a.CompareAndSwapAsync(Key("swapped"), before.Version, Bytes("1"));
        await b.CompareAndSwapAsync(Key("swapped"), before.Version, Bytes("2"));
        await a.PutAsync(Key("only-a"), Bytes("1"));
        await b.PutAsync(Key("only-b"), Bytes("2"));
        bed.Mesh.Mend("a", "b");
        await EqualAsync(a, b);
        var (winner, loser) = (await a.GetAsync(Key("swapped")), Assert.Single(await b.SupersededAsync(Key("swapped"))));
        Assert.Equal(["1", "2"], new[] { Text(winner), Text(loser) }.Order());
        Assert.Equal(("2", "1"), (Text(await a.GetAsync(Key("only-b"))), Text(await b.GetAsync(Key("only-a")))));
        Assert.Equal("swapped", Assert.Single(await b.ConflictsAsync()).Loser.Name);
    }

    [Fact]
    public async Task Swaps_at_several_replicas_of_a_group_are_decided_by_one()
    {
        foreach (var vertex in new[] { "a", "b", "c" }) await bed.StartAsync(vertex);
        StorageClient[] clients = [bed.Client(vertex: "a"), bed.Client(vertex: "b"), bed.Client(vertex: "c")];
        await Eventually.TrueAsync(async () => (await clients[1].HealthAsync()).Peers.Count == 2 && (await clients[2].HealthAsync()).Peers.Count == 2);
        var won = 0;
        for (var round = 0; round < 10; round++)
        {
            var key = Key($"round-{round}");
            await Task.WhenAll(clients.Select(async client =>
            {
                try
                {
                    var written = await client.CompareAndSwapAsync(key, null, Bytes("1"));
                    Assert.Equal("a", written.Replica.ToString());
                    // Who was answered reads what it wrote.
                    Assert.Equal(written.Version, (await client.GetAsync(key))!.Version);
                    Interlocked.Increment(ref won);
                }
                catch (StorageClientException e) when (e.Error == StorageError.Conflict)
                {
                    // One of the others did.
                }
            }));
        }
        Assert.Equal(10, won);
        await EqualAsync(clients);
        Assert.Empty(await clients[2].ConflictsAsync());
    }

    [Fact]
    public async Task A_client_and_its_watch_go_on_at_another_replica_and_the_watch_tells_the_difference()
    {
        await bed.StartAsync("a");
        await bed.StartAsync("b");
        var (near, b) = (bed.Client(vertex: "a"), bed.Client(vertex: "b"));
        await near.PutAsync(Key("stays"), Bytes("1"));
        await near.PutAsync(Key("goes"), Bytes("1"));
        await EqualAsync(near, b);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await using var watch = near.WatchAsync(Notes, cancellationToken: patience.Token).GetAsyncEnumerator(patience.Token);
        var told = new List<string>();
        async Task UntilAsync(params string[] last)
        {
            while (last.Except(told).Any())
            {
                Assert.True(await watch.MoveNextAsync());
                told.Add($"{watch.Current.Kind} {watch.Current.Key.Name}");
            }
        }
        await UntilAsync("CaughtUp ");
        await bed.StopAsync("a");
        await b.DeleteAsync(Key("goes"));
        var written = await near.PutAsync(Key("new"), Bytes("2"));
        Assert.Equal("b", written.Replica.ToString());
        await UntilAsync("Put new", "Delete goes");
        Assert.Equal(["CaughtUp ", "Delete goes", "Put goes", "Put new", "Put stays"], told.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task What_was_acknowledged_is_there_after_a_restart_and_the_same_folder_is_for_one_vertex()
    {
        await bed.StartAsync("a");
        var alice = bed.Client();
        var written = await alice.PutAsync(Key("kept"), Bytes("1"));
        await bed.StopAsync("a");
        await bed.StartAsync("a");
        Assert.Equal(written.Version, (await alice.GetAsync(Key("kept")))!.Version);
        await bed.StopAsync("a");
        await using var foreign = await StorageServer.StartAsync(bed.Options("a"), bed.Portal("service/storage", "b"), static _ => { });
        Assert.IsType<StorageException>(await foreign.Failed.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task A_portal_of_another_identity_and_wrong_options_are_named()
    {
        await using var wrong = await StorageServer.StartAsync(bed.Options("a"), bed.Portal("user/alice", "a"), static _ => { });
        Assert.Contains("name the portal socket of service/storage with --portal", (await wrong.Failed.WaitAsync(TimeSpan.FromSeconds(30))).Message, StringComparison.Ordinal);
        var problems = (bed.Options("a") with { BundleFile = "/nowhere/bundle.pem", MaxBytes = 1, StateFolder = "" }).Validate();
        Assert.Equal(3, problems.Count);
        Assert.Contains("--bundle: there is no file /nowhere/bundle.pem", problems[1], StringComparison.Ordinal);
    }
}
