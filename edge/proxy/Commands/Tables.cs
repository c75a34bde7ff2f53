using System.Globalization;
using System.Text;
using Florete.Proxy.Control;
using Florete.Proxy.Coordination;

namespace Florete.Proxy.Commands;

/// <summary>Answers of flor as people read them.</summary>
internal static class Tables
{
    public static string Status(StatusReport status)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{status.Node} of {status.Cluster}, bounds version {status.BoundsVersion}, process {status.ProcessId}, since {status.Started:u}\n");
        Section(text, "IDENTITY|SVID VALID UNTIL|", status.Identities.Select(static i => $"{i.Name}|{i.NotAfter:u}|{(i.Revoked is null ? "" : "REVOKED: " + Cell(i.Revoked))}"));
        Section(text, "LINK|STATE|ADDRESS|ROUND TRIP|LOSS|DOWNS|", status.Links.Select(static l =>
            $"{l.Neighbour}|{l.State}|{l.Address}|{Time(l.RoundTripMicroseconds)}|{l.Loss.ToString("0.0%", CultureInfo.InvariantCulture)}|{l.Downs}|{l.Reason}"));
        Section(text, "TO|NEXT HOPS|COST|BACKUP", status.NextHops.Select(static n => $"{n.Vertex}|{string.Join(", ", n.Via)}|{Time(n.MetricMicroseconds)}|{n.Backup}"));
        Section(text, "DECIDED PATH TO|VIA|", (status.Paths ?? []).Select(static p => $"{p.To}|{string.Join(", ", p.Via)}|{(p.Problem is null ? "in use" : "not used: " + Cell(p.Problem))}"));
        ServiceSection(text, status.Services);
        Section(text, "INBOUND|AS|TO", status.Inbounds.Select(static i => $"{i.Listen}|{i.As}|{i.ForwardTo ?? "(proxy)"}"));
        Section(text, "OUTBOUND|PROGRAM", status.Outbounds.Select(static o => $"{o.Service}|{o.Target}"));
        RevocationSection(text, status.Revocations);
        if (status.Coordination is { } coordination) CoordinationSection(text, coordination);
        var c = status.Connections;
        text.Append(CultureInfo.InvariantCulture, $"\n{c.Count} connections now, {c.Opened} since the start; {c.BytesFromPrograms} bytes into the mesh, {c.BytesToPrograms} out of it\n");
        Section(text, "COUNTER|", status.Counters.Where(static c => c.Value != 0).Select(static c => $"{c.Key}|{c.Value}"));
        return text.ToString();
    }

    public static string Trace(IReadOnlyList<TraceHop> hops)
    {
        var text = new StringBuilder();
        Section(text, "HOP|VERTEX|ROUND TRIP|", hops.Select(static (hop, index) => $"{index + 1}|{hop.Vertex ?? "*"}|{Time(hop.RoundTripMicroseconds)}|{hop.Outcome}"));
        return text.ToString().TrimStart('\n');
    }

    public static string Services(IReadOnlyList<ServiceReport> services)
    {
        var text = new StringBuilder();
        ServiceSection(text, services);
        return services.Count == 0 ? "Nothing is published.\n" : text.ToString().TrimStart('\n');
    }

    public static string Revocations(IReadOnlyList<RevocationReport> revocations)
    {
        var text = new StringBuilder();
        RevocationSection(text, revocations);
        return revocations.Count == 0 ? "Nothing is revoked.\n" : text.ToString().TrimStart('\n');
    }

    public static string Announced(AnnouncedReport announced) => announced.IsNew
        ? $"{announced.Revocation.Identity} is revoked here: SVIDs that begin before {announced.Revocation.Before:u} are refused. The other nodes follow.\n"
        : $"{announced.Revocation.Identity} is revoked here already, by this revocation or a later one.\n";

    private static void RevocationSection(StringBuilder text, IReadOnlyList<RevocationReport> revocations) => Section(
        text, "REVOKED|SVIDS BEFORE|BY|REASON|", revocations.Select(static r => $"{r.Identity}|{r.Before:u}|{r.By}|{r.Reason}|{Cell(r.Text)}"));

    private static void CoordinationSection(StringBuilder text, CoordinationReport coordination)
    {
        if (coordination is { Mode: "none", Decision: null }) return;
        var epoch = coordination.Epoch is { } newest ? $", epoch {newest}" : "";
        text.Append(CultureInfo.InvariantCulture, $"\nCoordination: {coordination.Mode}{epoch}\n");
        if (coordination.Problem is { } problem) text.Append(problem).Append('\n');
        Section(text, "CANDIDATE|STATE|COUNTER", coordination.Candidates.Select(static c => $"{c.Vertex}|{c.State}|{c.Counter}"));
        if (coordination.Decision is not { } decision) return;
        text.Append(CultureInfo.InvariantCulture, $"\nDecision {decision.Number} of epoch {decision.Epoch}, accepted {decision.Accepted:u}{(decision.Problem is null ? "" : $", is not in force: {decision.Problem}")}\n");
    }

    public static string Change(DiscoveredChange change) => $"{(change.IsPresent ? '+' : '-')} {change.Name} at {change.Vertex}\n";

    private static void ServiceSection(StringBuilder text, IReadOnlyList<ServiceReport> services) => Section(
        text, "SERVICE|VERTICES", services.Select(static s => $"{s.Name}|{string.Join(", ", s.Vertices.Concat((s.OutOfReach ?? []).Select(static v => $"{v} (out of reach)")))}"));

    private static string Time(long? microseconds) => microseconds is { } value ? $"{(value / 1000.0).ToString("0.###", CultureInfo.InvariantCulture)} ms" : "";

    // An operator's words may hold what parts the cells.
    private static string? Cell(string? text) => text?.Replace('|', '/');

    // Columns as wide as their widest cell; nothing for no rows.
    private static void Section(StringBuilder text, string head, IEnumerable<string> rows)
    {
        var cells = rows.Select(static row => row.Split('|')).ToArray();
        if (cells.Length == 0) return;
        cells = [head.Split('|'), .. cells];
        var widths = cells[0].Select((_, column) => cells.Max(row => row[column].Length)).ToArray();
        text.Append('\n');
        foreach (var row in cells) text.Append(string.Join("  ", row.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd()).Append('\n');
    }
}
