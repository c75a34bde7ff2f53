namespace Florete.Runtime;

/// <summary>
/// A loop in virtual time: a test or simulator runs its turns, several loops on one clock, in a fixed order. Nothing here depends on
/// the machine's speed, so a run with the same seed is the same run.
/// </summary>
public sealed class VirtualLoop : EventLoop
{
    private readonly VirtualClock clock;

    public VirtualLoop(VirtualClock clock)
    {
        this.clock = clock;
        Now = clock.Now;
        clock.Add(this);
    }

    public override TimeProvider WallClock => WallClockOverride ?? clock.WallClock;

    public override System.IO.Pipelines.PipeScheduler UserScheduler => this;

    /// <summary>Gives this loop a wall clock that runs apart from the others'.</summary>
    public TimeProvider? WallClockOverride { get; set; }

    /// <summary>Until then no turn runs, as in a program that the machine does not run or that compiles itself; what arrives waits.</summary>
    public Instant StalledUntil { get; set; }

    internal Instant NextDue
    {
        get
        {
            var due = HasPosted || HasEndOfTurnWork ? clock.Now : NextTimer;
            return due > StalledUntil ? due : StalledUntil;
        }
    }

    /// <summary>Turns so far: how often a loop with a thread would have woken.</summary>
    public long Turns { get; private set; }

    internal void Turn()
    {
        Turns++;
        Now = clock.Now;
        Enter(out var outer);
        try
        {
            RunTurn();
        }
        finally
        {
            Leave(outer);
        }
    }

    private protected override void Wake()
    {
        // The clock asks NextDue before it advances.
    }
}

/// <summary>The clock that virtual loops share. Not thread-safe: everything runs on the caller's thread.</summary>
public sealed class VirtualClock
{
    // Far more than any burst of packets needs.
    private const int MaxTurnsAtOnce = 100_000;

    private readonly List<VirtualLoop> loops = [];

    public VirtualClock(DateTimeOffset? start = null) => WallClock = new VirtualWallClock(this, start ?? new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    public Instant Now { get; private set; } = new(1_000_000_000);

    /// <summary>Wall time that advances with <see cref="Now"/>.</summary>
    public TimeProvider WallClock { get; }

    /// <summary>Runs turns and advances time until <paramref name="condition"/> holds; false when <paramref name="limit"/> of virtual time passed first.</summary>
    public bool RunUntil(Func<bool> condition, TimeSpan limit)
    {
        var end = Now + limit;
        var turnsAtOnce = 0;
        while (true)
        {
            if (condition()) return true;
            var due = NextDue();
            turnsAtOnce = due > Now ? 0 : turnsAtOnce + 1;
            if (turnsAtOnce > MaxTurnsAtOnce) throw new InvalidOperationException($"Time stands still: {turnsAtOnce} turns at {Now}; something asks to be called again at once, for ever.");
            if (due > end)
            {
                Now = end;
                return condition();
            }
            if (due > Now) Now = due;
            foreach (var loop in loops)
            {
                if (loop.NextDue <= Now) loop.Turn();
            }
        }
    }

    public void Run(TimeSpan duration) => RunUntil(static () => false, duration);

    internal void Add(VirtualLoop loop) => loops.Add(loop);

    private Instant NextDue()
    {
        var due = Instant.Never;
        foreach (var loop in loops) due = Instant.Min(due, loop.NextDue);
        return due;
    }

    private sealed class VirtualWallClock(VirtualClock clock, DateTimeOffset start) : TimeProvider
    {
        private readonly Instant origin = new(1_000_000_000);

        public override DateTimeOffset GetUtcNow() => start + (clock.Now - origin);
    }
}
