using System.Net;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Florete.Proxy.Tests.Harness;

/// <summary>The web service behind an outbound: <c>/bytes/N</c> gives N known bytes, <c>/hash</c> says what it was sent, <c>/headers</c> what it saw.</summary>
internal sealed class WebServer : IAsyncDisposable
{
    private readonly WebApplication application;

    private WebServer(WebApplication application) => this.application = application;

    public int Port { get; private init; }

    public static async Task<WebServer> StartAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(options =>
        {
            options.Listen(IPAddress.Loopback, 0);
            options.Limits.MaxRequestBodySize = null;
        });
        var application = builder.Build();
        application.Run(ServeAsync);
        await application.StartAsync();
        var address = application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return new WebServer(application) { Port = new Uri(address).Port };
    }

    /// <summary>The first bytes of an endless known sequence.</summary>
    public static byte[] Content(int bytes)
    {
        var content = new byte[bytes];
        for (var i = 0; i < bytes; i++) content[i] = (byte)(i * 31 + (i >> 8) + (i >> 16));
        return content;
    }

    public static string Hash(byte[] content) => Convert.ToHexStringLower(SHA256.HashData(content));

    public ValueTask DisposeAsync() => application.DisposeAsync();

    private static async Task ServeAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        if (path.StartsWith("/bytes/", StringComparison.Ordinal))
        {
            var content = Content(int.Parse(path[7..], System.Globalization.CultureInfo.InvariantCulture));
            context.Response.ContentLength = content.Length;
            await context.Response.Body.WriteAsync(content);
        }
        else if (path == "/hash")
        {
            await context.Response.WriteAsync(Convert.ToHexStringLower(await SHA256.HashDataAsync(context.Request.Body)));
        }
        else
        {
            foreach (var (name, value) in context.Request.Headers) await context.Response.WriteAsync($"{name}: {value}\n");
        }
    }
}
