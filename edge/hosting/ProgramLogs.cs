using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Florete.Hosting;

/// <summary>How every program of a node writes its log: a line each, with the time in UTC, to standard error, since standard output is for what was asked for.</summary>
public static class ProgramLogs
{
    /// <summary>From Information on; of the web server, whose line for every request is noise, from Warning on.</summary>
    public static ILoggingBuilder AddProgramLog(this ILoggingBuilder logging)
    {
        logging
            .ClearProviders()
            .SetMinimumLevel(LogLevel.Information)
            .AddFilter("Microsoft", LogLevel.Warning)
            .AddSimpleConsole(static options =>
            {
                options.SingleLine = true;
                options.ColorBehavior = LoggerColorBehavior.Disabled;
                options.UseUtcTimestamp = true;
                options.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            });
        logging.Services.Configure<ConsoleLoggerOptions>(static options => options.LogToStandardErrorThreshold = LogLevel.Trace);
        return logging;
    }
}
