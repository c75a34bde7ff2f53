using System.Diagnostics.CodeAnalysis;
using Florete.Identities;

namespace Florete.Coordination.Contracts;

/// <summary>A line of a vertex. One member besides the version is there.</summary>
/// <param name="Version"><see cref="CoordinationProtocol.Version"/>.</param>
/// <param name="View">What the vertex sees, to who attends.</param>
/// <param name="Accepted">The decision is on disk and in force.</param>
/// <param name="Refused">Of a decision or a claim.</param>
/// <param name="Topology">What the directory knows.</param>
/// <param name="Error">A sentence: the request was none, or not the caller's to make.</param>
public sealed record VertexAnswer(
    int Version, VertexView? View = null, Acceptance? Accepted = null, Refusal? Refused = null, Topology? Topology = null, string? Error = null)
{
    public static VertexAnswer Of(VertexView view) => new(CoordinationProtocol.Version, View: view);

    public static VertexAnswer Of(Acceptance accepted) => new(CoordinationProtocol.Version, Accepted: accepted);

    public static VertexAnswer Of(Refusal refused) => new(CoordinationProtocol.Version, Refused: refused);

    public static VertexAnswer Of(Topology topology) => new(CoordinationProtocol.Version, Topology: topology);

    public static VertexAnswer OfError(string sentence) => new(CoordinationProtocol.Version, Error: sentence);

    /// <summary>Reads a line without its end; all names in it are names.</summary>
    /// <returns>False: it is no answer; <paramref name="problem"/> says why.</returns>
    public static bool TryRead(ReadOnlySpan<byte> line, [NotNullWhen(true)] out VertexAnswer? answer, [NotNullWhen(false)] out string? problem)
    {
        if (!CoordinationJson.TryRead(line, CoordinationJson.Default.VertexAnswer, out answer, out problem)) return false;
        problem = answer.Problem();
        if (problem is not null) answer = null;
        return problem is null;
    }

    private string? Problem()
    {
        if (Version != CoordinationProtocol.Version) return $"The vertex speaks version {Version}, and only {CoordinationProtocol.Version} is known here; use programs of one version.";
        var members = (View is null ? 0 : 1) + (Accepted is null ? 0 : 1) + (Refused is null ? 0 : 1) + (Topology is null ? 0 : 1) + (Error is null ? 0 : 1);
        if (members != 1) return "An answer is one of view, accepted, refused, topology and error.";
        return View?.Problem() ?? Refused?.Problem() ?? Topology?.Problem();
    }
}

/// <param name="Number">Of the decision.</param>
public sealed record Acceptance(ulong Number);

/// <param name="Reason">A word of <see cref="RefusalReasons"/>, or of a later version.</param>
/// <param name="Text">For people.</param>
/// <param name="Newest">The newest epoch that the vertex knows.</param>
public sealed record Refusal(string Reason, string Text, Epoch? Newest = null)
{
    internal string? Problem() => Newest is { } epoch ? EpochProblem(epoch) : null;

    internal static string? EpochProblem(Epoch epoch) => epoch.Counter > 0 && CoordinationProtocol.IsName(epoch.Coordinator) ? null : "An epoch has a counter of at least 1 and the name of a vertex.";
}

/// <summary>Why a decision or a claim is refused.</summary>
public static class RefusalReasons
{
    public const string Malformed = "malformed";
    public const string NotMine = "notMine";
    public const string NotCoordinator = "notCoordinator";
    public const string Unproved = "unproved";
    public const string StaleEpoch = "staleEpoch";
    public const string StaleNumber = "staleNumber";
    public const string OutsideBounds = "outsideBounds";
}
