using Florete.PortalSocket;
using MassTransit;
using Microsoft.Extensions.Hosting;
using Shop;

var builder = Host.CreateApplicationBuilder();
builder.Services.AddMassTransit(x => x.UsingFlorete((context, cfg) =>
{
    cfg.Host(new PortalSocketClient(args[0]), host => host.Peers("shop"));
    cfg.ReceiveEndpoint("orders", queue => queue.Handler<Order>(order =>
        order.RespondAsync(new OrderTaken($"{order.Message.Item} for {order.Sender()?.Identity}"))));
}));
builder.Build().Run();
