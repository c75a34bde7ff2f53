using System.Diagnostics.CodeAnalysis;

namespace Florete.Coordination.Contracts;

/// <summary>A line to a vertex. One member besides the version is there.</summary>
/// <param name="Version"><see cref="CoordinationProtocol.Version"/>.</param>
/// <param name="Attend">True: views from now on. The stream is the candidacy.</param>
/// <param name="Stand">On a stream that attends.</param>
/// <param name="Decide">A decision for this vertex.</param>
/// <param name="Topology">True: what the directory knows.</param>
public sealed record VertexRequest(int Version, bool? Attend = null, Stand? Stand = null, SignedDecision? Decide = null, bool? Topology = null)
{
    public static VertexRequest ToAttend { get; } = new(CoordinationProtocol.Version, Attend: true);

    public static VertexRequest ForTopology { get; } = new(CoordinationProtocol.Version, Topology: true);

    public static VertexRequest Of(Stand stand) => new(CoordinationProtocol.Version, Stand: stand);

    public static VertexRequest Of(SignedDecision decision) => new(CoordinationProtocol.Version, Decide: decision);

    /// <summary>Reads a line without its end. Of <see cref="Decide"/> nothing is checked but that there are bytes.</summary>
    /// <returns>False: it is no request; <paramref name="problem"/> is the sentence to answer.</returns>
    public static bool TryRead(ReadOnlySpan<byte> line, [NotNullWhen(true)] out VertexRequest? request, [NotNullWhen(false)] out string? problem)
    {
        if (!CoordinationJson.TryRead(line, CoordinationJson.Default.VertexRequest, out request, out problem)) return false;
        problem = request.Problem();
        if (problem is not null) request = null;
        return problem is null;
    }

    private string? Problem()
    {
        if (Version != CoordinationProtocol.Version) return $"Version {Version} is not spoken here, only {CoordinationProtocol.Version}; use programs of one version.";
        var members = (Attend is null ? 0 : 1) + (Stand is null ? 0 : 1) + (Decide is null ? 0 : 1) + (Topology is null ? 0 : 1);
        if (members != 1 || Attend == false || Topology == false) return "A request is one of attend, stand, decide and topology.";
        return Stand is { State: StandState.Coordinator, Counter: 0 } ? "A term's counter is at least 1." : null;
    }
}

/// <summary>Where a program stands.</summary>
/// <param name="State">What it is.</param>
/// <param name="Counter">Of the term that it holds or claims; of a candidate: of the newest term that it knows.</param>
public sealed record Stand(StandState State, ulong Counter);

/// <summary>A decision as it travels.</summary>
/// <param name="Document"><see cref="DecisionDocument"/>.</param>
/// <param name="Signature">For <see cref="CoordinationProtocol.DecisionPurpose"/>, by <c>node/…</c> of the coordinator.</param>
/// <param name="Chain">Encoded as <see cref="Identities.EncodedChain"/>.</param>
public sealed record SignedDecision(byte[] Document, byte[] Signature, byte[] Chain);
