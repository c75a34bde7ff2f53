using System.CommandLine;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Florete.Agent.Commands;

/// <summary>Options that several commands share.</summary>
internal static class CommonOptions
{
    public const string UsualSocket = "run/agent.sock";

    public static Option<string> RequiredConfiguration() => new("--config") { Description = "What this node runs, agent.yaml.", Required = true, HelpName = "FILE" };

    public static Option<bool> Json() => new("--json") { Description = "Print the result as JSON." };

    public static Option<string> Control() => new("--control")
    {
        Description = $"The control socket of the agent; else FLORETE_AGENT_CONTROL, else {UsualSocket}.",
        HelpName = "PATH",
        DefaultValueFactory = static _ => Environment.GetEnvironmentVariable("FLORETE_AGENT_CONTROL") ?? UsualSocket,
    };

    /// <summary>To standard error: standard output is for what was asked for.</summary>
    public static ILoggerFactory Logs() => LoggerFactory.Create(static builder => builder
        .SetMinimumLevel(LogLevel.Information)
        .AddFilter("Microsoft", LogLevel.Warning)
        .AddSimpleConsole(static options =>
        {
            options.SingleLine = true;
            options.ColorBehavior = LoggerColorBehavior.Disabled;
            options.UseUtcTimestamp = true;
            options.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
        })
        .Services.Configure<ConsoleLoggerOptions>(static options => options.LogToStandardErrorThreshold = LogLevel.Trace));
}
