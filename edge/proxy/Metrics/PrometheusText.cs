using System.Globalization;
using System.Text;
using Florete.Proxy.Control;

namespace Florete.Proxy.Metrics;

/// <summary>
/// Writes a node's status in the Prometheus text format 0.0.4. All figures are read when asked for: nobody pays who does not ask.
/// </summary>
internal sealed class PrometheusText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    // The counters of a status that go down as well.
    private static readonly HashSet<string> Gauges = ["directory.records", "link.halfOpenHandshakes", "edge.handshakes"];

    private readonly StringBuilder text = new();

    private PrometheusText()
    {
    }

    /// <param name="status">The node now.</param>
    /// <param name="problems">Of <see cref="Health"/>.</param>
    /// <param name="process">Of this process.</param>
    public static string Write(StatusReport status, IReadOnlyList<string> problems, ProcessFigures process)
    {
        var writer = new PrometheusText();
        writer.One("florete_node_info", "gauge", "Who this is; always 1.", 1, ("node", status.Node), ("cluster", status.Cluster));
        writer.One("florete_healthy", "gauge", "1: flor health finds nothing wrong.", problems.Count == 0 ? 1 : 0);
        writer.One("florete_bounds_version", "gauge", "Version of the signed bounds in force.", status.BoundsVersion);
        writer.Many("florete_identity_expiry_timestamp_seconds", "gauge", "When the SVID of an identity expires.", status.Identities.Select(
            static i => (Labels(("identity", i.Name)), (double)i.NotAfter.ToUnixTimeSeconds())));
        writer.Links(status.Links);
        writer.Many("florete_service_instances", "gauge", "Instances of services that are published in the cluster.", [
            (Labels(("state", "reachable")), status.Services.Sum(static s => s.Vertices.Count)),
            (Labels(("state", "outOfReach")), status.Services.Sum(static s => s.OutOfReach?.Count ?? 0))]);
        var c = status.Connections;
        writer.One("florete_edge_connections", "gauge", "Connections between local programs and the mesh.", c.Count);
        writer.One("florete_edge_connections_opened_total", "counter", "The same, since the start.", c.Opened);
        writer.Many("florete_edge_bytes_total", "counter", "Bytes between local programs and the mesh.", [
            (Labels(("direction", "intoMesh")), c.BytesFromPrograms), (Labels(("direction", "outOfMesh")), c.BytesToPrograms)]);
        writer.Counters(status.Counters);
        writer.One("process_start_time_seconds", "gauge", "When flor started.", status.Started.ToUnixTimeMilliseconds() / 1000.0);
        writer.One("process_cpu_seconds_total", "counter", "Processor time.", process.CpuSeconds);
        writer.One("process_resident_memory_bytes", "gauge", "Resident memory.", process.ResidentBytes);
        writer.One("dotnet_gc_heap_bytes", "gauge", "Managed memory.", process.HeapBytes);
        return writer.text.ToString();
    }

    private static string Labels(params (string Name, string Value)[] labels) =>
        labels.Length == 0 ? "" : "{" + string.Join(',', labels.Select(static label => $"{label.Name}=\"{Escape(label.Value)}\"")) + "}";

    private static string Escape(string value) =>
        value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    // forwarding.dropped.timeToLive is florete_forwarding_dropped_total{reason="timeToLive"}; link.received is florete_link_received_total.
    private void Counters(IReadOnlyDictionary<string, long> counters)
    {
        foreach (var family in counters.Select(static c => (Parts: c.Key.Split('.', 3), c)).GroupBy(static c => (c.Parts[0], c.Parts.ElementAtOrDefault(1), HasReason: c.Parts.Length > 2)))
        {
            var name = $"florete_{Snake(family.Key.Item1)}_{Snake(family.Key.Item2 ?? "")}".TrimEnd('_');
            var isGauge = family.Any(static c => Gauges.Contains(c.c.Key));
            // A reason beside a total of the same name would be counted twice.
            if (family.Key.HasReason) name += "_by_reason";
            Many(isGauge ? name : name + "_total", isGauge ? "gauge" : "counter", "As in flor status.", family.Select(
                static c => (c.Parts.Length > 2 ? Labels(("reason", c.Parts[2])) : "", (double)c.c.Value)));
        }
    }

    private void Links(IReadOnlyList<LinkReport> links)
    {
        Many("florete_link_up", "gauge", "1: the link to the neighbour is up.", links.Select(static l => (Of(l), l.State == "up" ? 1.0 : 0)));
        Many("florete_link_downs_total", "counter", "How often it went down.", links.Select(static l => (Of(l), (double)l.Downs)));
        Many("florete_link_loss_ratio", "gauge", "Loss of what is sent, 0 to 1.", links.Select(static l => (Of(l), l.Loss)));
        Many("florete_link_round_trip_seconds", "gauge", "Measured round trip.", links.Where(static l => l.RoundTripMicroseconds is not null).Select(
            static l => (Of(l), l.RoundTripMicroseconds!.Value / 1e6)));

        static string Of(LinkReport link) => Labels(("neighbour", link.Neighbour));
    }

    private void One(string name, string type, string help, double value, params (string Name, string Value)[] labels) =>
        Many(name, type, help, [(Labels(labels), value)]);

    private void Many(string name, string type, string help, IEnumerable<(string Labels, double Value)> samples)
    {
        text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {type}\n");
        foreach (var (labels, value) in samples) text.Append(CultureInfo.InvariantCulture, $"{name}{labels} {value}\n");
    }

    private static string Snake(string camel)
    {
        var snake = new StringBuilder();
        foreach (var c in camel) _ = char.IsAsciiLetterUpper(c) ? snake.Append('_').Append(char.ToLowerInvariant(c)) : snake.Append(char.IsAsciiLetterOrDigit(c) ? c : '_');
        return snake.ToString();
    }
}

/// <param name="CpuSeconds">User and system time.</param>
/// <param name="ResidentBytes">Of the whole process.</param>
/// <param name="HeapBytes">Of the collector's heap.</param>
internal readonly record struct ProcessFigures(double CpuSeconds, long ResidentBytes, long HeapBytes)
{
    public static ProcessFigures Now()
    {
        using var process = System.Diagnostics.Process.GetCurrentProcess();
        return new ProcessFigures(process.TotalProcessorTime.TotalSeconds, process.WorkingSet64, GC.GetTotalMemory(forceFullCollection: false));
    }
}
