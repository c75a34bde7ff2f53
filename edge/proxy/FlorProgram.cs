using System.CommandLine;
using Florete.Proxy.Commands;

namespace Florete.Proxy;

/// <summary>The command line of flor.</summary>
public static class FlorProgram
{
    /// <summary>Runs one command. Ends with 0: done; 1: it could not be done; 2: it was asked wrongly.</summary>
    /// <param name="args">As given by the shell.</param>
    public static async Task<int> RunAsync(string[] args)
    {
        var root = new RootCommand("flor: the data plane of a Florete node.") { RunCommand.Create(), CheckCommand.Create() };
        foreach (var command in AskCommands.Create()) root.Add(command);
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            // The last is the most specific: a word that is not understood follows the command that is missed because of it.
            await Console.Error.WriteLineAsync($"flor: {parsed.Errors[^1].Message}\n  See: flor --help").ConfigureAwait(false);
            return 2;
        }
        // The node handles its own signals.
        return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }).ConfigureAwait(false);
    }
}
