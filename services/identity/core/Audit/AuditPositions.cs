using System.Text.Json;
using System.Text.Json.Serialization;
using Florete.Identities;

namespace Florete.Identity.Audit;

/// <summary>How far the trail has a source.</summary>
/// <param name="Run">When that counting began.</param>
/// <param name="Number">Of the last event written; 0: none.</param>
internal readonly record struct AuditPlace(DateTimeOffset Run, long Number);

/// <summary>How far the trail has each source, on disk. Without the file everything is written again, under new names. Thread-safe.</summary>
internal sealed class AuditPositions
{
    private const int Format = 1;
    private readonly string file;
    private readonly Lock gate = new();
    private readonly Dictionary<string, AuditPlace> places;

    private AuditPositions(string file, DateTimeOffset made, Dictionary<string, AuditPlace> places) => (this.file, Made, this.places) = (file, made, places);

    /// <summary>When this file was begun: the counting of the service's own events goes on over restarts.</summary>
    public DateTimeOffset Made { get; }

    /// <exception cref="IdentityException">It is of a newer program; the message names it and the remedy.</exception>
    public static AuditPositions Open(string folder, DateTimeOffset now)
    {
        var file = Path.Combine(folder, "audit.json");
        if (File.Exists(file))
        {
            try
            {
                if (JsonSerializer.Deserialize(File.ReadAllBytes(file), AuditPositionsJson.Default.AuditPositionsFile) is { } read)
                {
                    if (read.Format > Format) throw new IdentityException($"{file} has format {read.Format}, and this program knows {Format}; use the newer program, or remove the file.");
                    return new AuditPositions(file, read.Made, read.Places.ToDictionary(StringComparer.Ordinal));
                }
            }
            catch (JsonException)
            {
                // It is replaced whole, so only a disk does that. Twice in the trail is better than not at all.
            }
        }
        // Whole milliseconds, as documents name it.
        return new AuditPositions(file, DateTimeOffset.FromUnixTimeMilliseconds(now.ToUnixTimeMilliseconds()), new Dictionary<string, AuditPlace>(StringComparer.Ordinal));
    }

    public AuditPlace Of(string source)
    {
        lock (gate) return places.GetValueOrDefault(source);
    }

    /// <exception cref="IOException">It is not on disk.</exception>
    public void Save(string source, AuditPlace place)
    {
        lock (gate)
        {
            places[source] = place;
            AtomicFile.Write(file, JsonSerializer.SerializeToUtf8Bytes(new AuditPositionsFile(Format, Made, places), AuditPositionsJson.Default.AuditPositionsFile), AtomicFile.OwnerOnly);
        }
    }
}

internal sealed record AuditPositionsFile(int Format, DateTimeOffset Made, IReadOnlyDictionary<string, AuditPlace> Places);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(AuditPositionsFile))]
internal sealed partial class AuditPositionsJson : JsonSerializerContext;
