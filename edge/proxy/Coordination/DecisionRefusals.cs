using System.Diagnostics.Metrics;
using Florete.Identities;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Coordination;

/// <summary>Counts the decisions that are refused, and says so: as an event, and by a line in the log at most once in 10 s for each reason and coordinator. Thread-safe.</summary>
internal sealed partial class DecisionRefusals(SecurityEvents events, TimeProvider clock, ILogger logger) : IDisposable
{
    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(10);

    // Callers are proved nodes of this cluster, so they are few; should they not be, lines are lost and not memory.
    private const int MaxRemembered = 1024;

    private readonly Meter meter = new("Florete.Coordination");
    private readonly Lock gate = new();
    private readonly Dictionary<(DecisionRefusal Reason, SpiffeId Coordinator), (long At, long Suppressed)> said = [];
    private readonly long[] counts = new long[Enum.GetValues<DecisionRefusal>().Length];
    private Counter<long>? counter;

    public long Count(DecisionRefusal reason) => Interlocked.Read(ref counts[(int)reason]);

    public void Add(RefusedDecision refused, SpiffeId caller, SpiffeId callerVertex)
    {
        Interlocked.Increment(ref counts[(int)refused.Reason]);
        var word = Word(refused.Reason);
        lock (gate) counter ??= meter.CreateCounter<long>("florete.coordination.refused", "{decision}", "Decisions that were not taken, by reason.");
        counter.Add(1, new KeyValuePair<string, object?>("reason", word));
        var epoch = refused.Epoch?.ToString() ?? "unknown";
        events.Add(SecurityEventKind.RefusedDecision, caller.Path, callerVertex.Path, $"epoch {epoch}: {refused.Text}", word);
        if (!MaySay((refused.Reason, caller), out var suppressed)) return;
        IsRefused(word, caller.Path, callerVertex.Path, epoch, refused.Text, suppressed);
    }

    /// <summary>As in messages and counters: <c>staleEpoch</c>.</summary>
    public static string Word(DecisionRefusal reason) => VertexReports.CamelCase(reason.ToString());

    public void Dispose() => meter.Dispose();

    private bool MaySay((DecisionRefusal Reason, SpiffeId Coordinator) what, out long suppressed)
    {
        lock (gate)
        {
            var now = clock.GetTimestamp();
            suppressed = 0;
            if (said.TryGetValue(what, out var last))
            {
                suppressed = last.Suppressed;
                if (clock.GetElapsedTime(last.At, now) < LogInterval)
                {
                    said[what] = (last.At, last.Suppressed + 1);
                    return false;
                }
            }
            else if (said.Count >= MaxRemembered)
            {
                foreach (var (old, _) in said.Where(s => clock.GetElapsedTime(s.Value.At, now) >= LogInterval).ToArray()) said.Remove(old);
                if (said.Count >= MaxRemembered) return false;
            }
            said[what] = (now, 0);
            return true;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Decision refused ({Reason}) of {Coordinator} at {Vertex}, epoch {Epoch}: {Text} ({Suppressed} more since the last such line)")]
    private partial void IsRefused(string reason, string coordinator, string vertex, string epoch, string text, long suppressed);
}
