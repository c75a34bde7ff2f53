namespace Florete.Storage.Contracts;

/// <summary>
/// A replica's hybrid logical clock: at least the wall clock, and always past every stamp that was told or accepted. Needs no file of its own: at
/// start it goes past what the store holds. Thread-safe.
/// </summary>
/// <param name="time">The wall clock.</param>
/// <param name="highWater">The greatest stamp that the store holds.</param>
public sealed class HybridClock(TimeProvider time, Stamp highWater)
{
    private readonly Lock gate = new();
    private Stamp latest = highWater;

    /// <summary>The greatest stamp told or accepted.</summary>
    public Stamp Latest
    {
        get
        {
            lock (gate) return latest;
        }
    }

    /// <summary>The wall clock as a stamp.</summary>
    public Stamp Wall => Stamp.Of(time.GetUtcNow());

    /// <summary>
    /// How far the wall clock is behind what is known here; zero where it is ahead. Above <see cref="StorageProtocol.MaxStampAhead"/>, others would
    /// refuse what is stamped here: the machine's clock was set back, or was wrong before.
    /// </summary>
    public TimeSpan Behind
    {
        get
        {
            var behind = Latest.Milliseconds - Wall.Milliseconds;
            return behind > 0 ? TimeSpan.FromMilliseconds(behind) : TimeSpan.Zero;
        }
    }

    /// <summary>A stamp greater than every one before.</summary>
    public Stamp Next()
    {
        var wall = Wall;
        lock (gate)
        {
            latest = wall > latest ? wall : latest.Next;
            return latest;
        }
    }

    /// <summary>Goes past a stamp; false, and nothing moves, if it is more than <see cref="StorageProtocol.MaxStampAhead"/> ahead of the wall clock.</summary>
    public bool TryAccept(Stamp stamp)
    {
        if (IsTooFarAhead(stamp)) return false;
        lock (gate)
        {
            if (stamp > latest) latest = stamp;
        }
        return true;
    }

    /// <summary>Is it so far ahead of the wall clock that it must be refused?</summary>
    public bool IsTooFarAhead(Stamp stamp) => stamp.Milliseconds - Wall.Milliseconds > (long)StorageProtocol.MaxStampAhead.TotalMilliseconds;

    /// <summary>Is it so far behind the wall clock that no new version may have it?</summary>
    public bool IsTooFarBehind(Stamp stamp) => Wall.Milliseconds - stamp.Milliseconds > (long)StorageProtocol.MaxStampAhead.TotalMilliseconds;
}
