using System.Globalization;
using Florete.Bus.MassTransit;
using Florete.Bus.Tests.Specification;
using Florete.EndToEnd.Tests.Harness;
using Florete.PortalSocket;
using MassTransit;
using Microsoft.Extensions.DependencyInjection;
using Xunit.Abstractions;

namespace Florete.EndToEnd.Tests;

/// <summary>The bus between programs of two nodes with a transit node between, whose link fails under traffic.</summary>
[Trait("Lane", "2")]
public sealed class BusOverLinksTests(ITestOutputHelper output)
{
    [Fact]
    public Task Messages_survive_a_link_that_goes_down_under_them() =>
        SurvivesAsync("link down", static cable => cable.CutAsync(), static cable => cable.MendAsync());

    [Fact]
    public Task Messages_survive_a_link_that_falls_silent_under_them() =>
        SurvivesAsync("silence", static cable => cable.SilenceAsync(), static cable => cable.SilenceAsync(on: false));

    private async Task SurvivesAsync(string what, Func<Cable, Task> fail, Func<Cable, Task> mend)
    {
        const int Bound = 500, Cuts = 3, Between = 2_000;
        await using var lab = await Lab.OpenAsync(output);
        var cluster = await Cluster.StartAsync(lab, Plan.Line with
        {
            Services = [],
            Portals = [("a", "service/shop"), ("c", "service/store")],
            ConnectRules = "  - {from: [service/shop], to: [service/store]}\n  - {from: [service/store], to: [service/shop]}",
        });
        var file = Path.Combine(lab.Folder, "consumed");
        await File.WriteAllTextAsync(file, "");
        _ = lab.Start("consumer", null, [
            Path.Combine(AppContext.BaseDirectory, "bus-consumer"), cluster["c"].PortalOf("store"), file, Environment.ProcessId.ToString(CultureInfo.InvariantCulture)]);
        var services = new ServiceCollection();
        services.AddLogging();
        services.AddMassTransit(x => x.UsingFlorete((_, cfg) => cfg.Host(new PortalSocketClient(cluster["a"].PortalOf("shop")), h =>
        {
            h.Peers("store");
            h.Options(o => o with { SendTimeout = TimeSpan.FromMinutes(2), Sender = o.Sender with { MaxQueueMessages = Bound } });
        })));
        await using var provider = services.BuildServiceProvider();
        var bus = provider.GetRequiredService<IBusControl>();
        await bus.StartAsync();
        var held = provider.GetRequiredService<IFloreteBus>();
        var (sent, mostHeld) = (0, 0);
        using var enough = new CancellationTokenSource();
        var sending = Task.Run(async () =>
        {
            var endpoint = await bus.GetSendEndpoint(new Uri("queue:orders"));
            while (!enough.IsCancellationRequested)
            {
                await endpoint.Send(new Order(sent));
                sent++;
                mostHeld = Math.Max(mostHeld, held.HeldCount);
            }
        });
        var pauses = new List<double>();
        for (var cut = 0; cut < Cuts; cut++)
        {
            var before = Lines(file);
            var downs = await cluster.LinkDownsAsync();
            await Eventually.HoldsAsync("messages flow", () => Lines(file) > before + Between);
            await fail(cluster.CableOf("a", "b"));
            // The sender fills up to its bound, and waits, also when both ends have given the link up.
            await Eventually.HoldsAsync("the sender is full", () => held.HeldCount == Bound);
            await Eventually.HoldsAsync("both ends have noticed", async () => await cluster.LinkDownsAsync() >= downs + 2);
            Assert.Equal(Bound, held.HeldCount);
            Assert.False(sending.IsCompleted, sending.Exception?.ToString());
            var stopped = Lines(file);
            await mend(cluster.CableOf("a", "b"));
            var watch = System.Diagnostics.Stopwatch.StartNew();
            await Eventually.HoldsAsync("messages flow again", () => Lines(file) > stopped);
            pauses.Add(watch.Elapsed.TotalSeconds);
        }
        await enough.CancelAsync();
        await sending.WaitAsync(Eventually.Deadline);
        await Eventually.HoldsAsync("every message was completed", () => held.HeldCount == 0);
        await bus.StopAsync();
        var lines = (await File.ReadAllTextAsync(file)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var consumed = lines.Select(static l => int.Parse(l.Split(' ')[0], CultureInfo.InvariantCulture)).ToList();
        Assert.Equal(Enumerable.Range(0, sent), consumed.Distinct());
        Assert.Equal(Bound, mostHeld);
        lab.Say($"measured: bus, {what}: {sent} messages, {Cuts} cuts, {consumed.Count - sent} duplicates, at most {mostHeld} held, goes on {pauses.Max():0.0} s after the link is mended");
    }

    private static int Lines(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().Count(static c => c == '\n');
    }
}
