using System.Diagnostics;
using System.Globalization;
using Florete.Bus.MassTransit;
using Florete.Bus.Tests.Specification;
using Florete.PortalSocket;
using MassTransit;
using Microsoft.Extensions.DependencyInjection;

namespace Florete.Bus.Tests.Flor;

/// <summary>What came of sending to a consumer that is killed again and again.</summary>
/// <param name="Consumed">All numbers, in the order in which they were consumed, over all lives.</param>
/// <param name="Marked">How many were marked as sent before.</param>
/// <param name="MostHeld">How many messages the sender held at most.</param>
/// <param name="MostBytes">Of the sender's managed memory, above what it had at first.</param>
/// <param name="Kills">How often it was killed.</param>
public sealed record KillReport(IReadOnlyList<int> Consumed, int Marked, int MostHeld, long MostBytes, int Kills)
{
    public int Duplicates => Consumed.Count - Consumed.Distinct().Count();
}

/// <summary>Sends numbered messages over real flor to a real process that is killed with -9 while it consumes.</summary>
public static class KilledConsumer
{
    public static async Task<KillReport> RunAsync(string senderSocket, string receiverSocket, string folder, int messages, int kills, int bound, int seed)
    {
        var file = Path.Combine(folder, "consumed");
        await File.WriteAllTextAsync(file, "");
        var services = new ServiceCollection();
        services.AddLogging();
        services.AddMassTransit(x => x.UsingFlorete((_, cfg) => cfg.Host(new PortalSocketClient(senderSocket), h =>
        {
            h.Peers("store");
            h.Options(o => o with { SendTimeout = TimeSpan.FromMinutes(2), Sender = o.Sender with { MaxQueueMessages = bound } });
        })));
        await using var provider = services.BuildServiceProvider();
        var bus = provider.GetRequiredService<IBusControl>();
        await bus.StartAsync();
        var held = provider.GetRequiredService<IFloreteBus>();
        var (mostHeld, first, mostBytes) = (0, GC.GetTotalMemory(forceFullCollection: true), 0L);
        // Nobody receives yet: the sender fills up to its bound, and waits.
        var sending = SendAsync(bus, messages);
        await Eventually.TrueAsync(() => held.HeldCount == Math.Min(bound, messages));
        mostBytes = GC.GetTotalMemory(forceFullCollection: true) - first;
        var random = new Random(seed);
        var killed = 0;
        // Spread over all of the messages, at random.
        var at = Enumerable.Range(0, kills).Select(_ => random.Next(messages)).Order().ToList();
        while (true)
        {
            using var consumer = Start(receiverSocket, file);
            try
            {
                var goal = killed < kills ? at[killed] : int.MaxValue;
                while (Lines(file) <= goal && (held.HeldCount > 0 || !sending.IsCompleted))
                {
                    mostHeld = Math.Max(mostHeld, held.HeldCount);
                    await Task.Delay(1);
                }
            }
            finally
            {
                consumer.Kill();
                await consumer.WaitForExitAsync();
            }
            if (killed == kills || (held.HeldCount == 0 && sending.IsCompleted)) break;
            killed++;
        }
        await sending;
        await bus.StopAsync();
        var lines = (await File.ReadAllTextAsync(file)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return new KillReport(
            [.. lines.Select(static l => int.Parse(l.Split(' ')[0], CultureInfo.InvariantCulture))], lines.Count(static l => l.EndsWith("again", StringComparison.Ordinal)), mostHeld, mostBytes, killed);
    }

    private static async Task SendAsync(IBusControl bus, int messages)
    {
        var endpoint = await bus.GetSendEndpoint(new Uri("queue:orders"));
        for (var i = 0; i < messages; i++) await endpoint.Send(new Order(i));
    }

    private static int Lines(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().Count(static c => c == '\n');
    }

    private static Process Start(string socket, string file) => Process.Start(new ProcessStartInfo(
        Path.Combine(AppContext.BaseDirectory, "bus-consumer"), [socket, file, Environment.ProcessId.ToString(CultureInfo.InvariantCulture)])
    {
        RedirectStandardOutput = false,
        RedirectStandardError = false,
    })!;
}
