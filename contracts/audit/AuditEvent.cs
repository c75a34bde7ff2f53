using System.Text.Json;
using System.Text.Json.Serialization;

namespace Florete.Audit;

/// <summary>Something that whoever watches over the cluster wants to know (docs/protocols/audit.md).</summary>
/// <param name="Time">UTC, by the clock of the node.</param>
/// <param name="Node">Where.</param>
/// <param name="Source">What noticed it: <c>identity</c>, <c>flor</c>, <c>storage</c>.</param>
/// <param name="Kind"><c>join</c>, <c>issue</c>, <c>refusedCaller</c>, …</param>
/// <param name="Detail">For people.</param>
/// <param name="Subject">Whom it is about; null: unknown.</param>
/// <param name="By">Who did or asked it; null: the node itself.</param>
/// <param name="Suppressed">How many like it came since the last such event, and were not kept; null: none.</param>
public sealed record AuditEvent(DateTimeOffset Time, string Node, string Source, string Kind, string Detail, string? Subject = null, string? By = null, long? Suppressed = null);

/// <summary>The body of a document of the trail.</summary>
public sealed record AuditBatch(IReadOnlyList<AuditEvent> Events)
{
    /// <summary>Most events of one document.</summary>
    public const int MaxEvents = 200;
}

/// <summary>What a program remembers of refusals, as it tells it: the answer to <c>GET /v1/events</c>.</summary>
/// <param name="Started">When its numbers began at 1.</param>
/// <param name="Events">Oldest first.</param>
public sealed record NoticedEvents(DateTimeOffset Started, IReadOnlyList<NoticedEvent> Events);

/// <param name="Number">1, 2, …</param>
/// <param name="Time">UTC.</param>
/// <param name="Kind">As in <see cref="AuditEvent"/>.</param>
/// <param name="Reason">A sentence.</param>
/// <param name="Suppressed">How many like it came since the last such event, and were not kept.</param>
/// <param name="Subject">Whom it is about; null: unknown.</param>
/// <param name="Peer">Where it came from; null: from the node itself.</param>
public sealed record NoticedEvent(long Number, DateTimeOffset Time, string Kind, string Reason, long Suppressed = 0, string? Subject = null, string? Peer = null);

/// <summary>JSON of the trail.</summary>
[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = 8,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(AuditBatch))]
[JsonSerializable(typeof(AuditEvent))]
[JsonSerializable(typeof(NoticedEvents))]
public sealed partial class AuditJson : JsonSerializerContext;
