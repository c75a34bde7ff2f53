using System.Diagnostics.Metrics;

namespace Florete.Identity;

/// <summary>Figures of the service, meter <c>Florete.Identity</c>.</summary>
public sealed class IdentityMetrics : IDisposable
{
    public const string MeterName = "Florete.Identity";

    private readonly Meter meter = new(MeterName);
    private readonly Counter<long> renewals;
    private readonly Counter<long> requests;

    public IdentityMetrics(TimeProvider clock)
    {
        renewals = meter.CreateCounter<long>("florete.identity.renewals", "{renewal}", "Renewals of SVIDs and of the node authority, by outcome.");
        requests = meter.CreateCounter<long>("florete.identity.requests", "{request}", "Requests to the issuer, by what and outcome.");
        meter.CreateObservableGauge("florete.identity.svid.left", () => Left(EarliestEnd, clock), "s", "Until the first SVID ends.");
        meter.CreateObservableGauge("florete.identity.authority.left", () => Left(AuthorityEnd, clock), "s", "Until the node authority ends.");
    }

    public DateTimeOffset? EarliestEnd { get; set; }

    public DateTimeOffset? AuthorityEnd { get; set; }

    public void Renewed(string what, bool succeeded) => renewals.Add(1, new KeyValuePair<string, object?>("what", what), new KeyValuePair<string, object?>("outcome", succeeded ? "renewed" : "failed"));

    public void Requested(string what, string outcome) => requests.Add(1, new KeyValuePair<string, object?>("what", what), new KeyValuePair<string, object?>("outcome", outcome));

    public void Dispose() => meter.Dispose();

    private static double Left(DateTimeOffset? end, TimeProvider clock) => end is { } at ? (at - clock.GetUtcNow()).TotalSeconds : 0;
}
