using Florete.Identities;

namespace Florete.Coordination.Contracts;

/// <summary><c>GET /v1/status</c> of a coordinator program.</summary>
/// <param name="Mode"><c>detached</c> (its vertex does not answer), <c>unnamed</c> (the bounds do not name its node), <c>candidate</c>, <c>paused</c> (too many terms lately: nobody claims) or <c>coordinator</c>.</param>
/// <param name="Decisions">For each vertex of the group; empty: another is the coordinator, or none.</param>
/// <param name="Wishes">Paths that are wanted, as this coordinator has met them; empty likewise.</param>
/// <param name="Missing">What is not there, for people.</param>
/// <param name="Epoch">Its term; null: it is not the coordinator.</param>
/// <param name="Coordinator">Name of the vertex whose program is the coordinator, as this one sees it; null: none is seen.</param>
/// <param name="View">What its vertex sees; null: it has not told yet.</param>
public sealed record CoordinatorStatus(
    string Mode, IReadOnlyList<DecisionStatus> Decisions, IReadOnlyList<WishStatus> Wishes, IReadOnlyList<string> Missing, Epoch? Epoch = null, string? Coordinator = null, VertexView? View = null);

/// <param name="Vertex">For whom.</param>
/// <param name="Number">Of the decision.</param>
/// <param name="Paths">For people: <c>d via e</c>.</param>
/// <param name="State"><c>confirmed</c>, <c>sent</c>, <c>refused</c> or <c>failed</c>.</param>
/// <param name="Reason">A word of <see cref="RefusalReasons"/>, where it is refused.</param>
/// <param name="Text">For people.</param>
public sealed record DecisionStatus(string Vertex, ulong Number, IReadOnlyList<string> Paths, string State, string? Reason = null, string? Text = null);

/// <param name="Name">Of the document in the storage.</param>
/// <param name="From">Where the path begins.</param>
/// <param name="To">Where it ends.</param>
/// <param name="State"><c>met</c>, <c>unmet</c>, <c>asking</c> or <c>malformed</c>.</param>
/// <param name="Text">The path, or why there is none.</param>
public sealed record WishStatus(string Name, string From, string To, string State, string? Text = null);

/// <summary><c>GET /v1/health</c>.</summary>
/// <param name="Ready">It attends at its vertex.</param>
/// <param name="Missing">What is not there.</param>
public sealed record CoordinatorHealth(bool Ready, IReadOnlyList<string> Missing);
