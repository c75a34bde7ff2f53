using System.Globalization;

namespace Florete.Cli.Group;

/// <summary>The answers as people read them.</summary>
internal static class GroupTables
{
    public static TextTable Nodes(NodesReport report, DateTimeOffset now)
    {
        var isCoordinated = report.Nodes.Any(static node => node.Coordination is not null);
        string[] Columns(string name, string state, string links, string services, string coordination, string age, string reason) =>
            isCoordinated ? [name, state, links, services, coordination, age, reason] : [name, state, links, services, age, reason];
        return new TextTable(Columns("NODE", "STATE", "LINKS", "SERVICES", "COORDINATION", "AGE", ""), [.. report.Nodes.Select(node => Columns(
            node.Name, node.State, string.Join(',', node.Links), string.Join(',', node.Services.Select(Short)), node.Coordination ?? "", Age(node.Started, now), node.Reason ?? ""))]);
    }

    public static TextTable Links(LinksReport report) => new(["LINK", "STATE", "COST", "LOSS", "CAPACITY", ""], [.. report.Links.Select(static link => (string[])[
        $"{link.Ends[0]} - {link.Ends[1]}", link.State, Both(link, static one => Milliseconds(one.MetricMicroseconds)), Both(link, static one => Percent(one.LossPartsPerMillion)),
        Both(link, static one => Rate(one.CapacityBitsPerSecond)), link.Reason ?? ""])]);

    public static TextTable Services(ServicesReport report) => new(["SERVICE", "INSTANCES", "NODES", "OUT OF REACH"], [.. report.Services.Select(static service => (string[])[
        service.Name, service.Instances.ToString(CultureInfo.InvariantCulture), string.Join(',', service.Nodes), string.Join(',', service.OutOfReach)])]);

    public static TextTable Identities(IdentitiesReport report, DateTimeOffset now) => new(["IDENTITY", "STATE", "SVID VALID UNTIL", "LEFT", ""], [.. report.Identities.Select(identity => (string[])[
        identity.Name, identity.State, identity.NotAfter.ToString("u", CultureInfo.InvariantCulture), identity.NotAfter > now ? Span(identity.NotAfter - now) : "", identity.Reason ?? ""])]);

    public static TextTable Cluster(ClusterReport report, DateTimeOffset now)
    {
        var nodes = $"{report.Nodes.Ready}/{report.Nodes.Known} ready";
        if (report.Nodes.NotReady > 0) nodes += $", {report.Nodes.NotReady} not ready";
        if (report.Nodes.Unreachable > 0) nodes += $", {report.Nodes.Unreachable} unreachable";
        var rows = new List<string[]>
        {
            (string[])["cluster", report.Cluster],
            (string[])["bounds", $"version {report.BoundsVersion}"],
            (string[])["this node", $"{report.Node}, up {Age(report.Started, now)}"],
            (string[])["nodes", nodes],
        };
        if (report.Coordination is { } coordination) rows.Add(["coordination", Coordination(coordination)]);
        if (report.Workloads is null) rows.Add(["workloads", "no agent answers on this node"]);
        rows.AddRange((report.Workloads ?? []).Select(static (one, index) => (string[])[
            index == 0 ? "workloads" : "", $"{one.Name}: {one.State}{(one.Restarts > 0 ? $", {one.Restarts} restarts" : "")}"]));
        rows.AddRange(report.Problems.Count == 0 ? [["problems", "none"]] : report.Problems.Select(static (problem, index) => (string[])[index == 0 ? "problems" : "", problem]));
        return new TextTable([], rows);
    }

    /// <summary>45s, 12m, 3h, 5d: the greatest unit says enough.</summary>
    public static string Span(TimeSpan span) => span switch
    {
        { TotalSeconds: < 1 } => "0s",
        { TotalMinutes: < 2 } => string.Create(CultureInfo.InvariantCulture, $"{(int)span.TotalSeconds}s"),
        { TotalHours: < 2 } => string.Create(CultureInfo.InvariantCulture, $"{(int)span.TotalMinutes}m"),
        { TotalDays: < 2 } => string.Create(CultureInfo.InvariantCulture, $"{(int)span.TotalHours}h"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(int)span.TotalDays}d"),
    };

    // Of another machine's clock, which may be ahead.
    private static string Age(DateTimeOffset? started, DateTimeOffset now) => started is { } since ? Span(now - since) : "";

    private static string Short(string path) => path.StartsWith("service/", StringComparison.Ordinal) ? path["service/".Length..] : path;

    // One figure where both directions have the same.
    private static string Both(LinkLine link, Func<LinkDirection, string> figure) => string.Join(" / ", link.Directions.Select(figure).Distinct());

    private static string Milliseconds(long microseconds) => $"{(microseconds / 1000.0).ToString("0.###", CultureInfo.InvariantCulture)} ms";

    private static string Percent(long partsPerMillion) => $"{(partsPerMillion / 10_000.0).ToString("0.0", CultureInfo.InvariantCulture)}%";

    private static string Rate(long? bitsPerSecond) => bitsPerSecond switch
    {
        null => "-",
        >= 1_000_000_000 => $"{(bitsPerSecond.Value / 1e9).ToString("0.#", CultureInfo.InvariantCulture)} Gbit/s",
        _ => $"{(bitsPerSecond.Value / 1e6).ToString("0.#", CultureInfo.InvariantCulture)} Mbit/s",
    };

    private static string Coordination(CoordinationLine coordination)
    {
        var term = coordination.Coordinator is { } coordinator ? $" epoch {coordination.Epoch} of {coordinator}" : "";
        return coordination.Mode switch
        {
            "none" => "none: the bounds name nobody under coordinate",
            "coordinated" => $"coordinated,{term}",
            _ => term.Length > 0 ? $"{coordination.Mode}; the last was{term}" : coordination.Mode,
        };
    }
}
