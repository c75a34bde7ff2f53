using Florete.AspNetCore;
using Florete.Portals;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Florete.Bus.Tests.Flor;

/// <summary>An ASP.NET Core application and a bus member under one identity, in one process, over real flor.</summary>
public class SharedIdentityTests(BusNode node) : IClassFixture<BusNode>
{
    private static readonly TimeSpan Prompt = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Both_are_reached_and_each_comes_and_goes_on_its_own()
    {
        var shared = new SharedPortal(node.Store);
        await using var shop = Member(node.Shop, "store");
        using var http = new HttpClient(PortalHttp.CreateHandler(node.Shop));
        using var http2 = new HttpClient(PortalHttp.CreateHandler(node.Shop))
        {
            DefaultRequestVersion = System.Net.HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        await using (var application = await ServeAsync(shared))
        {
            await using var store = Member(shared.For(BusMember.Protocol), "shop");
            using var queue = store.Receive("orders", isTemporary: false, 16, []);
            // Both are there as soon as flor is.
            await Eventually.TrueAsync(() => IsAnsweredAsync(http));
            // Requests and messages at the same time.
            var asking = Task.WhenAll(Enumerable.Range(0, 100).Select(i => (i % 2 == 0 ? http : http2).GetStringAsync($"http://store.rete/{i}")));
            for (var i = 0L; i < 100; i++) await shop.SendAsync(new BusDestination("orders"), Numbered(i));
            for (var i = 0L; i < 100; i++) await ExpectAsync(queue, i);
            Assert.Equal(Enumerable.Range(0, 100).Select(static i => $"/{i} for spiffe://home/service/shop"), await asking.WaitAsync(Prompt));
            await HostileAsync();
            node.KillFlor();
            node.StartFlor();
            await Eventually.TrueAsync(() => IsAnsweredAsync(http));
            await shop.SendAsync(new BusDestination("orders"), Numbered(100));
            await ExpectAsync(queue, 100);
            await application.StopAsync();
            // The bus goes on; HTTP is refused now.
            await shop.SendAsync(new BusDestination("orders"), Numbered(101));
            await ExpectAsync(queue, 101);
            using var fresh = new HttpClient(PortalHttp.CreateHandler(node.Shop));
            await Assert.ThrowsAsync<HttpRequestException>(() => fresh.GetStringAsync("http://store.rete/"));
        }
        // Nobody is left: withdrawn.
        await Eventually.TrueAsync(async () => !await IsPublishedAsync());
        await using var later = await ServeAsync(shared);
        await Eventually.TrueAsync(() => IsAnsweredAsync(http));
    }

    private static BusMessage Numbered(long number) => new(Guid.NewGuid(), default, BitConverter.GetBytes(number));

    private static async Task ExpectAsync(BusReceiver queue, long number)
    {
        var delivery = await queue.TakeAsync(default).AsTask().WaitAsync(Prompt);
        Assert.Equal(number, BitConverter.ToInt64(delivery.Message.Body.Span));
        queue.Finish(delivery, DeliveryOutcome.Completed);
    }

    private static async Task<bool> IsAnsweredAsync(HttpClient http)
    {
        try
        {
            return await http.GetStringAsync("http://store.rete/here") == "/here for spiffe://home/service/shop";
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static async Task<WebApplication> ServeAsync(SharedPortal shared)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UsePortal(shared.For(PortalHttp.Protocol));
        var application = builder.Build();
        application.MapGet("/{**path}", static (Microsoft.AspNetCore.Http.HttpContext context) => $"{context.Request.Path} for {context.User.Identity!.Name}");
        await application.StartAsync();
        return application;
    }

    private static BusMember Member(IProgramPortal portal, params string[] peers)
    {
        var member = new BusMember(portal, new BusMemberOptions { Peers = peers }, NullLogger<BusMember>.Instance);
        member.Start();
        return member;
    }

    // Callers that speak neither are ended, and those that say nothing hold up nobody.
    private async Task HostileAsync()
    {
        var silent = await node.Shop.ConnectAsync("store.rete");
        foreach (var words in new[] { "SSH-2.0-OpenSSH_9.2\r\n"u8.ToArray(), [0, 0, 0, 23, 2, (byte)'F', (byte)'B'], new byte[1000] })
        {
            var connection = await node.Shop.ConnectAsync("store.rete");
            await connection.Stream!.Output.WriteAsync(words);
            Assert.Equal(0, await ReadToEndAsync(connection).WaitAsync(Prompt));
            await connection.DisposeAsync();
        }
        silent.Abort(new PortalException(PortalError.Closed, "enough"));
        await silent.DisposeAsync();
    }

    // Through a portal socket an abort may look like an end.
    private static async Task<long> ReadToEndAsync(PortalConnection connection)
    {
        var bytes = 0L;
        try
        {
            while (true)
            {
                var read = await connection.Stream!.Input.ReadAsync();
                bytes += read.Buffer.Length;
                connection.Stream.Input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return bytes;
            }
        }
        catch (PortalException)
        {
            return bytes;
        }
    }

    private async Task<bool> IsPublishedAsync()
    {
        await foreach (var change in node.Shop.DiscoverAsync(ServiceQuery.All, watch: false))
        {
            if (change.Service.Name == "store") return true;
        }
        return false;
    }
}
