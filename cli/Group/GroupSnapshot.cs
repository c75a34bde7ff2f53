using System.Text.Json;
using System.Text.Json.Nodes;
using Florete.Agent.Contracts;

namespace Florete.Cli.Group;

/// <summary>What one node knows of itself and of its layer at one moment.</summary>
/// <param name="Status">The node.</param>
/// <param name="Topology">Every vertex that its directory knows.</param>
/// <param name="Problems">Why the node is not fit for its work.</param>
/// <param name="At">When it was asked.</param>
/// <param name="ControlSocket">Where it answered.</param>
internal sealed record GroupSnapshot(FlorStatus Status, FlorTopology Topology, IReadOnlyList<string> Problems, DateTimeOffset At, string ControlSocket)
{
    /// <summary>How long an agent may take; it only reads its memory.</summary>
    private static readonly TimeSpan AgentPatience = TimeSpan.FromSeconds(3);

    /// <summary>The node's name.</summary>
    public string Node => NameOf(Status.Node);

    /// <summary>Beside flor's, as <c>florete-agent join</c> and <c>florctl node add</c> place it.</summary>
    public string AgentSocket => Path.Combine(Path.GetDirectoryName(ControlSocket)!, "agent.sock");

    /// <exception cref="CliException">No flor answers, or it is of another version.</exception>
    public static async Task<GroupSnapshot> ReadAsync(IReadOnlyList<string> candidates, CancellationToken cancellationToken)
    {
        using var connection = await Cli.ControlSocket.OpenAsync(candidates, "Start one with 'flor run' or 'florete-agent run', or name its control socket with --control.", cancellationToken);
        var status = (await AskAsync(connection, "status", cancellationToken)).Status;
        var topology = (await AskAsync(connection, "topology", cancellationToken)).Topology;
        var problems = (await AskAsync(connection, "health", cancellationToken)).Problems;
        return status is null || topology is null || problems is null
            ? throw new CliException($"The flor at {connection.Path} answers without what was asked for.", "Use the florctl of its version.")
            : new GroupSnapshot(status, topology, problems, DateTimeOffset.UtcNow, connection.Path);
    }

    /// <summary>What the agent of this node runs; null: none answers.</summary>
    public async Task<IReadOnlyList<WorkloadStatus>?> WorkloadsAsync(CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AgentPatience);
        try
        {
            using var agent = new AgentClient(AgentSocket);
            return await agent.StatusAsync(limit.Token);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or JsonException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return null;
        }
    }

    /// <summary>The name in a path: b of vertex/b.</summary>
    public static string NameOf(string path) => path[(path.IndexOf('/', StringComparison.Ordinal) + 1)..];

    private static async Task<FlorAnswer> AskAsync(ControlConnection connection, string command, CancellationToken cancellationToken)
    {
        var answer = await connection.AskAsync(new JsonObject { ["version"] = 1, ["command"] = command }, cancellationToken);
        try
        {
            return answer.Deserialize(FlorAnswerJson.Default.FlorAnswer)!;
        }
        catch (JsonException e)
        {
            throw new CliException($"The flor at {connection.Path} answers {command} with something else: {e.Message}", "Use the florctl of its version.");
        }
    }
}
