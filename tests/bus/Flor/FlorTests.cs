
using System.Diagnostics;
using Florete.PortalSocket;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit.Abstractions;

namespace Florete.Bus.Tests.Flor;

/// <summary>Real processes over real flor.</summary>
public class FlorTests(BusNode node, ITestOutputHelper output) : IClassFixture<BusNode>
{
    [Fact]
    public async Task A_consumer_that_is_killed_again_and_again_consumes_every_message_in_order()
    {
        const int Messages = 3000, Kills = 5, Bound = 500;
        var report = await KilledConsumer.RunAsync(node.SocketOf("shop"), node.SocketOf("store"), node.Folder, Messages, Kills, Bound, seed: 1);
        Assert.Equal(Enumerable.Range(0, Messages), report.Consumed.Distinct());
        Assert.Equal(Kills, report.Kills);
        Assert.InRange(report.MostHeld, 1, Bound);
        output.WriteLine($"{report.Kills} kills, {report.Duplicates} duplicates ({report.Marked} marked), at most {report.MostHeld} held, {report.MostBytes / 1e6:0.0} MB");
        // Every repeat says that it may be one.
        Assert.InRange(report.Duplicates, 0, report.Marked);
    }

    [Fact]
    public async Task Members_find_each_other_again_after_flor_was_killed_and_lose_nothing()
    {
        var received = new System.Collections.Concurrent.ConcurrentQueue<long>();
        await using var shop = Member(node.Shop, "store");
        await using var store = Member(node.Store, "shop");
        using var queue = store.Receive("lines", isTemporary: false, 16, []);
        var consuming = Task.Run(async () =>
        {
            while (received.Count < 40)
            {
                var delivery = await queue.TakeAsync(default);
                Assert.Equal("spiffe://home/service/shop", delivery.Sender.Identity?.ToString());
                received.Enqueue(BitConverter.ToInt64(delivery.Message.Body.Span));
                queue.Finish(delivery, DeliveryOutcome.Completed);
            }
        });
        for (var i = 0L; i < 20; i++) await shop.SendAsync(new BusDestination("lines"), Numbered(i));
        await Eventually.TrueAsync(() => received.Count == 20);
        node.KillFlor();
        for (var i = 20L; i < 40; i++) await shop.SendAsync(new BusDestination("lines"), Numbered(i));
        node.StartFlor();
        await consuming.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(Enumerable.Range(0, 40).Select(static i => (long)i), received);
        await Eventually.TrueAsync(() => shop.HeldCount == 0);
    }

    [Fact]
    public async Task Whom_the_bounds_do_not_let_in_reaches_no_queue()
    {
        await using var mallory = new BusMember(node.Mallory, new BusMemberOptions { Peers = ["store"], StopTimeout = TimeSpan.Zero }, NullLogger<BusMember>.Instance);
        await using var store = Member(node.Store, "shop", "user/mallory");
        using var queue = store.Receive("secrets", isTemporary: false, 16, ["topic"]);
        mallory.Start();
        await mallory.SendAsync(new BusDestination("secrets"), Numbered(1));
        await mallory.MeetPeersAsync();
        await mallory.PublishAsync(["topic"], Numbered(2));
        Assert.Empty(mallory.Peers);
        Assert.Equal(1, mallory.HeldCount);
    }

    [Fact]
    public async Task A_flood_of_messages_is_completed_and_its_figures_are_printed()
    {
        const int Messages = 20_000, Rounds = 500;
        await using var shop = Member(node.Shop, "store");
        await using var store = Member(node.Store, "shop");
        using var queue = store.Receive("figures", isTemporary: false, 256, []);
        var consuming = Task.Run(async () =>
        {
            for (var i = 0; i < Messages + Rounds; i++) queue.Finish(await queue.TakeAsync(default), DeliveryOutcome.Completed);
        });
        await Eventually.TrueAsync(() => shop.Peers.Count == 1);
        var watch = Stopwatch.StartNew();
        for (var i = 0; i < Messages; i++) await shop.SendAsync(new BusDestination("figures"), Numbered(i));
        await Eventually.TrueAsync(() => shop.HeldCount == 0);
        var rate = Messages / watch.Elapsed.TotalSeconds;
        var times = new List<double>();
        for (var i = 0; i < Rounds; i++)
        {
            var begun = Stopwatch.GetTimestamp();
            await shop.SendAsync(new BusDestination("figures"), Numbered(i));
            SpinWait.SpinUntil(() => shop.HeldCount == 0);
            times.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
        }
        await consuming;
        output.WriteLine($"measured: {rate:0} messages/s, sent to completed {times.Order().ElementAt(Rounds / 2):0.00} ms (99 %: {times.Order().ElementAt(Rounds * 99 / 100):0.00} ms)");
    }

    private static BusMessage Numbered(long number) => new(Guid.NewGuid(), default, BitConverter.GetBytes(number));

    private static BusMember Member(PortalSocketClient portal, params string[] peers)
    {
        var member = new BusMember(portal, new BusMemberOptions { Peers = peers }, NullLogger<BusMember>.Instance);
        member.Start();
        return member;
    }
}
