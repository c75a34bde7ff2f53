using System.CommandLine;
using Florete.Hosting;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Commands;

/// <summary>Options that several commands share.</summary>
internal static class CommonOptions
{
    public static Option<string> RequiredConfiguration() => new("--config") { Description = "The node's configuration, flor.yaml.", Required = true, HelpName = "FILE" };

    public static Option<bool> Json() => new("--json") { Description = "Print the result as JSON." };

    // The forwarder's whole chain for every refusal is noise: flor says what is worth a line itself.
    public static ILoggerFactory Logs() => LoggerFactory.Create(static builder => builder.AddProgramLog().AddFilter("Yarp", LogLevel.Error));
}
