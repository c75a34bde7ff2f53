
namespace Florete.Bus.Tests.Flor;

/// <summary>Real processes over real flor.</summary>
public class FlorTests(BusNode node) : IClassFixture<BusNode>
{
    [Fact]
    public async Task A_consumer_that_is_killed_again_and_again_consumes_every_message_in_order()
    {
        const int Messages = 3000, Kills = 5, Bound = 500;
        var report = await KilledConsumer.RunAsync(node.SocketOf("shop"), node.SocketOf("store"), node.Folder, Messages, Kills, Bound, seed: 1);
        Assert.Equal(Enumerable.Range(0, Messages), report.Consumed.Distinct());
        Assert.Equal(Kills, report.Kills);
        Assert.InRange(report.MostHeld, 1, Bound);
        // Every repeat says that it may be one.
        Assert.InRange(report.Duplicates, 0, report.Marked);
    }
}
