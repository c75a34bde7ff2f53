using System.Diagnostics.Metrics;

namespace Florete.Coordination.Program;

/// <summary>Figures of the program, meter <c>Florete.Coordination</c>.</summary>
internal sealed class CoordinatorMetrics : IDisposable
{
    private readonly Meter meter = new("Florete.Coordination");

    public CoordinatorMetrics()
    {
        Terms = meter.CreateCounter<long>("florete.coordination.terms", "{term}", "Terms that this program has held.");
        Decisions = meter.CreateCounter<long>("florete.coordination.decisions", "{decision}", "Decisions sent, by outcome: confirmed, failed, or the reason of the refusal.");
        Paths = meter.CreateCounter<long>("florete.coordination.paths", "{path}", "Paths asked for, by outcome: met, unmet or failed.");
    }

    public Counter<long> Terms { get; }

    public Counter<long> Decisions { get; }

    public Counter<long> Paths { get; }

    public void Dispose() => meter.Dispose();
}
