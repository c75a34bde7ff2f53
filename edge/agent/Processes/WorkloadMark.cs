using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Florete.Agent.Configuration;

namespace Florete.Agent.Processes;

/// <summary>
/// What tells the process of a workload from every other: variables of its environment. They are there from the first instruction on, so an agent
/// that is killed between any two lines leaves nothing that the next one does not find.
/// </summary>
/// <param name="StateFolder">Whose it is: one agent has one state folder.</param>
/// <param name="Workload">Its name.</param>
/// <param name="Asked">Hash of what was asked for.</param>
public sealed record WorkloadMark(string StateFolder, string Workload, string Asked)
{
    private const string StateVariable = "FLORETE_AGENT_STATE";
    private const string WorkloadVariable = "FLORETE_AGENT_WORKLOAD";
    private const string AskedVariable = "FLORETE_AGENT_ASKED";

    public static WorkloadMark Of(string stateFolder, WorkloadConfiguration workload) => new(stateFolder, workload.Name, HashOf(workload));

    /// <summary>The mark of a process; null: it is none of this agent's.</summary>
    /// <param name="environment">As in /proc/PID/environ: texts, each ended by a zero.</param>
    /// <param name="stateFolder">Of this agent.</param>
    public static WorkloadMark? Read(ReadOnlySpan<byte> environment, string stateFolder)
    {
        string? state = null, name = null, asked = null;
        foreach (var part in environment.Split((byte)0))
        {
            var text = environment[part];
            if (!text.StartsWith("FLORETE_AGENT_"u8)) continue;
            var pair = Encoding.UTF8.GetString(text).Split('=', 2);
            if (pair.Length < 2) continue;
            if (pair[0] == StateVariable) state = pair[1];
            else if (pair[0] == WorkloadVariable) name = pair[1];
            else if (pair[0] == AskedVariable) asked = pair[1];
        }
        return state == stateFolder && name is not null && asked is not null ? new WorkloadMark(state, name, asked) : null;
    }

    public void Write(IDictionary<string, string?> environment)
    {
        environment[StateVariable] = StateFolder;
        environment[WorkloadVariable] = Workload;
        environment[AskedVariable] = Asked;
    }

    // What a process cannot change once it runs; health and rules are the agent's alone.
    private static string HashOf(WorkloadConfiguration workload)
    {
        var text = new StringBuilder();
        IEnumerable<string> parts = [workload.Program, workload.Folder, .. workload.Arguments, "", .. workload.Environment.OrderBy(static pair => pair.Key, StringComparer.Ordinal).Select(static pair => $"{pair.Key}={pair.Value}")];
        foreach (var part in parts) text.Append(CultureInfo.InvariantCulture, $"{part.Length}:{part}");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())).AsSpan(0, 8));
    }
}
