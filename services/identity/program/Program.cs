using System.CommandLine;
using Florete.Identity.Program;

var root = new RootCommand("The identity service of a Florete node.") { RunCommand.Create() };
var parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    await Console.Error.WriteLineAsync($"florete-identity: {parsed.Errors[^1].Message}\n  See: florete-identity run --help");
    return 2;
}
return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
