namespace Florete.Agent.Configuration;

/// <summary>What a node is to run, as it was asked for: validated, immutable, paths absolute. See docs/agent.md.</summary>
public sealed record AgentConfiguration
{
    /// <summary>The file it was read from.</summary>
    public required string File { get; init; }

    public required string Cluster { get; init; }

    public required string Node { get; init; }

    public required string StateFolder { get; init; }

    public required string LogFolder { get; init; }

    public required string ControlSocket { get; init; }

    /// <summary>The agent's own portal socket; null: nothing is asked by the names of the mesh.</summary>
    public string? PortalSocket { get; init; }

    /// <summary>In the order of starting; they stop in the reverse order.</summary>
    public IReadOnlyList<WorkloadConfiguration> Workloads { get; init; } = [];
}

/// <summary>One program of the node.</summary>
public sealed record WorkloadConfiguration
{
    public required string Name { get; init; }

    /// <summary>The program as it was written; without a slash it is looked for.</summary>
    public required string Program { get; init; }

    public IReadOnlyList<string> Arguments { get; init; } = [];

    public required string Folder { get; init; }

    /// <summary>Added to the agent's own.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>Null: running is ready.</summary>
    public HealthConfiguration? Health { get; init; }

    public RestartRule Restart { get; init; }

    /// <summary>From its start until it must be ready.</summary>
    public TimeSpan StartWithin { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>From SIGTERM to SIGKILL.</summary>
    public TimeSpan StopWithin { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>When a workload that has ended is started again.</summary>
public enum RestartRule
{
    Always,

    /// <summary>When it ended with another code than 0, or by a signal.</summary>
    OnFailure,
    Never,
}

/// <summary>How a workload is asked whether it is ready: exactly one of <see cref="Url"/> and <see cref="Socket"/>.</summary>
/// <param name="Url">Answers 2xx when ready.</param>
/// <param name="Socket">A Unix socket that accepts when ready.</param>
/// <param name="Every">Between two questions to one that is ready; the first comes after half of it to one and a half.</param>
/// <param name="Within">For an answer.</param>
/// <param name="Failures">In a row, to be started again.</param>
public sealed record HealthConfiguration(Uri? Url, string? Socket, TimeSpan Every, TimeSpan Within, int Failures)
{
    /// <summary>Is it asked by a name of the mesh?</summary>
    public bool IsByPortal => Url is not null && Url.Host.EndsWith(".rete", StringComparison.OrdinalIgnoreCase);
}
