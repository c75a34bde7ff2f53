using Florete.PortalSocket;
using MassTransit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Shop;

var builder = Host.CreateEmptyApplicationBuilder(null);
builder.Services.AddMassTransit(x => x.UsingFlorete((context, cfg) => cfg.Host(new PortalSocketClient(args[0]), host => host.Peers("store"))));
using var program = builder.Build();
await program.StartAsync();
var orders = program.Services.GetRequiredService<IBus>().CreateRequestClient<Order>(new Uri("queue:orders"));
Console.WriteLine((await orders.GetResponse<OrderTaken>(new Order("tea"))).Message.Text);
await program.StopAsync();
