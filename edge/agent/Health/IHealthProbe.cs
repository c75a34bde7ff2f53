using Florete.Agent.Configuration;

namespace Florete.Agent.Health;

/// <summary>Asks a workload whether it is ready.</summary>
public interface IHealthProbe
{
    /// <summary>Never throws for what the workload does.</summary>
    Task<HealthAnswer> AskAsync(HealthConfiguration health, CancellationToken cancellationToken);
}
