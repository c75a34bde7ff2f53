using System.CommandLine;
using Florete.Hosting;
using Microsoft.Extensions.Logging;

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

    public static ILoggerFactory Logs() => LoggerFactory.Create(static builder => builder.AddProgramLog());
}
