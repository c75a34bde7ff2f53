namespace Florete.Layers;

/// <content>Candidacies in vertex records (docs/protocols/coordination.md).</content>
public sealed partial class Directory
{
    /// <summary>Raised at the end of a turn, after <see cref="Coordination"/> has changed.</summary>
    public event Action? CoordinationChanged;

    /// <summary>Who could coordinate, as it is known now.</summary>
    public CoordinationView Coordination { get; private set; } = CoordinationView.Empty;

    /// <summary>
    /// Says in the record of this vertex what its coordinator program is, until it is said otherwise; null: there is none that lives. Floods at once, 50 ms after the record before it at
    /// the earliest. Whoever says coordinator has seen to it that no other life of this vertex says the same counter.
    /// </summary>
    /// <exception cref="ArgumentException">It cannot be said.</exception>
    public void SetCandidacy(Candidacy? candidacy)
    {
        if (candidacy is { IsValid: false }) throw new ArgumentException("A coordinator's term has a counter of at least 1.", nameof(candidacy));
        own.SetCandidacy(candidacy);
    }

    private bool TryBuildCoordination()
    {
        isCoordinationStale = false;
        var now = CoordinationView.Build(store, reachable, bounds);
        if (now == Coordination) return false;
        Coordination = now;
        return true;
    }
}
