using Florete.Bus.MassTransit;
using Florete.Bus.Tests.Harness;
using Florete.Portals;
using MassTransit;

namespace Florete.Bus.Tests.Specification;

/// <summary>Over portals in memory, each program at a vertex of its own.</summary>
public class FloreteTests : BusSpecification
{
    private readonly TestMesh mesh = new();

    protected override async Task<IReadOnlyList<IBusControl>> StartAsync(params BusProgram[] programs)
    {
        var buses = new List<IBusControl>();
        foreach (var program in programs) buses.Add(await StartAsync(program, $"service/{program.Name}"));
        // Publishing reaches those that have been met.
        foreach (var bus in buses) await Eventually.TrueAsync(() => Service<IFloreteBus>(bus).Peers.Count == buses.Count - 1);
        return buses;
    }

    [Fact]
    public async Task A_consumer_sees_who_sent_whatever_the_message_says()
    {
        var inbox = new Inbox<Order>();
        var buses = await StartAsync(
            new BusProgram("shop", static _ => { }),
            new BusProgram("store", cfg => cfg.ReceiveEndpoint("orders", inbox.Receive)));
        await (await buses[0].GetSendEndpoint(new Uri("queue:orders"))).Send(new Order(1), static context =>
        {
            context.SourceAddress = new Uri("florete://bank.home.rete/orders");
            context.Headers.Set("florete-sender", "spiffe://home/service/bank");
        });
        Assert.Equal(TestMesh.Id("service/shop"), (await inbox.NextAsync()).Sender()?.Identity);
        // Its own messages take a shorter way, and show it too.
        await SendAsync(buses[1], "orders", new Order(2));
        Assert.Equal(TestMesh.Id("service/store"), (await inbox.NextAsync()).Sender()?.Identity);
    }

    [Fact]
    public async Task What_is_sent_while_the_receiver_is_away_comes_when_it_is_back()
    {
        var inbox = new Inbox<Order>();
        var shop = await StartAsync(new BusProgram("shop", static _ => { }), "service/shop");
        await SendAsync(shop, "orders", new Order(1));
        var store = await StartAsync(Store(inbox), "service/store");
        Assert.Equal(1, (await inbox.NextAsync()).Message.Number);
        await store.StopAsync(Prompt);
        await SendAsync(shop, "orders", new Order(2));
        // What was published is remembered for a queue that was there.
        await shop.Publish(new Order(3));
        await StartAsync(Store(inbox), "service/store");
        Assert.Equal([2, 3], (await inbox.NextAsync(2)).Select(static c => c.Message.Number));
    }

    [Fact]
    public async Task Messages_survive_cut_connections_in_order_and_none_comes_twice()
    {
        const int Count = 2000;
        var inbox = new Inbox<Order>();
        var buses = await StartAsync(new BusProgram("shop", static _ => { }), Store(inbox));
        var cutting = Task.Run(async () =>
        {
            while (inbox.Total < Count)
            {
                await Eventually.TrueAsync(() => Service<IFloreteBus>(buses[0]).Peers.Count == 1);
                mesh.Cut();
            }
        });
        var endpoint = await buses[0].GetSendEndpoint(new Uri("queue:orders"));
        for (var i = 0; i < Count; i++) await endpoint.Send(new Order(i));
        Assert.Equal(Enumerable.Range(0, Count), (await inbox.NextAsync(Count)).Select(static c => c.Message.Number));
        await cutting;
        await Eventually.TrueAsync(() => Service<IFloreteBus>(buses[0]).HeldCount == 0);
        Assert.Equal(0, inbox.Count);
    }

    [Fact]
    public async Task A_queue_without_room_fails_the_send_and_says_which_and_what_to_do()
    {
        var shop = await StartBusAsync(x => x.UsingFlorete((_, cfg) => cfg.Host(mesh.Portal("service/shop"), static h =>
        {
            h.Peers("store");
            h.Options(static o => o with { SendTimeout = TimeSpan.FromMilliseconds(200), StopTimeout = TimeSpan.Zero, Sender = o.Sender with { MaxQueueMessages = 3 } });
        })));
        for (var i = 0; i < 3; i++) await SendAsync(shop, "orders", new Order(i));
        var full = await Assert.ThrowsAsync<BusException>(() => SendAsync(shop, "orders", new Order(3)));
        Assert.Contains("Queue 'orders' has no room: 3 messages wait", full.Message, StringComparison.Ordinal);
        Assert.Contains("start the program that has the queue", full.Message, StringComparison.Ordinal);
        await SendAsync(shop, "others", new Order(4));
    }

    [Fact]
    public async Task A_sender_that_waits_for_room_goes_on_when_there_is()
    {
        var inbox = new Inbox<Order>();
        var shop = await StartBusAsync(x => x.UsingFlorete((_, cfg) => cfg.Host(mesh.Portal("service/shop"), static h =>
        {
            h.Peers("store");
            h.Options(static o => o with { Sender = o.Sender with { MaxQueueMessages = 3 } });
        })));
        for (var i = 0; i < 3; i++) await SendAsync(shop, "orders", new Order(i));
        var waiting = SendAsync(shop, "orders", new Order(3));
        Assert.False(waiting.IsCompleted);
        await StartAsync(Store(inbox), "service/store");
        Assert.Equal([0, 1, 2, 3], (await inbox.NextAsync(4)).Select(static c => c.Message.Number));
        await waiting;
    }

    [Fact]
    public async Task A_message_that_is_too_large_is_refused_at_once()
    {
        var shop = await StartAsync(new BusProgram("shop", static _ => { }), "service/shop");
        var endpoint = await shop.GetSendEndpoint(new Uri("queue:orders"));
        var refused = await Assert.ThrowsAsync<BusException>(() => endpoint.Send(new Text(new string('x', BusLimits.MaxMessageBytes))));
        Assert.Contains("at most 1048576", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_instances_share_a_queue_and_one_takes_over_from_the_other()
    {
        var (first, second) = (new Inbox<Order>(), new Inbox<Order>());
        var shop = await StartAsync(new BusProgram("shop", static _ => { }), "service/shop");
        var one = await StartAsync(Store(first), "service/store", "b");
        var other = await StartAsync(Store(second), "service/store", "c");
        await Eventually.TrueAsync(() => Service<IFloreteBus>(shop).Peers.Count == 2);
        await SendAsync(shop, "orders", new Order(0));
        await Eventually.TrueAsync(() => first.Count + second.Count == 1);
        var (left, right, rest) = first.Count == 1 ? (one, first, second) : (other, second, first);
        for (var i = 1; i < 10; i++) await SendAsync(shop, "orders", new Order(i));
        // All to the same, as long as it is there.
        Assert.Equal(Enumerable.Range(0, 10), (await right.NextAsync(10)).Select(static c => c.Message.Number));
        await left.StopAsync(Prompt);
        for (var i = 10; i < 20; i++) await SendAsync(shop, "orders", new Order(i));
        Assert.Equal(Enumerable.Range(10, 10), (await rest.NextAsync(10)).Select(static c => c.Message.Number));
    }

    [Fact]
    public async Task An_answer_goes_to_who_asked_and_not_to_whoever_says_that_the_queue_is_its()
    {
        // Mallory, who may talk to the store, receives at every queue whose name it hears.
        var stolen = 0;
        var asked = new TaskCompletionSource<Uri>(TaskCreationOptions.RunContinuationsAsynchronously);
        var go = new TaskCompletionSource();
        var buses = await StartAsync(
            new BusProgram("shop", static _ => { }),
            new BusProgram("store", cfg => cfg.ReceiveEndpoint("orders", e => e.Handler<Order>(async context =>
            {
                asked.TrySetResult(context.ResponseAddress!);
                await go.Task;
                await context.RespondAsync(new OrderTaken(context.Message.Number));
            }))));
        var answer = buses[0].CreateRequestClient<Order>(Prompt).GetResponse<OrderTaken>(new Order(8));
        var queue = (await asked.Task.WaitAsync(Prompt)).AbsolutePath.TrimStart('/');
        // The shop is away for a moment, and Mallory is there.
        await StartAsync(new BusProgram("mallory", cfg => cfg.ReceiveEndpoint(queue, e => e.Handler<OrderTaken>(_ =>
        {
            Interlocked.Increment(ref stolen);
            return Task.CompletedTask;
        }))), "service/mallory");
        await Eventually.TrueAsync(() => Service<IFloreteBus>(buses[1]).Peers.Count == 2);
        mesh.Refuse = static (caller, target) => target.Name == "shop" ? new PortalException(PortalError.Unreachable, "It is away.") : null;
        mesh.Cut();
        await Eventually.TrueAsync(() => Service<IFloreteBus>(buses[1]).Peers.Any(static p => p.Identity.Name == "mallory"));
        go.SetResult();
        await Eventually.TrueAsync(() => Service<IFloreteBus>(buses[1]).HeldCount == 1 || stolen > 0);
        mesh.Refuse = static (_, _) => null;
        Assert.Equal(8, (await answer).Message.Number);
        Assert.Equal(0, stolen);
    }

    [Fact]
    public async Task A_bus_without_a_portal_or_with_a_wrong_peer_does_not_start()
    {
        var missing = await Assert.ThrowsAsync<ConfigurationException>(() => StartBusAsync(static x => x.UsingFlorete(static (_, _) => { })));
        Assert.Contains("cfg.Host(portal)", missing.Message, StringComparison.Ordinal);
        var wrong = await Assert.ThrowsAsync<ConfigurationException>(() => StartBusAsync(x => x.UsingFlorete((_, cfg) => cfg.Host(mesh.Portal("service/shop"), static h => h.Peers("No Such")))));
        Assert.Contains("'No Such' names no identity", wrong.Message, StringComparison.Ordinal);
    }

    private static BusProgram Store(Inbox<Order> inbox) => new("store", cfg => cfg.ReceiveEndpoint("orders", e =>
    {
        e.ConcurrentMessageLimit = 1;
        inbox.Receive(e);
    }));

    private Task<IBusControl> StartAsync(BusProgram program, string identity, string vertex = "a") => StartBusAsync(x => x.UsingFlorete((_, cfg) =>
    {
        cfg.Host(mesh.Portal(identity, vertex), static h => h.Peers("*"));
        program.Configure(cfg);
    }));
}

public record Text(string Content);
