using Florete.EndToEnd.Tests.Harness;
using Florete.Identities;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>
/// A member with a proper link to b says what is not so about who is there and what runs where. b refuses and counts it, a and c hear nothing of it,
/// and hello on c is reached from a all the while.
/// </summary>
public sealed class HostileDirectoryTests(ITestOutputHelper output)
{
    private const long MemoryGrowth = 30_000_000;
    private const int FetchBytes = 300_000;

    // What packets that cross each other or are lost cause among honest neighbours too.
    private static readonly string[] Everyday = ["stale", "expired", "rate", "unwanted"];

    private static readonly Plan Plan = Plan.Line with
    {
        Nodes = ["a", "b", "c", "d"],
        Links = [("a", "b"), ("b", "c"), ("b", "d")],
        Guests = ["d"],
    };

    [Fact]
    public Task Forged_and_foreign_records_are_refused_by_their_reasons() => UnderAttackAsync(
        async (cluster, _) =>
        {
            await cluster.IssueAsync(cluster["d"], "service/ghost", TimeSpan.FromHours(1));

            // The worst thief: it has the service's own key, and only the bounds say where the service may be.
            await cluster.IssueAsync(cluster["d"], "service/hello", TimeSpan.FromHours(1));
        },
        async (lab, cluster, member) =>
        {
            const int each = 10;
            const byte vertex = DirectoryForge.OfVertex, service = DirectoryForge.OfService;
            var own = member.Vertex;
            var (c, hello) = (member.Id(IdentityKind.Vertex, "c"), member.Id(IdentityKind.Service, "hello"));
            var (trueC, trueHello) = (await member.HearAsync(c), await member.HearAsync(hello));
            var (life, ownLife) = (DirectoryForge.VersionOf(trueC), new DirectoryForge.Version(1, 1));
            var (stolen, ghost) = (member.Svid(IdentityKind.Service, "hello"), member.Svid(IdentityKind.Service, "ghost"));
            var (foreignC, foreignHello) = await ForeignAsync(lab, cluster, member);

            // What is genuine is taken: so the refusals below are for what they say, not for the hand that wrote them.
            await TakesAsync(cluster, member, DirectoryForge.Record(vertex, ownLife, own, "", DirectoryForge.Lonely));

            await RefusesAsync(cluster, member, "wrongIdentity", each, i =>
                DirectoryForge.Record(vertex, life.Later(1000 + i), DirectoryForge.HashOf(DirectoryForge.Chain(own)), c.ToString(), "", DirectoryForge.Lonely, own));
            await RefusesAsync(cluster, member, "signature", each, i =>
                DirectoryForge.Record(vertex, life.Later(1000 + i), DirectoryForge.ChainHashOf(trueC), c.ToString(), "", DirectoryForge.Lonely, own));
            await RefusesAsync(cluster, member, "signature", each, i => Altered(trueC, i));
            await RefusesAsync(cluster, member, "signature", each, i =>
                DirectoryForge.Record(service, life.Later(1000 + i), DirectoryForge.ChainHashOf(trueHello), hello.ToString(), c.ToString(), [], own));
            await RefusesAsync(cluster, member, "bounds", each, i => DirectoryForge.Record(service, ownLife.Later(i), stolen, own.Id.ToString(), []));
            await RefusesAsync(cluster, member, "bounds", each, i => DirectoryForge.Record(service, ownLife.Later(i), ghost, own.Id.ToString(), []));
            await RefusesAsync(cluster, member, "wrongKind", each, i => DirectoryForge.Record(vertex, ownLife.Later(i), ghost, "", DirectoryForge.Lonely));
            await RefusesAsync(cluster, member, "certificate", each, i => DirectoryForge.Record(vertex, life.Later(1000 + i), foreignC, "", DirectoryForge.Lonely));
            await RefusesAsync(cluster, member, "certificate", each, i => DirectoryForge.Record(service, life.Later(1000 + i), foreignHello, c.ToString(), []));
            await RefusesAsync(cluster, member, "foreignCluster", each, i =>
                DirectoryForge.Record(vertex, life.Later(1000 + i), DirectoryForge.HashOf(DirectoryForge.Chain(own)), "spiffe://elsewhere/vertex/c", "", DirectoryForge.Lonely, own));

            // In time: the log says a reason once in 10 s, so that it cannot be filled from outside.
            var log = cluster["b"].Process!.Log;
            foreach (var reason in new[] { "WrongIdentity", "Signature", "Bounds", "WrongKind", "Certificate", "ForeignCluster" })
            {
                Assert.Contains($"refused ({reason}) from {own.Id}", log, StringComparison.Ordinal);
            }

            Assert.InRange(Lines(log, "refused (WrongIdentity)"), 1, each - 1);
        });

    [Fact]
    public Task Replayed_records_change_nothing_and_are_counted() => UnderAttackAsync(
        (_, _) => Task.CompletedTask,
        async (_, cluster, member) =>
        {
            const int each = 200;
            var (c, hello) = (member.Id(IdentityKind.Vertex, "c"), member.Id(IdentityKind.Service, "hello"));

            // Its own: what it said before it said something newer.
            var said = DirectoryForge.Record(DirectoryForge.OfVertex, new(1, 1), member.Vertex, "", DirectoryForge.Lonely);
            await TakesAsync(cluster, member, said);
            var newer = DirectoryForge.Record(DirectoryForge.OfVertex, new(1, 2), member.Vertex, "", DirectoryForge.Lonely);
            var before = Status.DirectoryRefusals(await cluster["b"].StatusAsync());
            await Eventually.HoldsAsync(
                "b has the newer one, so that the older is a replay",
                async () =>
                {
                    await member.SayAsync(DirectoryForge.Offer(newer));
                    await member.SayAsync(DirectoryForge.Offer(said));
                    return Grown(before, Status.DirectoryRefusals(await cluster["b"].StatusAsync()), "stale") > 0;
                });
            await RefusesAsync(cluster, member, "stale", each, _ => said);

            // Of others: caught before their SVIDs were renewed.
            var (oldC, oldHello) = (await member.HearAsync(c), await member.HearAsync(hello));
            await cluster.IssueAsync(cluster["c"], "vertex/c", TimeSpan.FromHours(1));
            await cluster.IssueAsync(cluster["c"], "service/hello", TimeSpan.FromHours(1));
            await Eventually.HoldsAsync(
                "c's records under its new SVIDs have come",
                async () =>
                {
                    await member.SayAsync(DirectoryForge.HasNothing());
                    return IsRenewed(oldC, member.Heard(c)) && IsRenewed(oldHello, member.Heard(hello));
                });
            await RefusesAsync(cluster, member, "stale", each, _ => oldC);
            await RefusesAsync(cluster, member, "stale", each, _ => oldHello);
        });

    [Fact]
    public Task Nonsense_and_floods_cost_little_and_are_counted() => UnderAttackAsync(
        (_, _) => Task.CompletedTask,
        async (lab, cluster, member) =>
        {
            var random = new Random(5);
            var b = cluster["b"];
            var genuine = DirectoryForge.Record(DirectoryForge.OfVertex, new(1, 1), member.Vertex, "", DirectoryForge.Lonely);
            await TakesAsync(cluster, member, genuine);
            var memory = b.Process!.ResidentBytes;
            var began = DateTime.UtcNow;

            _ = await CountsAsync(cluster, member, ["malformed"], 2000, _ => (byte[])[(byte)random.Next(2, 256), .. Noise(random, random.Next(1299))]);
            _ = await CountsAsync(cluster, member, ["malformed"], 300, _ => DirectoryForge.Message(0x70, new byte[random.Next(9001, 17_000)]));
            _ = await CountsAsync(cluster, member, ["unwanted"], 200, _ => DirectoryForge.Message(DirectoryForge.CertificateSection, Noise(random, 1000)));

            // Not even a directory message: label 13 with another TTL than 1.
            var dropped = Status.Counter(await b.StatusAsync(), "forwarding.dropped.malformed");
            await InFullAsync(
                "b drops and counts them", member,
                _ => member.SendAsync(Many(300, _ => (byte[])[0x00, 0x00, 0xD5, 0x02, 4, .. Noise(random, 100)])),
                async () => Status.Counter(await b.StatusAsync(), "forwarding.dropped.malformed") >= dropped + 300,
                () => b.Process!.Log);

            // Version 1, then noise: what comes of it, none can say; the rest of the test says that no harm does.
            await member.SayAsync(Many(2000, _ => (byte[])[1, (byte)random.Next(10), (byte)random.Next(2), .. Noise(random, random.Next(1200))]));

            // More forged ones than b wants to check: the rest it drops unread.
            const int flood = 3000;
            var linksBefore = member.Links;
            var counted = await CountsAsync(cluster, member, ["signature", "peerLimit"], flood, i => DirectoryForge.Offer(Altered(genuine, i)));
            var seconds = (DateTime.UtcNow - began).TotalSeconds;

            // 100 at once, then 20/s (docs/protocols/directory.md); each link begins anew.
            Assert.InRange(counted["signature"], 1, (100 * (1 + member.Links - linksBefore)) + (20 * (seconds + 1)) + 8);
            var lines = Lines(b.Process.Log, "refused (");
            var grown = b.Process.ResidentBytes - memory;
            lab.Say($"measured: {flood + 4800} hostile directory messages: memory of b grew by {grown / 1e6:0.0} MB, {lines} lines of its log are about them");
            Assert.InRange(lines, 1, 5 * (1 + (seconds / 10)));
            Assert.True(grown < MemoryGrowth, $"memory grew by {grown} bytes");
        });

    /// <summary>A cluster, a member in d's place that does what <paramref name="attack"/> says, and everything that must be as before.</summary>
    private async Task UnderAttackAsync(Func<Cluster, Lab, Task> prepare, Func<Lab, Cluster, HostileMember, Task> attack)
    {
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.PrepareAsync(lab, Plan);
        await prepare(cluster, lab);
        await cluster.RunAsync();
        var (a, b) = (cluster["a"], cluster["b"]);
        var published = await DiscoverAsync(a);
        Assert.Contains("service/hello", published, StringComparison.Ordinal);
        using var attacked = new CancellationTokenSource();
        Task<int> fetching;
        await using (var member = await HostileMember.JoinAsync(cluster["d"], "b", $"{cluster.CableOf("b", "d").AddressOf(b.Network)}:{Cluster.Port}"))
        {
            await Eventually.HoldsAsync("b has taken the member's link", async () => Status.LinksUp(await b.StatusAsync()) == 3, () => b.Process!.Log);
            fetching = FetchAsync(lab, cluster, attacked.Token);
            await attack(lab, cluster, member);
            await DiscoversAsync(a, published);
            await DiscoversAsync(cluster["c"], published);
            await attacked.CancelAsync();
            Assert.InRange(await fetching, 1, int.MaxValue);
        }

        await Eventually.HoldsAsync("the member is gone", async () => Status.LinksUp(await b.StatusAsync()) == 2, () => b.Process!.Log);
        await cluster.ReadyAsync();
        _ = await FetchAsync(lab, cluster, new CancellationToken(canceled: true));
        await DiscoversAsync(a, published);
        foreach (var bystander in new[] { a, cluster["c"] })
        {
            var status = await bystander.StatusAsync();
            Assert.Empty(Status.DirectoryRefusals(status).Keys.Except(Everyday));
            Assert.DoesNotContain("ghost", status.GetRawText(), StringComparison.Ordinal);
            Assert.DoesNotContain("elsewhere", status.GetRawText(), StringComparison.Ordinal);
        }
    }

    /// <summary>
    /// Fetches from hello again and again, at least once; every time it must succeed, unless a link between a and c went down meanwhile, as happens where the
    /// machine is too busy to keep it alive. Returns how often it did.
    /// </summary>
    private static async Task<int> FetchAsync(Lab lab, Cluster cluster, CancellationToken until)
    {
        var fetched = 0;
        do
        {
            var downs = await DownsAsync(cluster);
            var got = await Command.ShellAsync(
                cluster.First.Network, $"curl -sSf -m 30 -x socks5h://127.0.0.1:1080 http://hello.rete/bytes/{FetchBytes} | sha256sum", cancellation: CancellationToken.None);
            if (got.ExitCode != 0 && await DownsAsync(cluster) > downs)
            {
                lab.Say($"A fetch failed while a link was down: {got.Error}");
                continue;
            }

            Assert.StartsWith(ContentServer.Checksum(FetchBytes), got.Succeeded().Output, StringComparison.Ordinal);
            fetched++;
        }
        while (fetched == 0 || !until.IsCancellationRequested);
        return fetched;
    }

    private static async Task<long> DownsAsync(Cluster cluster) =>
        Status.LinkDowns(await cluster["a"].StatusAsync()) + Status.LinkDowns(await cluster["c"].StatusAsync());

    /// <summary>Sends the member's first record, and waits until b holds one record more.</summary>
    private static async Task TakesAsync(Cluster cluster, HostileMember member, byte[] record)
    {
        var before = Status.Counter(await cluster["b"].StatusAsync(), "directory.records");
        await Eventually.HoldsAsync(
            "b takes a true record of the member",
            async () =>
            {
                await member.SayAsync(DirectoryForge.Offer(record));
                return Status.Counter(await cluster["b"].StatusAsync(), "directory.records") == before + 1;
            },
            () => cluster["b"].Process!.Log);
    }

    /// <summary>Sends records, and waits until b has counted so many under the reason.</summary>
    private static async Task RefusesAsync(Cluster cluster, HostileMember member, string reason, int count, Func<int, byte[]> record) =>
        _ = await CountsAsync(cluster, member, [reason], count, i => DirectoryForge.Offer(record(i)));

    /// <summary>Sends so many messages, and waits until b has counted as many under the reasons. Returns what b has counted, by reason.</summary>
    private static async Task<IReadOnlyDictionary<string, long>> CountsAsync(Cluster cluster, HostileMember member, string[] reasons, int count, Func<int, byte[]> message)
    {
        var before = Status.DirectoryRefusals(await cluster["b"].StatusAsync());
        var after = before;
        await InFullAsync(
            $"b counts {count} under {string.Join(" and ", reasons)}", member,
            round => member.SayAsync(Enumerable.Range(1 + (round * count), count).Select(message)),
            async () =>
            {
                after = Status.DirectoryRefusals(await cluster["b"].StatusAsync());
                return reasons.Sum(reason => Grown(before, after, reason)) >= count;
            },
            () => $"before: {string.Join(' ', before)}; after: {string.Join(' ', after)}\n{cluster["b"].Process!.Log}");
        return reasons.ToDictionary(reason => reason, reason => Grown(before, after, reason));
    }

    /// <summary>Sends, and waits for the outcome; in another round only if the link was lost meanwhile, and what was on it.</summary>
    private static async Task InFullAsync(string what, HostileMember member, Func<int, Task> send, Func<Task<bool>> arrived, Func<string> state)
    {
        var isOver = false;
        for (var round = 0; !isOver; round++)
        {
            var link = member.Links;
            await send(round);
            await Eventually.HoldsAsync(what, async () => (isOver = await arrived()) || member.Links != link, state);
        }
    }

    /// <summary>SVIDs of c and hello, of another root whose cluster has the same name.</summary>
    private static async Task<(X509Svid Vertex, X509Svid Service)> ForeignAsync(Lab lab, Cluster cluster, HostileMember member)
    {
        var (authority, folder) = (Path.Combine(lab.Folder, "foreign"), Path.Combine(lab.Folder, "foreign-c"));
        (await cluster.FlorctlAsync("cluster", "init", Cluster.Name, "--dir", authority)).Succeeded();
        (await cluster.FlorctlAsync("node", "add", "c", "--dir", authority, "--out", folder, "--identity", "service/hello", "--allow")).Succeeded();
        var held = IdentityFolder.Open(Path.Combine(folder, "identities"));
        return (
            member.Answerable(held.Find(member.Id(IdentityKind.Vertex, "c"))!.Current),
            member.Answerable(held.Find(member.Id(IdentityKind.Service, "hello"))!.Current));
    }

    /// <summary>What the node discovers comes to be this again, where a link that was down made something unreachable.</summary>
    private static async Task DiscoversAsync(Node node, string published)
    {
        var now = "";
        await Eventually.HoldsAsync($"{node.Name} discovers what it did before", async () => published == (now = await DiscoverAsync(node)), () => $"before: {published}\nnow: {now}");
    }

    private static async Task<string> DiscoverAsync(Node node) =>
        (await Command.RunAsync(node.Network, [Programs.Flor, "discover", "--json", "--control", node.ControlSocket])).Succeeded().Output;

    /// <summary>The record with another sequence, later by so many, under the signature that it had.</summary>
    private static byte[] Altered(byte[] record, int by)
    {
        const int sequenceAt = 10;
        var altered = (byte[])record.Clone();
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(altered.AsSpan(sequenceAt), DirectoryForge.VersionOf(record).Later(5000 + by).Sequence);
        return altered;
    }

    private static bool IsRenewed(byte[] old, byte[]? now) =>
        now is not null && !DirectoryForge.ChainHashOf(now).AsSpan().SequenceEqual(DirectoryForge.ChainHashOf(old));

    private static byte[] Noise(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    private static IEnumerable<byte[]> Many(int count, Func<int, byte[]> make) => Enumerable.Range(1, count).Select(make);

    private static int Lines(string log, string with) => log.Split('\n').Count(line => line.Contains(with, StringComparison.Ordinal));

    private static long Grown(IReadOnlyDictionary<string, long> before, IReadOnlyDictionary<string, long> after, string reason) =>
        after.GetValueOrDefault(reason) - before.GetValueOrDefault(reason);
}
