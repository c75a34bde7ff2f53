using Florete.Bus.MassTransit;
using Florete.Bus.Tests.Harness;
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

    private Task<IBusControl> StartAsync(BusProgram program, string identity) => StartBusAsync(x => x.UsingFlorete((_, cfg) =>
    {
        cfg.Host(mesh.Portal(identity), static h => h.Peers("*"));
        program.Configure(cfg);
    }));
}
