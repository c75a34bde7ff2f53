using Florete.Layers;
using Florete.Runtime;
using DecidedPath = Florete.Coordination.Contracts.DecidedPath;

namespace Florete.Proxy.Coordination;

/// <summary>
/// What the vertex below gives to coordination: an adapter of the layer's vertex implements it, and tests do. Used, and its event raised, inside turns of its loop.
/// </summary>
public interface ICoordinatedNetwork
{
    EventLoop Loop { get; }

    /// <summary>Who could coordinate, and who can be reached.</summary>
    CoordinationView View { get; }

    /// <summary>Raised after <see cref="View"/> has changed.</summary>
    event Action? ViewChanged;

    Topology Topology { get; }

    /// <summary>Says in the vertex record what the coordinator program is; null: none lives.</summary>
    void SetCandidacy(Candidacy? candidacy);

    /// <summary>Replaces the paths that are decided otherwise than the best ones.</summary>
    void SetPaths(IReadOnlyList<DecidedPath> paths);
}
