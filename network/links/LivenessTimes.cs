namespace Florete.Links;

/// <summary>How quick the signs of life of a kind of link are (docs/protocols/link-udp.md and link-native.md, "Liveness").</summary>
/// <param name="Interval">An idle side speaks after this silence.</param>
/// <param name="ReportInterval">A side speaks (reports, probes) at least so often, however much data it sends.</param>
/// <param name="AskInterval">How often a silent neighbour is asked.</param>
/// <param name="LeastDetection">The least silence that means down.</param>
/// <param name="YoungDetection">The same in the first seconds of a link.</param>
/// <param name="MostPatience">What gaps that were survived may stretch it to.</param>
internal sealed record LivenessTimes(
    TimeSpan Interval, TimeSpan ReportInterval, TimeSpan AskInterval, TimeSpan LeastDetection, TimeSpan YoungDetection, TimeSpan MostPatience)
{
    public static LivenessTimes Udp { get; } = new(
        Interval: TimeSpan.FromMilliseconds(40), ReportInterval: TimeSpan.FromMilliseconds(100), AskInterval: TimeSpan.FromMilliseconds(10),
        LeastDetection: TimeSpan.FromMilliseconds(120), YoungDetection: TimeSpan.FromMilliseconds(600), MostPatience: TimeSpan.FromSeconds(1));

    /// <summary>Of a link that a layer carries: four intervals, twice that when young, as a link of that layer is slower then too.</summary>
    public static LivenessTimes Native(TimeSpan interval) => new(interval, interval, interval / 5, 4 * interval, 8 * interval, 8 * interval);
}
