using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Florete.Cli.Group;

/// <summary><c>florctl get nodes|links|services|identities</c> and <c>florctl status</c>: the cluster as a node of this machine knows it.</summary>
internal static class GroupCommands
{
    public static Command Get() => new("get", "Shows the cluster as a node of this machine knows it.")
    {
        Make("nodes", "Lists the nodes: whether they are ready, their links and services.", GroupJson.Default.NodesReport, GroupQuestions.Nodes, GroupTables.Nodes),
        Make("links", "Lists the links of the whole layer.", GroupJson.Default.LinksReport, GroupQuestions.Links, static (report, _) => GroupTables.Links(report)),
        Make("services", "Lists what is published, and where.", GroupJson.Default.ServicesReport, GroupQuestions.Services, static (report, _) => GroupTables.Services(report)),
        Make("identities", "Lists the identities that this node holds.", GroupJson.Default.IdentitiesReport, GroupQuestions.Identities, GroupTables.Identities),
    };

    public static Command Status() => Make(
        "status", "Shows the cluster at a glance, and what is wrong.", GroupJson.Default.ClusterReport,
        static async (snapshot, cancellationToken) => GroupQuestions.Cluster(snapshot, await snapshot.WorkloadsAsync(cancellationToken)), GroupTables.Cluster);

    private static Command Make<T>(string name, string description, JsonTypeInfo<T> json, Func<GroupSnapshot, T> answer, Func<T, DateTimeOffset, TextTable> table) =>
        Make(name, description, json, (snapshot, _) => Task.FromResult(answer(snapshot)), table);

    private static Command Make<T>(
        string name, string description, JsonTypeInfo<T> json, Func<GroupSnapshot, CancellationToken, Task<T>> answer, Func<T, DateTimeOffset, TextTable> table)
    {
        var output = new Option<string>("--output", "-o") { Description = "text or json.", DefaultValueFactory = static _ => "text", HelpName = "FORM" };
        output.AcceptOnlyFromAmong("text", "json");
        var watch = new Option<bool>("--watch", "-w") { Description = "Goes on, and shows each change, until it is stopped; as JSON a line each." };
        var (folder, control) = (CommonOptions.OperatorFolder(), RevokeCommand.Control());
        var command = new Command(name, description) { output, watch, folder, control };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var candidates = ControlSocket.Candidates(parsed.GetValue(control), parsed.GetValue(folder));
            var isJson = parsed.GetValue(output) == "json";
            async Task<GroupView> AskAsync(CancellationToken cancelled)
            {
                var snapshot = await GroupSnapshot.ReadAsync(candidates, cancelled);
                var report = await answer(snapshot, cancelled);
                return new GroupView(table(report, snapshot.At), JsonSerializer.SerializeToNode(report, json)!);
            }
            return await new GroupDisplay(AskAsync, isJson, Console.Out, Console.Error).RunAsync(parsed.GetValue(watch), cancellationToken);
        });
        return command;
    }
}
