using System.Diagnostics;
using System.Globalization;
using Florete.Bench.Bus;
using Florete.Bus;
using Florete.Bus.MassTransit;
using Florete.PortalSocket;
using MassTransit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

// The bus between two processes on one node, over portal sockets and flor: the core alone, then MassTransit on it; and what flor signs for a program.
//   dotnet run -c Release --project bench/bus [MESSAGES] [BYTES]
if (args is ["consume", var coreSocket, var massTransitSocket, var parent])
{
    await ConsumeAsync(coreSocket, massTransitSocket, int.Parse(parent, CultureInfo.InvariantCulture));
    return;
}
var messages = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 50_000;
var bytes = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 256;
const int Rounds = 2_000, InFlight = 1_000;
using var node = new BenchNode("shop", "store", "till", "bank");
using var consumer = BenchNode.Start("bench-bus", "consume", node.SocketOf("store"), node.SocketOf("bank"), Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
try
{
    Console.WriteLine($"{messages} messages of {bytes} bytes, then {Rounds} one after another");
    await CoreAsync(node.Portal("shop"));
    await MassTransitAsync(node.Portal("till"));
    await SigningAsync(node.Portal("till"));
}
finally
{
    consumer.Kill();
}

async Task CoreAsync(PortalSocketClient portal)
{
    await using var member = new BusMember(portal, new BusMemberOptions { Peers = ["store"] }, NullLogger<BusMember>.Instance);
    member.Start();
    while (member.Peers.Count == 0) await Task.Delay(10);
    var content = new byte[bytes];
    BusMessage Message() => new(Guid.NewGuid(), default, content);
    async Task FloodAsync()
    {
        for (var i = 0; i < messages; i++) await member.SendAsync(new BusDestination("bench"), Message());
        while (member.HeldCount > 0) await Task.Yield();
    }
    await FloodAsync();
    await MeasureAsync("core: sent and completed", messages, FloodAsync);
    await TimeAsync("core: sent until completed", async () =>
    {
        await member.SendAsync(new BusDestination("bench"), Message());
        while (member.HeldCount > 0) await Task.Yield();
    });
}

async Task MassTransitAsync(PortalSocketClient portal)
{
    var services = new ServiceCollection().AddLogging();
    services.AddMassTransit(x => x.UsingFlorete((_, cfg) => cfg.Host(portal, static host => host.Peers("bank"))));
    await using var provider = services.BuildServiceProvider();
    var bus = provider.GetRequiredService<IBusControl>();
    await bus.StartAsync();
    var held = provider.GetRequiredService<IFloreteBus>();
    var endpoint = await bus.GetSendEndpoint(new Uri("queue:notes"));
    var text = new string('x', bytes);
    async Task FloodAsync()
    {
        for (var i = 0; i < messages; i++) await endpoint.Send(new Note(text));
        while (held.HeldCount > 0) await Task.Delay(1);
    }
    await FloodAsync();
    await MeasureAsync("MassTransit: sent and completed", messages, FloodAsync);
    var questions = bus.CreateRequestClient<Question>(new Uri("queue:questions"));
    for (var i = 0; i < Rounds; i++) await questions.GetResponse<Answer>(new Question(text));
    await TimeAsync("MassTransit: asked until answered", () => questions.GetResponse<Answer>(new Question(text)));
    await MeasureAsync($"MassTransit: asked and answered, {InFlight / 10} at once", messages / 10, async () =>
    {
        for (var i = 0; i < messages / 10; i += InFlight / 10) await Task.WhenAll(Enumerable.Range(0, InFlight / 10).Select(_ => questions.GetResponse<Answer>(new Question(text))));
    });
    await bus.StopAsync();
}

// What one socket may have signed at once, but for those that warm up.
async Task SigningAsync(PortalSocketClient portal)
{
    var content = new byte[bytes];
    for (var i = 0; i < 100; i++) await portal.SignAsync("bench", content);
    await MeasureAsync("signed by flor", 900, async () =>
    {
        for (var i = 0; i < 900; i++) await portal.SignAsync("bench", content);
    });
}

async Task MeasureAsync(string what, int count, Func<Task> work)
{
    using var self = Process.GetCurrentProcess();
    var (flor, own, theirs) = (node.FlorTime, self.TotalProcessorTime, consumer.TotalProcessorTime);
    var watch = Stopwatch.StartNew();
    await work();
    var seconds = watch.Elapsed.TotalSeconds;
    self.Refresh();
    consumer.Refresh();
    double Micros(TimeSpan time) => time.TotalMicroseconds / count;
    Console.WriteLine(
        $"{what}: {count / seconds:0}/s; CPU a message: sender {Micros(self.TotalProcessorTime - own):0} µs, flor {Micros(node.FlorTime - flor):0} µs, consumer {Micros(consumer.TotalProcessorTime - theirs):0} µs");
}

async Task TimeAsync(string what, Func<Task> work)
{
    var times = new double[Rounds];
    for (var i = 0; i < Rounds; i++)
    {
        var begun = Stopwatch.GetTimestamp();
        await work();
        times[i] = Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
    }
    Array.Sort(times);
    Console.WriteLine($"{what}: median {times[Rounds / 2]:0.00} ms, 99 % {times[Rounds * 99 / 100]:0.00} ms, most {times[^1]:0.00} ms");
}

static async Task ConsumeAsync(string coreSocket, string massTransitSocket, int parent)
{
    using var starter = Process.GetProcessById(parent);
    await using var member = new BusMember(new PortalSocketClient(coreSocket), new BusMemberOptions(), NullLogger<BusMember>.Instance);
    member.Start();
    using var queue = member.Receive("bench", isTemporary: false, BusLimits.MaxWindow, []);
    _ = Task.Run(async () =>
    {
        while (true) queue.Finish(await queue.TakeAsync(default), DeliveryOutcome.Completed);
    });
    var services = new ServiceCollection().AddLogging();
    services.AddMassTransit(x => x.UsingFlorete((_, cfg) =>
    {
        cfg.Host(new PortalSocketClient(massTransitSocket), static host => host.Peers("till"));
        cfg.ReceiveEndpoint("notes", static endpoint => endpoint.Handler<Note>(static _ => Task.CompletedTask));
        cfg.ReceiveEndpoint("questions", static endpoint => endpoint.Handler<Question>(static context => context.RespondAsync(new Answer(context.Message.Text))));
    }));
    await using var provider = services.BuildServiceProvider();
    await provider.GetRequiredService<IBusControl>().StartAsync();
    await starter.WaitForExitAsync();
}

namespace Florete.Bench.Bus
{
    public sealed record Note(string Text);

    public sealed record Question(string Text);

    public sealed record Answer(string Text);
}
