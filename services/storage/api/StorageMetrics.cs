using System.Diagnostics.Metrics;

namespace Florete.Storage.Api;

/// <summary>What a replica counts; meter <c>Florete.Storage</c>.</summary>
internal sealed class StorageMetrics : IDisposable
{
    private readonly Meter meter = new("Florete.Storage");

    public StorageMetrics()
    {
        Written = meter.CreateCounter<long>("florete.storage.written", "{version}", "Versions that this replica has accepted from their authors.");
        Refused = meter.CreateCounter<long>("florete.storage.refused", "{version}", "Versions that were refused, by reason.");
        Merged = meter.CreateCounter<long>("florete.storage.merged", "{version}", "Versions that were new here and came from other replicas, by way.");
        Forwarded = meter.CreateCounter<long>("florete.storage.forwarded", "{request}", "Compare-and-swaps that were passed on to the arbiter.");
        Pulls = meter.CreateCounter<long>("florete.storage.pulls", "{exchange}", "Exchanges with other replicas, by outcome.");
        Unpublished = meter.CreateCounter<long>("florete.storage.unpublished", "{version}", "Versions that the bus had no room for; the next exchange brings them.");
        Watches = meter.CreateUpDownCounter<long>("florete.storage.watches", "{watch}", "Watches that are open.");
        Told = meter.CreateCounter<long>("florete.storage.told", "{change}", "Changes that watches were told.");
    }

    public Counter<long> Written { get; }

    public Counter<long> Refused { get; }

    public Counter<long> Merged { get; }

    public Counter<long> Forwarded { get; }

    public Counter<long> Pulls { get; }

    public Counter<long> Unpublished { get; }

    public UpDownCounter<long> Watches { get; }

    public Counter<long> Told { get; }

    public void Dispose() => meter.Dispose();
}
