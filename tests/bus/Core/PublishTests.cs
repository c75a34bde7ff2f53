using Florete.Bus.Tests.Harness;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Bus.Tests.Core;

/// <summary>Publishing to queues of which one is slow.</summary>
public class PublishTests
{
    private static readonly TimeSpan Prompt = TimeSpan.FromSeconds(30);

    private readonly TestMesh mesh = new();

    [Fact]
    public async Task A_slow_subscriber_holds_up_neither_the_others_nor_the_publisher_beyond_its_bound()
    {
        await using var shop = Member("shop", new BusMemberOptions
        {
            Peers = ["store"],
            Sender = new SenderOptions { MaxQueueMessages = 3 },
            SendTimeout = TimeSpan.FromSeconds(2),
            StopTimeout = TimeSpan.Zero,
        });
        await using var store = Member("store", new BusMemberOptions { StopTimeout = TimeSpan.Zero });
        // The slow one is in between, wherever publishing begins.
        using var before = store.Receive("before", isTemporary: false, 16, ["news"]);
        using var slow = store.Receive("slow", isTemporary: false, 16, ["news"]);
        using var after = store.Receive("after", isTemporary: false, 16, ["news"]);
        await Eventually.TrueAsync(() => shop.Peers is [{ Queues.Count: 3 }]);
        for (var i = 0; i < 3; i++) await PublishAsync(shop, i, before, after);
        var waiting = shop.PublishAsync(["news"], Numbered(3)).AsTask();
        await ExpectAsync(before, 3);
        await ExpectAsync(after, 3);
        Assert.False(waiting.IsCompleted);
        await ExpectAsync(slow, 0);
        await waiting.WaitAsync(Prompt);
        // Now it stays full.
        var failing = shop.PublishAsync(["news"], Numbered(4)).AsTask();
        await ExpectAsync(before, 4);
        await ExpectAsync(after, 4);
        var full = await Assert.ThrowsAsync<BusException>(() => failing.WaitAsync(Prompt));
        Assert.Contains("Queue 'slow' has no room", full.Message, StringComparison.Ordinal);
    }

    private static async Task PublishAsync(BusMember member, long number, params BusReceiver[] receivers)
    {
        await member.PublishAsync(["news"], Numbered(number));
        foreach (var receiver in receivers) await ExpectAsync(receiver, number);
        await Eventually.TrueAsync(() => member.HeldCount <= number + 1);
    }

    private static async Task ExpectAsync(BusReceiver receiver, long number)
    {
        var delivery = await receiver.TakeAsync(default).AsTask().WaitAsync(Prompt);
        Assert.Equal(number, BitConverter.ToInt64(delivery.Message.Body.Span));
        receiver.Finish(delivery, DeliveryOutcome.Completed);
    }

    private static BusMessage Numbered(long number) => new(Guid.NewGuid(), default, BitConverter.GetBytes(number));

    private BusMember Member(string name, BusMemberOptions options)
    {
        var member = new BusMember(mesh.Portal($"service/{name}"), options, NullLogger<BusMember>.Instance);
        member.Start();
        return member;
    }
}
