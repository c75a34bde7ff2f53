using System.IO.Pipelines;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Florete.Portals;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Florete.AspNetCore.Tests;

public class InProcessTests(InProcess fixture) : PortalProgramTests(fixture), IClassFixture<InProcess>;

public class OverFlorTests(OverFlor fixture) : PortalProgramTests(fixture), IClassFixture<OverFlor>;

/// <summary>What an application behind <c>UsePortal</c> and an HttpClient over a portal promise, wherever the portal is.</summary>
public abstract class PortalProgramTests(ProgramFixture fixture)
{
    private static readonly TimeSpan Prompt = TimeSpan.FromSeconds(10);

    public static TheoryData<string> Versions => new() { "1.1", "2.0" };

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task The_caller_is_a_feature_and_the_user(string version)
    {
        await using var application = await ServeAsync(static app => app.Run(static async context =>
        {
            var feature = context.Features.Get<IPortalConnectionFeature>()!;
            var user = context.User;
            await context.Response.WriteAsync(
                $"{feature.Caller.Path} at {feature.CallerVertex.Path} calls {feature.Service.Path} by {context.Request.Protocol}: "
                + $"{user.Identity!.Name} {user.Identity.IsAuthenticated} {user.Identity.AuthenticationType} {user.FindFirst(PortalAuthentication.KindClaim)!.Value}");
        }));
        using var http = Client(fixture.Alice, version);
        Assert.Equal(
            $"user/alice at vertex/a calls service/hello by HTTP/{version.TrimEnd('0').TrimEnd('.')}: spiffe://home/user/alice True Florete user",
            await http.GetStringAsync("http://hello.rete/"));
        Assert.Contains("calls service/hello", await http.GetStringAsync("http://hello.home.rete/"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Authorization_works_on_the_caller()
    {
        await using var application = await ServeAsync(
            static app =>
            {
                app.UseAuthorization();
                app.MapGet("/users", static () => "for users").RequireAuthorization(static p => p.RequireClaim(PortalAuthentication.KindClaim, "user"));
                app.MapGet("/services", static () => "for services").RequireAuthorization(static p => p.RequireClaim(PortalAuthentication.KindClaim, "service"));
            },
            static services => services.AddAuthorization());
        using var http = Client(fixture.Alice);
        Assert.Equal("for users", await http.GetStringAsync("http://hello.rete/users"));
        Assert.Equal(HttpStatusCode.Forbidden, (await http.GetAsync("http://hello.rete/services")).StatusCode);
    }

    [Fact]
    public async Task It_has_no_port()
    {
        await using var application = await ServeAsync(static app => app.Run(static context => context.Response.WriteAsync("here")));
        var addresses = application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;
        Assert.All(addresses, static a => Assert.DoesNotContain("localhost", a, StringComparison.Ordinal));
        Assert.All(addresses, a => Assert.Contains(fixture.Hello.ToString()!, a, StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task A_hundred_requests_at_once_are_answered_each_with_its_own(string version)
    {
        var all = new TaskCompletionSource();
        var arrived = 0;
        await using var application = await ServeAsync(app => app.Run(async context =>
        {
            // Each waits until all are there: they are in progress at the same time.
            if (Interlocked.Increment(ref arrived) == 100) all.SetResult();
            await all.Task.WaitAsync(TimeSpan.FromSeconds(30));
            await context.Response.WriteAsync(context.Request.Query["n"].ToString());
        }));
        using var http = Client(fixture.Alice, version);
        var answers = await Task.WhenAll(Enumerable.Range(0, 100).Select(n => http.GetStringAsync($"http://hello.rete/?n={n}")));
        Assert.Equal(Enumerable.Range(0, 100).Select(static n => $"{n}"), answers);
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task Large_bodies_arrive_whole_in_both_directions(string version)
    {
        await using var application = await ServeAsync(static app => app.Run(static async context =>
        {
            if (context.Request.Method == "PUT") await context.Response.WriteAsync(Convert.ToHexString(await SHA256.HashDataAsync(context.Request.Body)));
            else await context.Response.BodyWriter.WriteAsync(Content(20_000_000));
        }));
        using var http = Client(fixture.Alice, version);
        var put = await http.PutAsync("http://hello.rete/", new ByteArrayContent(Content(20_000_000)));
        Assert.Equal(Convert.ToHexString(SHA256.HashData(Content(20_000_000))), await put.Content.ReadAsStringAsync());
        Assert.Equal(Content(20_000_000), await http.GetByteArrayAsync("http://hello.rete/"));
    }

    [Fact]
    public async Task A_conversation_goes_both_ways_in_one_request()
    {
        await using var application = await ServeAsync(static app => app.Run(static async context =>
        {
            await context.Response.StartAsync();
            await context.Response.Body.FlushAsync();
            await context.Request.Body.CopyToAsync(context.Response.Body);
        }));
        using var http = Client(fixture.Alice, "2.0");
        var words = new Pipe();
        using var request = new HttpRequestMessage(HttpMethod.Post, "http://hello.rete/")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new Spoken(words.Reader),
        };
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead).WaitAsync(Prompt);
        using var echo = new StreamReader(await response.Content.ReadAsStreamAsync());
        for (var i = 0; i < 20; i++)
        {
            await words.Writer.WriteAsync(Encoding.ASCII.GetBytes($"word {i}\n"));
            Assert.Equal($"word {i}", await echo.ReadLineAsync().WaitAsync(Prompt));
        }
        await words.Writer.CompleteAsync();
        Assert.Null(await echo.ReadLineAsync().WaitAsync(Prompt));
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task A_request_that_the_caller_cancels_is_cancelled_at_the_server(string version)
    {
        var (asked, cancelled) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var application = await ServeAsync(app => app.Run(async context =>
        {
            if (context.Request.Path == "/next")
            {
                await context.Response.WriteAsync("well");
                return;
            }
            asked.SetResult();
            await using var registration = context.RequestAborted.UnsafeRegister(_ => cancelled.SetResult(), null);
            // Neither reads nor writes: it is told all the same.
            await cancelled.Task;
        }));
        using var http = Client(fixture.Alice, version);
        using var cancel = new CancellationTokenSource();
        var request = http.GetStringAsync("http://hello.rete/", cancel.Token);
        await asked.Task.WaitAsync(Prompt);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);
        await cancelled.Task.WaitAsync(Prompt);
        Assert.Equal("well", await http.GetStringAsync("http://hello.rete/next"));
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task A_server_that_aborts_in_the_middle_is_no_end(string version)
    {
        await using var application = await ServeAsync(static app => app.Run(static async context =>
        {
            await context.Response.WriteAsync("half of it");
            await context.Response.Body.FlushAsync();
            context.Abort();
        }));
        using var http = Client(fixture.Alice, version);
        await Assert.ThrowsAsync<HttpRequestException>(() => http.GetStringAsync("http://hello.rete/").WaitAsync(Prompt));
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task A_stopping_server_answers_what_runs_and_takes_nothing_new(string version)
    {
        var (asked, answer) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var application = await ServeAsync(app => app.Run(async context =>
        {
            asked.TrySetResult();
            await answer.Task;
            await context.Response.WriteAsync("to the end");
        }));
        using var http = Client(fixture.Alice, version);
        var running = http.GetStringAsync("http://hello.rete/");
        await asked.Task.WaitAsync(Prompt);
        var stopping = application.StopAsync();
        using var other = Client(fixture.Alice, version);
        await Eventually.TrueAsync(async () =>
        {
            try
            {
                await fixture.Alice.ConnectAsync("hello.rete");
                return false;
            }
            catch (PortalException e)
            {
                return e.Error == PortalError.NotFound;
            }
        });
        var refusal = await Assert.ThrowsAsync<HttpRequestException>(() => other.GetStringAsync("http://hello.rete/"));
        Assert.Equal(PortalError.NotFound, Assert.IsType<PortalException>(refusal.InnerException).Error);
        Assert.False(stopping.IsCompleted);
        answer.SetResult();
        Assert.Equal("to the end", await running.WaitAsync(Prompt));
        await stopping.WaitAsync(Prompt);
    }

    [Fact]
    public async Task A_refused_caller_and_a_wrong_name_get_the_reason()
    {
        await using var application = await ServeAsync(static app => app.Run(static context => context.Response.WriteAsync("here")));
        using var mallory = Client(fixture.Mallory);
        var refusal = await Assert.ThrowsAsync<HttpRequestException>(() => mallory.GetStringAsync("http://hello.rete/"));
        Assert.Equal(PortalError.Refused, Assert.IsType<PortalException>(refusal.InnerException).Error);
        Assert.Contains("user/mallory", refusal.Message, StringComparison.Ordinal);
        using var alice = Client(fixture.Alice);
        var nobody = await Assert.ThrowsAsync<HttpRequestException>(() => alice.GetStringAsync("http://nobody.rete/"));
        Assert.Equal(PortalError.NotFound, Assert.IsType<PortalException>(nobody.InnerException).Error);
        var foreign = await Assert.ThrowsAsync<HttpRequestException>(() => alice.GetStringAsync("http://example.com/"));
        Assert.Contains(".rete", foreign.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_caller_that_says_nothing_or_nonsense_harms_nobody()
    {
        await using var application = await ServeAsync(static app => app.Run(static context => context.Response.WriteAsync("here")));
        List<PortalConnection> silent = [];
        for (var i = 0; i < 20; i++) silent.Add(await fixture.Alice.ConnectAsync("hello.rete"));
        await silent[0].Stream!.Output.WriteAsync("PR"u8.ToArray());
        await silent[1].Stream!.Output.WriteAsync("PRINT everything\r\n\r\n"u8.ToArray());
        await silent[2].Stream!.Output.WriteAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense and more of it"u8.ToArray());
        await silent[3].Stream!.Output.WriteAsync(new byte[1000]);
        await silent[4].Stream!.Output.CompleteAsync();
        silent[5].Abort(new PortalException(PortalError.Closed, "enough"));
        using var http = Client(fixture.Alice);
        Assert.Equal("here", await http.GetStringAsync("http://hello.rete/").WaitAsync(Prompt));
        foreach (var connection in silent)
        {
            connection.Abort(new PortalException(PortalError.Closed, "enough"));
            await connection.DisposeAsync();
        }
        Assert.Equal("here", await http.GetStringAsync("http://hello.rete/").WaitAsync(Prompt));
    }

    /// <summary>A body that is sent while the answer is read; HttpClient takes ready-made contents for such that are sent first.</summary>
    private sealed class Spoken(PipeReader words) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            while (true)
            {
                var read = await words.ReadAsync();
                foreach (var piece in read.Buffer) await stream.WriteAsync(piece);
                await stream.FlushAsync();
                words.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return;
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }

    private static byte[] Content(int bytes)
    {
        var content = new byte[bytes];
        new Random(7).NextBytes(content);
        return content;
    }

    private static HttpClient Client(IProgramPortal portal, string version = "1.1") => new(PortalHttp.CreateHandler(portal))
    {
        DefaultRequestVersion = Version.Parse(version),
        DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
    };

    private async Task<WebApplication> ServeAsync(Action<WebApplication> map, Action<IServiceCollection>? add = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UsePortal(fixture.Hello).ConfigureKestrel(static options => options.Limits.MaxRequestBodySize = null);
        add?.Invoke(builder.Services);
        var application = builder.Build();
        map(application);
        await application.StartAsync();
        return application;
    }
}
