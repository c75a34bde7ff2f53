using System.Threading.Channels;
using MassTransit;
using Microsoft.Extensions.DependencyInjection;

namespace Florete.Bus.Tests.Specification;

public record Order(int Number);

public record OrderTaken(int Number);

public interface IHasNumber
{
    int Number { get; }
}

public record Numbered(int Number) : IHasNumber;

/// <summary>A program on the bus: its queues.</summary>
/// <param name="Name">Its identity is the service of this name.</param>
/// <param name="Configure">Adds its receive endpoints.</param>
public sealed record BusProgram(string Name, Action<IBusFactoryConfigurator> Configure);

/// <summary>What every transport must do; run over MassTransit's in-memory transport and over ours.</summary>
public abstract class BusSpecification : IAsyncLifetime
{
    protected static readonly TimeSpan Prompt = TimeSpan.FromSeconds(30);

    private readonly List<(IBusControl Bus, ServiceProvider Provider)> started = [];

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (var (bus, provider) in started)
        {
            await bus.StopAsync(Prompt);
            await provider.DisposeAsync();
        }
    }

    /// <summary>Starts programs: each has a bus of its own, if the transport connects several.</summary>
    protected abstract Task<IReadOnlyList<IBusControl>> StartAsync(params BusProgram[] programs);

    /// <summary>Of a bus that was started here.</summary>
    protected T Service<T>(IBusControl bus)
        where T : notnull => started.First(s => s.Bus == bus).Provider.GetRequiredService<T>();

    protected async Task<IBusControl> StartBusAsync(Action<IBusRegistrationConfigurator> transport)
    {
        var services = new ServiceCollection();
        services.AddLogging();
        services.AddMassTransit(transport);
        var provider = services.BuildServiceProvider();
        var bus = provider.GetRequiredService<IBusControl>();
        started.Add((bus, provider));
        await bus.StartAsync(new CancellationTokenSource(Prompt).Token);
        return bus;
    }

    [Fact]
    public async Task A_sent_message_is_consumed_at_its_queue_and_nowhere_else()
    {
        var (here, elsewhere) = (new Inbox<Order>(), new Inbox<Order>());
        var buses = await StartAsync(
            new BusProgram("shop", static _ => { }),
            new BusProgram("store", cfg =>
            {
                cfg.ReceiveEndpoint("orders", here.Receive);
                cfg.ReceiveEndpoint("others", elsewhere.Receive);
            }));
        await SendAsync(buses[0], "orders", new Order(7));
        Assert.Equal(7, (await here.NextAsync()).Message.Number);
        Assert.Equal(0, elsewhere.Count);
    }

    [Fact]
    public async Task A_published_message_comes_to_each_queue_that_wants_it_once()
    {
        var (first, second, others) = (new Inbox<Order>(), new Inbox<Order>(), new Inbox<OrderTaken>());
        var buses = await StartAsync(
            new BusProgram("shop", static _ => { }),
            new BusProgram("store", cfg => cfg.ReceiveEndpoint("store", first.Receive)),
            new BusProgram("billing", cfg =>
            {
                cfg.ReceiveEndpoint("billing", second.Receive);
                cfg.ReceiveEndpoint("taken", others.Receive);
            }));
        for (var i = 0; i < 20; i++) await buses[0].Publish(new Order(i));
        Assert.Equal(Enumerable.Range(0, 20), (await first.NextAsync(20)).Select(static c => c.Message.Number).Order());
        Assert.Equal(Enumerable.Range(0, 20), (await second.NextAsync(20)).Select(static c => c.Message.Number).Order());
        await buses[0].Publish(new OrderTaken(1));
        await others.NextAsync();
        Assert.Equal((0, 0, 0), (first.Count, second.Count, others.Count));
    }

    [Fact]
    public async Task A_consumer_of_an_interface_gets_what_implements_it()
    {
        var inbox = new Inbox<IHasNumber>();
        var buses = await StartAsync(new BusProgram("shop", static _ => { }), new BusProgram("store", cfg => cfg.ReceiveEndpoint("numbers", inbox.Receive)));
        await buses[0].Publish(new Numbered(5));
        Assert.Equal(5, (await inbox.NextAsync()).Message.Number);
    }

    [Fact]
    public async Task A_request_gets_its_answer()
    {
        var buses = await StartAsync(
            new BusProgram("shop", static _ => { }),
            new BusProgram("store", static cfg => cfg.ReceiveEndpoint("orders", static e => e.Handler<Order>(static context => context.RespondAsync(new OrderTaken(context.Message.Number + 1))))));
        var client = buses[0].CreateRequestClient<Order>(Prompt);
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => client.GetResponse<OrderTaken>(new Order(i))));
        Assert.Equal(Enumerable.Range(1, 20), answers.Select(static a => a.Message.Number));
    }

    [Fact]
    public async Task A_request_whose_consumer_fails_gets_the_fault()
    {
        var buses = await StartAsync(
            new BusProgram("shop", static _ => { }),
            new BusProgram("store", static cfg => cfg.ReceiveEndpoint("orders", static e => e.Handler<Order>(static _ => throw new InvalidOperationException("sold out")))));
        var fault = await Assert.ThrowsAsync<RequestFaultException>(() => buses[0].CreateRequestClient<Order>(Prompt).GetResponse<OrderTaken>(new Order(1)));
        Assert.Contains("sold out", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_consumer_that_fails_is_tried_again_as_configured()
    {
        var tries = 0;
        var inbox = new Inbox<Order>();
        var buses = await StartAsync(
            new BusProgram("shop", static _ => { }),
            new BusProgram("store", cfg => cfg.ReceiveEndpoint("orders", e =>
            {
                e.UseMessageRetry(static r => r.Immediate(3));
                e.Handler<Order>(context => Interlocked.Increment(ref tries) < 3 ? throw new InvalidOperationException("not yet") : inbox.AddAsync(context));
            })));
        await SendAsync(buses[0], "orders", new Order(1));
        await inbox.NextAsync();
        Assert.Equal(3, tries);
    }

    [Fact]
    public async Task A_consumer_that_fails_for_good_publishes_a_fault_and_the_message_is_among_the_errors()
    {
        var (faults, errors) = (new Inbox<Fault<Order>>(), new Inbox<Order>());
        var buses = await StartAsync(
            new BusProgram("shop", cfg => cfg.ReceiveEndpoint("faults", faults.Receive)),
            new BusProgram("store", cfg =>
            {
                cfg.ReceiveEndpoint("orders", static e => e.Handler<Order>(static _ => throw new InvalidOperationException("sold out")));
                cfg.ReceiveEndpoint("orders_error", e =>
                {
                    e.ConfigureConsumeTopology = false;
                    errors.Receive(e);
                });
            }));
        await SendAsync(buses[0], "orders", new Order(9));
        Assert.Contains("sold out", (await faults.NextAsync()).Message.Exceptions[0].Message, StringComparison.Ordinal);
        var error = await errors.NextAsync();
        Assert.Equal(9, error.Message.Number);
        Assert.Equal("sold out", error.ReceiveContext.TransportHeaders.Get<string>(MessageHeaders.FaultMessage));
    }

    [Fact]
    public async Task A_message_that_nobody_wants_is_kept_aside()
    {
        var skipped = new Inbox<OrderTaken>();
        var buses = await StartAsync(
            new BusProgram("shop", static _ => { }),
            new BusProgram("store", cfg =>
            {
                cfg.ReceiveEndpoint("orders", new Inbox<Order>().Receive);
                cfg.ReceiveEndpoint("orders_skipped", e =>
                {
                    e.ConfigureConsumeTopology = false;
                    skipped.Receive(e);
                });
            }));
        await SendAsync(buses[0], "orders", new OrderTaken(3));
        Assert.Equal(3, (await skipped.NextAsync()).Message.Number);
    }

    [Fact]
    public async Task A_delayed_message_comes_after_those_that_are_not()
    {
        var inbox = new Inbox<Order>();
        var buses = await StartAsync(new BusProgram("shop", static cfg => cfg.UseDelayedMessageScheduler()), new BusProgram("store", cfg => cfg.ReceiveEndpoint("orders", inbox.Receive)));
        var endpoint = await buses[0].GetSendEndpoint(new Uri("queue:orders"));
        await endpoint.Send(new Order(1), static context => context.Delay = TimeSpan.FromSeconds(1.5));
        await endpoint.Send(new Order(2));
        Assert.Equal([2, 1], (await inbox.NextAsync(2)).Select(static c => c.Message.Number));
    }

    [Fact]
    public async Task A_consumer_can_put_a_message_off()
    {
        var inbox = new Inbox<Order>();
        var buses = await StartAsync(
            new BusProgram("shop", static _ => { }),
            new BusProgram("store", cfg =>
            {
                cfg.UseDelayedMessageScheduler();
                cfg.ReceiveEndpoint("orders", e =>
                {
                    e.UseDelayedRedelivery(static r => r.Intervals(TimeSpan.FromMilliseconds(100)));
                    e.Handler<Order>(context => context.GetRedeliveryCount() == 0 ? throw new InvalidOperationException("later") : inbox.AddAsync(context));
                });
            }));
        await SendAsync(buses[0], "orders", new Order(4));
        Assert.Equal(4, (await inbox.NextAsync()).Message.Number);
    }

    [Fact]
    public async Task One_at_a_time_messages_keep_the_order_of_their_sender()
    {
        const int Count = 500;
        var inbox = new Inbox<Order>();
        var buses = await StartAsync(
            new BusProgram("shop", static _ => { }),
            new BusProgram("store", cfg => cfg.ReceiveEndpoint("orders", e =>
            {
                e.ConcurrentMessageLimit = 1;
                inbox.Receive(e);
            })));
        var endpoint = await buses[0].GetSendEndpoint(new Uri("queue:orders"));
        for (var i = 0; i < Count; i++) await endpoint.Send(new Order(i));
        Assert.Equal(Enumerable.Range(0, Count), (await inbox.NextAsync(Count)).Select(static c => c.Message.Number));
    }

    [Fact]
    public async Task Headers_and_ids_come_with_the_message()
    {
        var inbox = new Inbox<Order>();
        var buses = await StartAsync(new BusProgram("shop", static _ => { }), new BusProgram("store", cfg => cfg.ReceiveEndpoint("orders", inbox.Receive)));
        var (id, correlation) = (NewId.NextGuid(), NewId.NextGuid());
        await (await buses[0].GetSendEndpoint(new Uri("queue:orders"))).Send(new Order(1), context =>
        {
            context.MessageId = id;
            context.CorrelationId = correlation;
            context.Headers.Set("colour", "red");
            context.Headers.Set("size", 42);
        });
        var received = await inbox.NextAsync();
        Assert.Equal((id, correlation), (received.MessageId, received.CorrelationId));
        Assert.Equal("red", received.Headers.Get<string>("colour"));
        Assert.Equal(42, received.Headers.Get<int>("size"));
    }

    [Fact]
    public async Task Stopping_waits_for_what_is_being_consumed()
    {
        var (begun, go) = (new TaskCompletionSource(), new TaskCompletionSource());
        var done = 0;
        var buses = await StartAsync(
            new BusProgram("shop", static _ => { }),
            new BusProgram("store", cfg => cfg.ReceiveEndpoint("orders", e => e.Handler<Order>(async _ =>
            {
                begun.TrySetResult();
                await go.Task;
                Interlocked.Increment(ref done);
            }))));
        await SendAsync(buses[0], "orders", new Order(1));
        await begun.Task.WaitAsync(Prompt);
        var stopping = buses[^1].StopAsync(Prompt);
        await Task.Yield();
        Assert.False(stopping.IsCompleted);
        go.SetResult();
        await stopping;
        Assert.Equal(1, done);
    }

    protected static async Task SendAsync<T>(IBus bus, string queue, T message)
        where T : class => await (await bus.GetSendEndpoint(new Uri($"queue:{queue}"))).Send(message);

    /// <summary>Remembers what was consumed, in order.</summary>
    protected sealed class Inbox<T>
        where T : class
    {
        private readonly Channel<ConsumeContext<T>> received = Channel.CreateUnbounded<ConsumeContext<T>>();

        private int total;

        /// <summary>Not read yet.</summary>
        public int Count => received.Reader.Count;

        /// <summary>Of all times.</summary>
        public int Total => total;

        public void Receive(IReceiveEndpointConfigurator endpoint) => endpoint.Handler<T>(AddAsync);

        public Task AddAsync(ConsumeContext<T> context)
        {
            received.Writer.TryWrite(context);
            Interlocked.Increment(ref total);
            return Task.CompletedTask;
        }

        public async Task<ConsumeContext<T>> NextAsync() => await received.Reader.ReadAsync().AsTask().WaitAsync(Prompt);

        public async Task<IReadOnlyList<ConsumeContext<T>>> NextAsync(int count)
        {
            var all = new List<ConsumeContext<T>>();
            while (all.Count < count) all.Add(await NextAsync());
            return all;
        }
    }
}
