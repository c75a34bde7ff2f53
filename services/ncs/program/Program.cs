using System.CommandLine;
using Florete.Ncs.Program;

var root = new RootCommand("The path computation service of a Florete node.") { RunCommand.Create() };
var parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    await Console.Error.WriteLineAsync($"florete-ncs: {parsed.Errors[^1].Message}\n  See: florete-ncs run --help");
    return 2;
}
return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
