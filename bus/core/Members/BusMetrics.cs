using System.Diagnostics.Metrics;

namespace Florete.Bus;

/// <summary>Meter <c>Florete.Bus</c>: what a member has sent, received, held and lost.</summary>
internal sealed class BusMetrics : IDisposable
{
    private readonly Meter meter = new("Florete.Bus");

    public BusMetrics(Func<int> held, Func<long> heldBytes, Func<long> receivedBytes)
    {
        Held = meter.CreateCounter<long>("florete.bus.sent", "{message}", "Messages given to the bus.");
        Completed = meter.CreateCounter<long>("florete.bus.completed", "{message}", "Messages that a consumer elsewhere or here has completed.");
        Delivered = meter.CreateCounter<long>("florete.bus.delivered", "{message}", "Messages given to consumers.");
        Again = meter.CreateCounter<long>("florete.bus.delivered_again", "{message}", "Messages given to consumers that were sent before, and may be duplicates.");
        Suppressed = meter.CreateCounter<long>("florete.bus.duplicates_suppressed", "{message}", "Messages that came again and were not given to consumers again.");
        Dropped = meter.CreateCounter<long>("florete.bus.dropped", "{message}", "Messages that no consumer completed.");
        meter.CreateObservableGauge("florete.bus.held", () => held(), "{message}", "Messages that wait to be completed.");
        meter.CreateObservableGauge("florete.bus.held_bytes", () => heldBytes(), "By", "Bytes of messages that wait to be completed.");
        meter.CreateObservableGauge("florete.bus.received_bytes", () => receivedBytes(), "By", "Bytes of messages that wait for consumers here, or are being consumed.");
    }

    public Counter<long> Held { get; }

    public Counter<long> Completed { get; }

    public Counter<long> Delivered { get; }

    public Counter<long> Again { get; }

    public Counter<long> Suppressed { get; }

    public Counter<long> Dropped { get; }

    public void Dispose() => meter.Dispose();
}
