using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using Florete.Storage.Client;
using Florete.Storage.Contracts;

namespace Florete.Audit;

/// <summary>The trail as the storage keeps it.</summary>
public static class AuditCollection
{
    public static CollectionName Name { get; } = CollectionName.Parse("audit");

    /// <summary>Documents of one node begin so.</summary>
    public static string PrefixOf(string node) => $"{node}/";

    /// <param name="node">Who writes it.</param>
    /// <param name="source">What noticed the events.</param>
    /// <param name="run">When the counting began.</param>
    /// <param name="number">Of its first event.</param>
    public static DocumentKey KeyOf(string node, string source, DateTimeOffset run, long number) => new(
        Name, DocumentName.Parse(string.Create(CultureInfo.InvariantCulture, $"{node}/{source}/{run.ToUnixTimeMilliseconds()}-{number:D12}")));

    /// <summary>The events of a document; false: it is none of the trail, or its events are not its node's.</summary>
    public static bool TryRead(StorageDocument document, [NotNullWhen(true)] out IReadOnlyList<AuditEvent>? events)
    {
        events = null;
        try
        {
            var batch = document.As(AuditJson.Default.AuditBatch);
            var node = document.Key.Name.ToString().Split('/')[0];
            if (batch is null || batch.Events.Any(e => e is null || e.Node != node || document.Replica.ToString() != node)) return false;
            events = batch.Events;
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
