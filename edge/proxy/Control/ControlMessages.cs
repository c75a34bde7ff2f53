using System.Text.Json;
using System.Text.Json.Serialization;
using Florete.Identities;
using Florete.Proxy.Coordination;

namespace Florete.Proxy.Control;

/// <summary>One line to the control socket (docs/protocols/control-socket.md).</summary>
/// <param name="Version">1.</param>
/// <param name="Command">status, topology, health, trace, discover, reload, announce, revocations, events.</param>
/// <param name="Target">Of trace: a name.</param>
/// <param name="Watch">Of discover: go on with every change.</param>
/// <param name="Document">Of announce: the signed message, base64.</param>
/// <param name="After">Of events: those with a greater number.</param>
/// <param name="WaitSeconds">Of events: who has been told all is answered with the next one, or after this time.</param>
internal sealed record ControlRequest(int Version, string? Command, string? Target = null, bool Watch = false, byte[]? Document = null, long After = 0, int WaitSeconds = 0);

/// <summary>One line back. Exactly one of the results, or the error, is there.</summary>
internal sealed record ControlAnswer(int Version)
{
    /// <summary>For people: what is wrong and what to do.</summary>
    public string? Error { get; init; }

    public StatusReport? Status { get; init; }

    public TopologyReport? Topology { get; init; }

    public IReadOnlyList<TraceHop>? Hops { get; init; }

    public IReadOnlyList<ServiceReport>? Services { get; init; }

    public DiscoveredChange? Change { get; init; }

    public IReadOnlyList<RevocationReport>? Revocations { get; init; }

    public AnnouncedReport? Announced { get; init; }

    /// <summary>One of those asked for; each is an answer of its own.</summary>
    public EventReport? Event { get; init; }

    /// <summary>Ends the answers to events: since when their numbers count.</summary>
    public DateTimeOffset? Started { get; init; }

    /// <summary>Of reload: what keeps the files from being applied; empty when they are in force. Of health: what is wrong; empty when nothing is.</summary>
    public IReadOnlyList<string>? Problems { get; init; }

    public static ControlAnswer Failed(string error) => new(ControlProtocol.Version) { Error = error };
}

/// <param name="Name">Path of the identity.</param>
/// <param name="Vertex">Path of the vertex.</param>
/// <param name="IsPresent">False: withdrawn, or not reachable.</param>
internal sealed record DiscoveredChange(string Name, string Vertex, bool IsPresent);

/// <summary>A node at one moment.</summary>
internal sealed record StatusReport(
    string Node, string Cluster, int ProcessId, DateTimeOffset Started, long BoundsVersion, IReadOnlyList<IdentityReport> Identities,
    IReadOnlyList<LinkReport> Links, IReadOnlyList<NextHopReport> NextHops, IReadOnlyList<ServiceReport> Services,
    IReadOnlyList<InboundReport> Inbounds, IReadOnlyList<OutboundReport> Outbounds, ConnectionsReport Connections,
    IReadOnlyDictionary<string, long> Counters, IReadOnlyList<RevocationReport> Revocations, string? RevocationProblem = null, IReadOnlyList<PathReport>? Paths = null,
    CoordinationReport? Coordination = null);

/// <param name="Name">Path.</param>
/// <param name="NotAfter">When its SVID expires.</param>
/// <param name="Revoked">Why it is worth nothing before that; null: it is not revoked.</param>
internal sealed record IdentityReport(string Name, DateTimeOffset NotAfter, string? Revoked = null);

/// <param name="Identity">Path of the revoked identity.</param>
/// <param name="Before">SVIDs that begin earlier are refused.</param>
/// <param name="Reason">As florctl writes it: key-compromise.</param>
/// <param name="Text">In words; null: none.</param>
/// <param name="By">Path of the operator.</param>
/// <param name="Signed">When, by the operator's clock.</param>
/// <param name="NeededUntil">When it is let go.</param>
internal sealed record RevocationReport(
    string Identity, DateTimeOffset Before, string Reason, string? Text, string By, DateTimeOffset Signed, DateTimeOffset NeededUntil)
{
    public static RevocationReport Of(Revocation r) =>
        new(r.Subject.Path, r.Before, Revocation.Word(r.Reason), r.Text.Length > 0 ? r.Text : null, r.SignedBy.Path, r.SignedAt, r.NeededUntil);
}

/// <param name="Revocation">What was handed in.</param>
/// <param name="IsNew">False: it, or a later one by the same operator, was in force already.</param>
internal sealed record AnnouncedReport(RevocationReport Revocation, bool IsNew);

/// <param name="Number">Grows by one with each.</param>
/// <param name="Time">By this node's clock.</param>
/// <param name="Kind">refusedHandshake, refusedLink, refusedCaller, refusedRecord, refusedPublication, refusedDecision, revocation.</param>
/// <param name="Subject">Whom it is about; null: unknown.</param>
/// <param name="Peer">The vertex or address that it came from; null: this node.</param>
/// <param name="Reason">A sentence.</param>
/// <param name="Suppressed">How many like it were not kept since the last such event.</param>
internal sealed record EventReport(long Number, DateTimeOffset Time, string Kind, string? Subject, string? Peer, string Reason, long Suppressed)
{
    public static EventReport Of(SecurityEvent e) => new(
        e.Number, e.Time, VertexReports.CamelCase(e.Kind.ToString()), e.Subject.Length > 0 ? e.Subject : null, e.Peer.Length > 0 ? e.Peer : null, e.Reason, e.Suppressed);
}

internal sealed record InboundReport(string Listen, string As, string? ForwardTo);

internal sealed record OutboundReport(string Service, string Target);

/// <param name="Count">Open now.</param>
/// <param name="Opened">Since the start.</param>
/// <param name="BytesFromPrograms">Into the mesh.</param>
/// <param name="BytesToPrograms">Out of the mesh.</param>
internal sealed record ConnectionsReport(int Count, long Opened, long BytesFromPrograms, long BytesToPrograms);

/// <summary>Generated, so that answering costs no reflection at the first request.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = 8)]
[JsonSerializable(typeof(ControlRequest))]
[JsonSerializable(typeof(ControlAnswer))]
internal sealed partial class ControlJson : JsonSerializerContext;

internal static class ControlProtocol
{
    public const int Version = 1;

    /// <summary>A signed document of 8 214 bytes in base64, and a few words.</summary>
    public const int MaxRequestBytes = 16 * 1024;

    /// <summary>Of one answer: a client that has gone is noticed only then.</summary>
    public const int MaxWaitSeconds = 60;

    /// <summary>Status of a large cluster: 10 000 services of some 200 bytes.</summary>
    public const int MaxAnswerBytes = 16 * 1024 * 1024;

    /// <summary>Reads one line of a request; never throws.</summary>
    /// <param name="line">Without its end.</param>
    /// <param name="request">Of a known version, when true.</param>
    /// <param name="error">What is wrong with it, when false.</param>
    public static bool TryParse(ReadOnlySpan<byte> line, out ControlRequest? request, out string? error)
    {
        (request, error) = (null, null);
        try
        {
            request = JsonSerializer.Deserialize(line, ControlJson.Default.ControlRequest);
        }
        catch (JsonException)
        {
            error = "The request is no JSON object with version and command; send {\"version\":1,\"command\":\"status\"}.";
            return false;
        }
        if (request is null) error = "The request is null; send {\"version\":1,\"command\":\"status\"}.";
        else if (request.Version != Version) error = $"The request has version {request.Version}, and this flor speaks version {Version}; use the flor program of this node's version.";
        else if (request.Command is not ("status" or "topology" or "health" or "trace" or "discover" or "reload" or "announce" or "revocations" or "events"))
            error = "The command is none of status, topology, health, trace, discover, reload, announce, revocations, events.";
        else if (request.Command == "trace" && string.IsNullOrEmpty(request.Target)) error = "trace needs a target; send \"target\":\"hello.rete\".";
        else if (request.Command == "announce" && request.Document is not { Length: > 0 }) error = "announce needs a document; send what florctl revoke --out wrote, in base64.";
        else if (request.WaitSeconds is < 0 or > MaxWaitSeconds) error = $"waitSeconds is 0 to {MaxWaitSeconds}.";
        if (error is not null) request = null;
        return error is null;
    }
}
