using Florete.Storage.Contracts;

namespace Florete.Storage.Tests;

/// <summary>A wall clock that is moved by hand, backwards too.</summary>
internal sealed class ManualTime(TimeSpan offset = default) : TimeProvider
{
    private DateTimeOffset now = new DateTimeOffset(2026, 11, 21, 12, 0, 0, TimeSpan.Zero) + offset;

    public Stamp Stamp => Stamp.Of(now);

    public override DateTimeOffset GetUtcNow() => now;

    public void Advance(TimeSpan by) => now += by;
}
