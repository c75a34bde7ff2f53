using Florete.Agent.Configuration;

namespace Florete.Agent.Health;

/// <summary>Asks a workload whether it is ready.</summary>
public interface IHealthProbe
{
    /// <summary>Null: it is ready; else why not, for people. Never throws for what the workload does.</summary>
    Task<string?> AskAsync(HealthConfiguration health, CancellationToken cancellationToken);
}
