using System.CommandLine;
using Florete.Proxy.Configuration;

namespace Florete.Proxy;

/// <summary>The command line of flor.</summary>
public static class FlorProgram
{
    /// <summary>Runs one command; its exit code is 0 on success and 1 on failure.</summary>
    /// <param name="args">As given by the shell.</param>
    public static Task<int> RunAsync(string[] args)
    {
        var root = new RootCommand("flor: the data plane of a Florete node.") { CheckCommand() };
        return root.Parse(args).InvokeAsync();
    }

    private static Option<FileInfo> ConfigOption() => new("--config") { Description = "The node's configuration, flor.yaml.", Required = true };

    private static Command CheckCommand()
    {
        var config = ConfigOption();
        var command = new Command("check", "Validates a configuration and starts nothing.") { config };
        command.SetAction(parsed =>
        {
            var file = parsed.GetRequiredValue(config).FullName;
            var configuration = ConfigurationFile.Load(file, out var problems);
            foreach (var problem in problems) Console.Error.WriteLine(problem);
            if (configuration is null) return 1;
            Console.WriteLine($"{file}: it is valid.");
            return 0;
        });
        return command;
    }
}
