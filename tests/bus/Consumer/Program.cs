using Florete.Bus.Tests.Specification;
using Florete.PortalSocket;
using MassTransit;
using Microsoft.Extensions.Hosting;

// Consumes Order at the queue "orders", one at a time, and writes each number into a file before it is completed: what the kernel has survives kill -9.
// bus-consumer SOCKET FILE PARENT
using var parent = System.Diagnostics.Process.GetProcessById(int.Parse(args[2], System.Globalization.CultureInfo.InvariantCulture));
await using var log = new FileStream(args[1], FileMode.Append, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
var builder = Host.CreateEmptyApplicationBuilder(null);
builder.Services.AddMassTransit(x => x.UsingFlorete((_, cfg) =>
{
    cfg.Host(new PortalSocketClient(args[0]), static h => h.Peers("shop"));
    cfg.ReceiveEndpoint("orders", e =>
    {
        e.ConcurrentMessageLimit = 1;
        e.Handler<Order>(async context =>
        {
            var again = context.ReceiveContext.Redelivered ? " again" : "";
            await log.WriteAsync(System.Text.Encoding.ASCII.GetBytes($"{context.Message.Number}{again}\n"));
        });
    });
}));
using var host = builder.Build();
await host.StartAsync();
await parent.WaitForExitAsync();
await host.StopAsync();

namespace Florete.Bus.Tests.Specification
{
    /// <summary>As the tests have it: messages are told by name and namespace.</summary>
    public record Order(int Number);
}
