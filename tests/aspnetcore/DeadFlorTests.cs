using Florete.Portals;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Florete.AspNetCore.Tests;

/// <summary>Programs whose flor is not there, goes and comes back.</summary>
public class DeadFlorTests
{
    private static readonly TimeSpan Prompt = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task A_server_starts_without_flor_and_is_back_whenever_flor_is()
    {
        var node = new OverFlor();
        node.Prepare();
        try
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.WebHost.UsePortal(node.Hello);
            await using var application = builder.Build();
            application.MapGet("/", static () => "here");
            var entered = new SemaphoreSlim(0);
            application.MapGet("/never", (HttpContext context) =>
            {
                entered.Release();
                return Task.Delay(Timeout.Infinite, context.RequestAborted);
            });
            await application.StartAsync().WaitAsync(Prompt);
            using var http = new HttpClient(PortalHttp.CreateHandler(node.Alice));
            var absent = await Assert.ThrowsAsync<HttpRequestException>(() => http.GetStringAsync("http://hello.rete/"));
            Assert.Contains("start it, or correct the path", absent.Message, StringComparison.Ordinal);
            for (var life = 0; life < 2; life++)
            {
                node.StartFlor();
                await Eventually.TrueAsync(async () => await http.GetStringAsync("http://hello.rete/") == "here");
                var waiting = http.GetStringAsync("http://hello.rete/never");
                Assert.True(await entered.WaitAsync(Prompt));
                Assert.False(waiting.IsCompleted);
                node.KillFlor();
                await Assert.ThrowsAsync<HttpRequestException>(() => waiting.WaitAsync(Prompt));
            }
            await application.StopAsync().WaitAsync(Prompt);
        }
        finally
        {
            await node.DisposeAsync();
        }
    }
}
