using Florete.Bus.Tests.Flor;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>The bus over real flor, with real programs.</summary>
[Trait("Lane", "1")]
public sealed class BusTests(ITestOutputHelper output)
{
    [Fact]
    public async Task Ten_thousand_messages_survive_a_hundred_deaths_of_their_consumer()
    {
        const int Messages = 10_000, Kills = 100, Bound = 2_000;
        var node = new BusNode();
        await node.InitializeAsync();
        try
        {
            var report = await KilledConsumer.RunAsync(node.SocketOf("shop"), node.SocketOf("store"), node.Folder, Messages, Kills, Bound, seed: 7);
            output.WriteLine($"measured: {report.Kills} kills, {report.Duplicates} duplicates ({report.Marked} marked as perhaps one), at most {report.MostHeld} held, {report.MostBytes / 1e6:0.0} MB while nobody received");
            Assert.Equal(Enumerable.Range(0, Messages), report.Consumed.Distinct());
            Assert.Equal(Kills, report.Kills);
            Assert.InRange(report.MostHeld, 1, Bound);
            Assert.InRange(report.Duplicates, 0, report.Marked);
            // Twice the sender's own figure for what it holds: 256 bytes a message beside its own.
            Assert.InRange(report.MostBytes, 0, 2L * Bound * 2048);
        }
        finally
        {
            await node.DisposeAsync();
        }
    }
}
