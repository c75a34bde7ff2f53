using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Florete.AspNetCore;
using Florete.Hosting;
using Florete.Identities;
using Florete.PortalSocket;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Florete.Identity.Program;

/// <summary><c>florete-identity run</c>: until it is told to stop.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        var folder = new Option<string>("--folder") { Description = "The node's folder.", HelpName = "DIR", DefaultValueFactory = static _ => "." };
        var portal = new Option<string>("--portal") { Description = "Its portal socket, relative to the folder.", HelpName = "SOCKET", DefaultValueFactory = static _ => "run/identity.portal" };
        var control = new Option<string>("--control") { Description = "flor's control socket, relative to the folder.", HelpName = "SOCKET", DefaultValueFactory = static _ => "run/flor.sock" };
        var svidLife = Life("--svid-life", "Life of the SVIDs it issues", CertificateAuthority.DefaultLifetime);
        var authorityLife = Life("--authority-life", "Life of the node authorities it issues, if it is the issuer", NodeAuthority.DefaultLifetime);
        var run = new Command("run", "Renews what the node holds; redeems tokens where the root's key is. SIGINT and SIGTERM stop it.") { folder, portal, control, svidLife, authorityLife };
        run.SetAction((parsed, cancellationToken) => RunAsync(
            new IdentityOptions
            {
                Folder = Path.GetFullPath(parsed.GetValue(folder)!),
                ControlSocket = parsed.GetValue(control)!,
                SvidLifetime = parsed.GetValue(svidLife),
                AuthorityLifetime = parsed.GetValue(authorityLife),
            },
            parsed.GetValue(portal)!));
        return run;
    }

    private static async Task<int> RunAsync(IdentityOptions options, string socket)
    {
        using var stop = new StopSignal();
        var portal = new PortalSocketClient(Path.Combine(options.Folder, socket));
        await using var app = PortalApplication.CreateBuilder("florete-identity", portal, maxRequestBodyBytes: null, static logging => logging.AddProgramLog()).Build();
        IdentityService service;
        try
        {
            service = IdentityService.Open(options, portal, app.Services.GetRequiredService<ILoggerFactory>(), TimeProvider.System);
        }
        catch (Exception e) when (e is ArgumentException or IdentityException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"florete-identity: {e.Message}").ConfigureAwait(false);
            return 1;
        }
        await using (service.ConfigureAwait(false))
        {
            service.Start();
            app.MapIdentityApi(service, static context => context.Features.Get<IPortalConnectionFeature>()?.Caller);
            await app.StartAsync().ConfigureAwait(false);
            await stop.Received.ConfigureAwait(false);
            await app.StopAsync().ConfigureAwait(false);
        }
        return 0;
    }

    private static Option<TimeSpan> Life(string name, string description, TimeSpan usual) => new(name)
    {
        Description = $"{description}: 30s, 90m, 24h, 30d.",
        HelpName = "TIME",
        DefaultValueFactory = _ => usual,
        CustomParser = Parse,
    };

    private static TimeSpan Parse(ArgumentResult result)
    {
        var text = result.Tokens[^1].Value;
        var unit = text.Length < 2 ? 0 : text[^1] switch { 's' => 1L, 'm' => 60, 'h' => 3600, 'd' => 86400, _ => 0 };
        if (unit > 0 && int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0 && count <= 86400L * 3650 / unit)
        {
            return TimeSpan.FromSeconds(count * unit);
        }
        result.AddError($"'{text}' is not a duration: write 30s, 90m, 24h or 30d.");
        return default;
    }
}
