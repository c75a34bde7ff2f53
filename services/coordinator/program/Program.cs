using System.CommandLine;
using Florete.Coordination.Program;

var root = new RootCommand("The coordinator of a Florete node: a candidate, or the coordinator of its connected group.") { RunCommand.Create() };
var parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    await Console.Error.WriteLineAsync($"florete-coordinator: {parsed.Errors[^1].Message}\n  See: florete-coordinator run --help");
    return 2;
}
return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
