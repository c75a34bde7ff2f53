using System.Net;
using System.Text.Json;
using Florete.Storage.Api.Tests.Harness;
using Florete.Storage.Client;
using static Florete.Storage.Api.Tests.Harness.StorageBed;

namespace Florete.Storage.Api.Tests;

/// <summary>Watches of one replica.</summary>
public sealed class WatchTests : IAsyncLifetime
{
    private readonly StorageBed bed = new();
    private readonly CancellationTokenSource patience = new(TimeSpan.FromSeconds(60));

    public Task InitializeAsync() => bed.StartAsync("a");

    public async Task DisposeAsync()
    {
        await patience.CancelAsync();
        await bed.DisposeAsync();
        patience.Dispose();
    }

    [Fact]
    public async Task A_watch_tells_what_is_there_then_every_change_on_a_line_of_its_own()
    {
        var alice = bed.Client();
        await alice.PutAsync(Key("old"), Bytes("{\n  \"a\": \"b\\n\"\n}"));
        await using var watch = alice.WatchAsync(Notes, cancellationToken: patience.Token).GetAsyncEnumerator(patience.Token);
        Assert.Equal((StorageChangeKind.Put, "notes/old", "{   \"a\": \"b\\n\" }"), await NextAsync(watch));
        Assert.Equal(StorageChangeKind.CaughtUp, (await NextAsync(watch)).Item1);
        await alice.PutAsync(Key("new"), Bytes("[1,\r\n2]"));
        Assert.Equal((StorageChangeKind.Put, "notes/new", "[1,  2]"), await NextAsync(watch));
        await alice.DeleteAsync(Key("old"));
        Assert.Equal((StorageChangeKind.Delete, "notes/old", ""), await NextAsync(watch));
    }

    [Fact]
    public async Task A_watch_of_a_prefix_tells_nothing_else()
    {
        var alice = bed.Client();
        await using var watch = alice.WatchAsync(Notes, "b/", patience.Token).GetAsyncEnumerator(patience.Token);
        Assert.Equal(StorageChangeKind.CaughtUp, (await NextAsync(watch)).Item1);
        await alice.PutAsync(Key("a/1"), Bytes("1"));
        await alice.PutAsync(Key("b/1"), Bytes("2"));
        Assert.Equal((StorageChangeKind.Put, "notes/b/1", "2"), await NextAsync(watch));
    }

    [Fact]
    public async Task Nothing_is_missed_while_many_write_and_the_last_value_of_each_is_told()
    {
        var (alice, seen) = (bed.Client(), new Dictionary<string, string>());
        await using var watch = alice.WatchAsync(Notes, cancellationToken: patience.Token).GetAsyncEnumerator(patience.Token);
        Assert.Equal(StorageChangeKind.CaughtUp, (await NextAsync(watch)).Item1);
        var writing = Parallel.ForEachAsync(Enumerable.Range(0, 8), async (writer, stopped) =>
        {
            for (var i = 0; i < 40; i++) await alice.PutAsync(Key($"w{writer}/{i % 5}"), Bytes($"{i}"), stopped);
        });
        while (seen.Count < 40 || seen.Values.Any(static value => int.Parse(value, System.Globalization.CultureInfo.InvariantCulture) < 35))
        {
            var (kind, key, body) = await NextAsync(watch);
            Assert.Equal(StorageChangeKind.Put, kind);
            seen[key] = body;
        }
        await writing;
    }

    [Fact]
    public async Task A_position_goes_on_there_and_a_foreign_one_is_gone()
    {
        var (alice, http) = (bed.Client(), bed.Http());
        await alice.PutAsync(Key("one"), Bytes("1"));
        var page = JsonSerializer.Deserialize(await http.GetByteArrayAsync("v1/collections/notes/documents"), StorageJson.Default.ListPage)!;
        await alice.PutAsync(Key("two"), Bytes("2"));
        using var lines = new StreamReader(await http.GetStreamAsync($"v1/collections/notes/watch?after={page.Position}", patience.Token));
        var (first, second) = (await LineAsync(lines), await LineAsync(lines));
        Assert.Equal(("position", "put", "two"), (first.Type, second.Type, second.Item!.Name));
        using var again = new StreamReader(await http.GetStreamAsync($"v1/collections/notes/watch?after={second.Position}", patience.Token));
        await LineAsync(again);
        await alice.PutAsync(Key("three"), Bytes("3"));
        Assert.Equal("three", (await LineAsync(again)).Item!.Name);
        foreach (var foreign in new[] { page.Position.Replace("a.", "b.", StringComparison.Ordinal), page.Position + "0000", "a.0000000000000000.0" })
        {
            using var gone = await http.GetAsync($"v1/collections/notes/watch?after={foreign}");
            Assert.Equal(HttpStatusCode.Gone, gone.StatusCode);
        }
    }

    [Fact]
    public async Task One_caller_has_so_many_watches_and_others_go_on()
    {
        var http = bed.Http();
        var open = new List<HttpResponseMessage>();
        for (var i = 0; i < 64; i++) open.Add(await http.GetAsync("v1/collections/notes/watch", HttpCompletionOption.ResponseHeadersRead, patience.Token));
        Assert.All(open, static one => Assert.Equal(HttpStatusCode.OK, one.StatusCode));
        using var refused = await http.GetAsync("v1/collections/notes/watch", HttpCompletionOption.ResponseHeadersRead, patience.Token);
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
        using var other = await bed.Http("user/bob").GetAsync("v1/collections/notes/watch", HttpCompletionOption.ResponseHeadersRead, patience.Token);
        Assert.Equal(HttpStatusCode.OK, other.StatusCode);
        foreach (var one in open) one.Dispose();
        await Eventually.TrueAsync(async () =>
        {
            using var once = await http.GetAsync("v1/collections/notes/watch", HttpCompletionOption.ResponseHeadersRead, patience.Token);
            return once.StatusCode == HttpStatusCode.OK;
        });
    }

    [Fact]
    public async Task Bounds_that_change_hide_what_they_no_longer_allow_show_it_again_and_end_watches()
    {
        var (alice, bob) = (bed.Client(), bed.Client("bob"));
        await alice.PutAsync(Key("note"), Bytes("1"));
        await using var watch = bob.WatchAsync(Notes, cancellationToken: patience.Token).GetAsyncEnumerator(patience.Token);
        Assert.Equal((StorageChangeKind.Put, "notes/note", "1"), await NextAsync(watch));
        Assert.Equal(StorageChangeKind.CaughtUp, (await NextAsync(watch)).Item1);
        bed.SignBounds("  - {collection: notes, read: [user/bob], write: [user/carol]}");
        Assert.Equal((StorageChangeKind.Delete, "notes/note"), await NextAsync(watch) is var (kind, key, _) ? (kind, key) : default);
        Assert.Null(await bob.GetAsync(Key("note")));
        bed.SignBounds(Rules);
        Assert.Equal((StorageChangeKind.Put, "notes/note", "1"), await NextAsync(watch));
        bed.SignBounds("  - {collection: notes, read: [user/alice], write: [user/alice]}");
        // It is woken by a change, and comes again to be told why it may not.
        await Eventually.TrueAsync(async () =>
        {
            await alice.PutAsync(Key("wake"), Bytes("2"));
            using var refused = await bed.Http("user/bob").GetAsync("v1/collections/notes/documents");
            return refused.StatusCode == HttpStatusCode.Forbidden;
        });
        await Assert.ThrowsAsync<StorageClientException>(async () =>
        {
            while (await watch.MoveNextAsync()) continue;
        });
    }

    private static async Task<(StorageChangeKind, string, string)> NextAsync(IAsyncEnumerator<StorageChange> watch)
    {
        Assert.True(await watch.MoveNextAsync());
        var change = watch.Current;
        return (change.Kind, change.Key.ToString(), change.Document is null || change.Kind == StorageChangeKind.Delete ? "" : Text(change.Document));
    }

    private async Task<WatchLine> LineAsync(StreamReader lines) => JsonSerializer.Deserialize((await lines.ReadLineAsync(patience.Token))!, StorageJson.Default.WatchLine)!;
}
