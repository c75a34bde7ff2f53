using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Florete.Cli.Local;

/// <summary>The sample web service of a local cluster: a greeting at <c>/</c>, and <c>/bytes/N</c> for a download of N bytes.</summary>
internal static class SampleService
{
    // A download of 1 TiB is endless enough to cut links under.
    private const long MaxBytes = 1L << 40;

    public static async Task<IAsyncDisposable> StartAsync(int port, string node, CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseSetting("urls", string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}"));
        var application = builder.Build();
        application.MapGet("/", () => Results.Text($"Hello from node {node}, reached by its name alone.\n"));
        application.MapGet("/bytes/{count:long:min(0)}", async (long count, HttpContext context) =>
        {
            var left = Math.Min(count, MaxBytes);
            context.Response.ContentType = "application/octet-stream";
            context.Response.ContentLength = left;
            var zeros = new byte[64 * 1024];
            for (; left > 0; left -= zeros.Length)
            {
                await context.Response.Body.WriteAsync(zeros.AsMemory(0, (int)Math.Min(left, zeros.Length)), context.RequestAborted);
            }
        });
        await application.StartAsync(cancellationToken);
        return application;
    }
}
