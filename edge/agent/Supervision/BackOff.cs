namespace Florete.Agent.Supervision;

/// <summary>How long to wait before the next start: doubling, with a little chance, forgotten after a good while.</summary>
/// <param name="chance">From 0 to 1, at every call.</param>
internal sealed class BackOff(Func<double> chance)
{
    public static readonly TimeSpan First = TimeSpan.FromMilliseconds(200);
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(30);

    /// <summary>After so long a run the failures before it say nothing any more.</summary>
    public static readonly TimeSpan GoodRun = TimeSpan.FromMinutes(1);

    // A tenth: nodes that lost the same thing at the same moment do not come back in step.
    private const double ChancePart = 0.1;

    private int failures;

    /// <summary>The wait after a run of this length.</summary>
    public TimeSpan Next(TimeSpan ran)
    {
        if (ran >= GoodRun) failures = 0;
        var wait = First * Math.Pow(2, Math.Min(failures++, 16));
        if (wait > Longest) wait = Longest;
        return wait * (1 + ChancePart * chance());
    }

    public void Forget() => failures = 0;
}
