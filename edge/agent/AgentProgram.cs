using System.CommandLine;
using Florete.Agent.Commands;
using Florete.Agent.Joining;

namespace Florete.Agent;

/// <summary>The command line of florete-agent.</summary>
public static class AgentProgram
{
    /// <summary>Runs one command. Ends with 0: done; 1: it could not be done; 2: it was asked wrongly.</summary>
    /// <param name="args">As given by the shell.</param>
    public static async Task<int> RunAsync(string[] args)
    {
        var root = new RootCommand("florete-agent: runs what a node is made of.")
        {
            JoinCommand.Create(), RunCommand.Run(), RunCommand.Stop(), RunCommand.Check(), AskCommands.Status(), AskCommands.Restart(), AskCommands.Reload(), AskCommands.Logs(),
        };
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            await Console.Error.WriteLineAsync($"florete-agent: {parsed.Errors[^1].Message}\n  See: florete-agent --help").ConfigureAwait(false);
            return 2;
        }
        // The agent handles its own signals.
        return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }).ConfigureAwait(false);
    }
}
