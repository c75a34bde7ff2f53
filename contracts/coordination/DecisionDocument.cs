using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Text.Encodings.Web;
using System.Text.Json;
using Florete.Identities;

namespace Florete.Coordination.Contracts;

/// <summary>All that is decided for one vertex, in one epoch (docs/protocols/coordination.md). A value of this type is well-formed; nothing is said of who made it.</summary>
public sealed class DecisionDocument
{
    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private DecisionDocument(string cluster, string vertex, Epoch epoch, ulong number, IReadOnlyList<DecidedPath> paths) =>
        (Cluster, Vertex, Epoch, Number, Paths) = (cluster, vertex, epoch, number, paths);

    public string Cluster { get; }

    /// <summary>Whom it is for.</summary>
    public string Vertex { get; }

    public Epoch Epoch { get; }

    /// <summary>Grows with each decision for the vertex in an epoch; at least 1.</summary>
    public ulong Number { get; }

    /// <summary>At most <see cref="CoordinationProtocol.MaxPaths"/>, one for each target.</summary>
    public IReadOnlyList<DecidedPath> Paths { get; }

    /// <exception cref="ArgumentException">A part is not well-formed; the message says which.</exception>
    public static DecisionDocument Of(string cluster, string vertex, Epoch epoch, ulong number, IReadOnlyList<DecidedPath> paths)
    {
        var document = new DecisionDocument(cluster, vertex, epoch, number, [.. paths.OrderBy(static p => p.To, StringComparer.Ordinal)]);
        return document.Problem() is { } problem ? throw new ArgumentException(problem) : document;
    }

    /// <summary>Reads what a peer sent: strict, for a later format says so by its number.</summary>
    /// <returns>False: it is none; <paramref name="problem"/> says why.</returns>
    public static bool TryParse(ReadOnlySpan<byte> utf8, [NotNullWhen(true)] out DecisionDocument? document, [NotNullWhen(false)] out string? problem)
    {
        document = null;
        problem = $"A decision has at most {CoordinationProtocol.MaxDecisionBytes} bytes.";
        if (utf8.Length > CoordinationProtocol.MaxDecisionBytes) return false;
        if (!CoordinationJson.TryRead(utf8, DecisionJson.Default.DecisionFields, out var fields, out problem)) return false;
        problem = $"Format {fields.Format} of decisions is not known here, only 1; use programs of one version.";
        if (fields.Format != DecisionJson.Format) return false;
        problem = $"A decision has at most {CoordinationProtocol.MaxPaths} paths.";
        if (fields.Paths.Count > CoordinationProtocol.MaxPaths) return false;
        var paths = new List<DecidedPath>(fields.Paths.Count);
        foreach (var path in fields.Paths)
        {
            problem = "A path of the decision is none.";
            if (path is null || path.Via.Count > CoordinationProtocol.MaxVia) return false;
            var via = new Hop[path.Via.Count];
            for (var i = 0; i < via.Length; i++)
            {
                problem = "A path passes what is neither a vertex nor a link.";
                if (!Hop.TryParse(path.Via[i], out via[i])) return false;
            }
            paths.Add(new DecidedPath(path.To, via));
        }
        var read = new DecisionDocument(fields.Cluster, fields.Vertex, fields.Epoch, fields.Number, paths);
        problem = read.Problem();
        document = problem is null ? read : null;
        return problem is null;
    }

    /// <summary>The same bytes for the same content, whatever the order in which the paths were given to <see cref="Of"/>.</summary>
    public byte[] Encode()
    {
        var bytes = new ArrayBufferWriter<byte>(512);
        using var json = new Utf8JsonWriter(bytes, Writing);
        json.WriteStartObject();
        json.WriteNumber("format"u8, DecisionJson.Format);
        json.WriteString("cluster"u8, Cluster);
        json.WriteString("vertex"u8, Vertex);
        json.WriteStartObject("epoch"u8);
        json.WriteNumber("counter"u8, Epoch.Counter);
        json.WriteString("coordinator"u8, Epoch.Coordinator);
        json.WriteEndObject();
        json.WriteNumber("number"u8, Number);
        json.WriteStartArray("paths"u8);
        foreach (var path in Paths)
        {
            json.WriteStartObject();
            json.WriteString("to"u8, path.To);
            json.WriteStartArray("via"u8);
            foreach (var hop in path.Via) json.WriteStringValue(hop.ToString());
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
        json.Flush();
        return bytes.WrittenSpan.ToArray();
    }

    private string? Problem()
    {
        if (!CoordinationProtocol.IsName(Cluster)) return "A decision names no cluster.";
        if (!CoordinationProtocol.IsName(Vertex)) return "A decision names no vertex.";
        if (Refusal.EpochProblem(Epoch) is { } epoch) return epoch;
        if (Number == 0) return "A decision's number is at least 1.";
        if (Paths.Count > CoordinationProtocol.MaxPaths) return $"A decision has at most {CoordinationProtocol.MaxPaths} paths.";
        var targets = new HashSet<string>(StringComparer.Ordinal);
        foreach (var path in Paths)
        {
            if (!CoordinationProtocol.IsName(path.To)) return "A path leads to no vertex.";
            if (path.To == Vertex) return $"A path of {Vertex} leads to {Vertex} itself.";
            if (!targets.Add(path.To)) return $"Two paths lead to {path.To}.";
            if (path.Via.Count is 0 or > CoordinationProtocol.MaxVia) return $"The path to {path.To} passes {path.Via.Count} segments; 1 to {CoordinationProtocol.MaxVia} are allowed.";
            foreach (var hop in path.Via)
            {
                if (!Hop.TryParse(hop.ToString(), out _)) return $"The path to {path.To} passes what is neither a vertex nor a link.";
            }
        }
        return null;
    }
}

/// <param name="To">The vertex at its end.</param>
/// <param name="Via">1 to <see cref="CoordinationProtocol.MaxVia"/>, in the order of travel; between them the best path.</param>
public sealed record DecidedPath(string To, IReadOnlyList<Hop> Via)
{
    public bool Equals(DecidedPath? other) => other is not null && To == other.To && Via.SequenceEqual(other.Via);

    public override int GetHashCode() => HashCode.Combine(To, Via.Count);

    public override string ToString() => $"{To} via {string.Join(", ", Via)}";
}
