using System.CommandLine;
using Florete.Proxy.Configuration;

namespace Florete.Proxy.Commands;

/// <summary><c>flor check</c>: validates a configuration and starts nothing.</summary>
internal static class CheckCommand
{
    public static Command Create()
    {
        var config = CommonOptions.RequiredConfiguration();
        var command = new Command("check", "Validates a configuration and starts nothing.") { config };
        command.SetAction(parsed =>
        {
            var file = Path.GetFullPath(parsed.GetRequiredValue(config));
            var configuration = ConfigurationFile.Load(file, out var problems);
            foreach (var problem in problems) Console.Error.WriteLine(problem);
            if (configuration is null) return 1;
            Console.WriteLine($"{file}: it is valid.");
            return 0;
        });
        return command;
    }
}
