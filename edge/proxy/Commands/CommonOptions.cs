using System.CommandLine;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Florete.Proxy.Commands;

/// <summary>Options that several commands share.</summary>
internal static class CommonOptions
{
    public static Option<string> RequiredConfiguration() => new("--config") { Description = "The node's configuration, flor.yaml.", Required = true, HelpName = "FILE" };

    public static Option<bool> Json() => new("--json") { Description = "Print the result as JSON." };

    /// <summary>To standard error: standard output is for what was asked for.</summary>
    public static ILoggerFactory Logs() => LoggerFactory.Create(static builder => builder
        .SetMinimumLevel(LogLevel.Information)
        // The web server's line for every request, and the forwarder's whole chain for every refusal: flor says what is worth a line itself.
        .AddFilter("Microsoft", LogLevel.Warning)
        .AddFilter("Yarp", LogLevel.Error)
        .AddSimpleConsole(static options =>
        {
            options.SingleLine = true;
            options.ColorBehavior = LoggerColorBehavior.Disabled;
            options.UseUtcTimestamp = true;
            options.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
        })
        .Services.Configure<ConsoleLoggerOptions>(static options => options.LogToStandardErrorThreshold = LogLevel.Trace));
}
