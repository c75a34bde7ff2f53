using System.CommandLine;
using Florete.Cli.Group;
using Florete.Cli.Local;
using Florete.Identities;

namespace Florete.Cli;

/// <summary>The operator's command line. Ends with 0: done; 1: it could not be done; 2: it was asked wrongly.</summary>
public static class Program
{
    // Long enough for the nodes of a local cluster to be stopped one after the other.
    private static readonly TimeSpan TerminationTimeout = TimeSpan.FromSeconds(40);

    public static async Task<int> Main(string[] args)
    {
        var root = new RootCommand("The operator's command line of Florete.")
        {
            ClusterCommand.Create(),
            NodeCommand.Create(),
            IdentityCommand.Create(),
            BoundsCommand.Create(),
            StoreCommand.Create(),
            AuditCommand.Create(),
            RevokeCommand.Create(),
            RevocationsCommand.Create(),
            IssuerCommand.Create(),
            TokenCommand.Create(),
            GroupCommands.Get(),
            GroupCommands.Status(),
            LocalCommand.Create(),
        };
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            // The last is the most specific: a word that is not understood follows the command that is missed because of it.
            Console.Error.WriteLine($"florctl: {parsed.Errors[^1].Message}");
            var names = new List<string>();
            for (var result = parsed.CommandResult; result?.Parent is not null; result = result.Parent as System.CommandLine.Parsing.CommandResult)
            {
                names.Insert(0, result.Command.Name);
            }
            Console.Error.WriteLine($"  See: florctl {string.Join(' ', names.Append("--help"))}");
            return 2;
        }
        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = TerminationTimeout,
            });
        }
        catch (CliException e)
        {
            Console.Error.WriteLine($"florctl: {e.Message}");
            if (e.Remedy is not null) Console.Error.WriteLine($"  {e.Remedy}");
            return 1;
        }
        catch (Exception e) when (e is IdentityException or IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"florctl: {e.Message}");
            return 1;
        }
    }
}
