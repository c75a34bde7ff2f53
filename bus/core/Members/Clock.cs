using System.Diagnostics;
using Florete.Runtime;

namespace Florete.Bus;

/// <summary>The machine's monotonic clock, for the shell; the state machines are told the time.</summary>
internal static class Clock
{
    public static Instant Now => new((long)(Stopwatch.GetTimestamp() * (1_000_000_000.0 / Stopwatch.Frequency)));
}
