using Florete.Runtime;

namespace Florete.Portals;

/// <summary>
/// Offered by streams whose bytes arrive and leave in the turns of a loop (<see cref="PortalConnection.Stream"/> implements it then). Each change
/// of thread costs some 50 µs on a machine that has gone to sleep, so a user that never blocks may do without: read small pieces where they arrive,
/// and write from within turns.
/// </summary>
public interface IPromptStream
{
    /// <summary>Where the stream's bytes arrive and leave.</summary>
    EventLoop Loop { get; }

    /// <summary>
    /// True: a waiting reader goes on inside the turn when little has arrived, up to 16 KB; with more, on another thread as ever. Only for
    /// readers that never block, and are done in microseconds: everything of the vertex waits for them.
    /// </summary>
    bool ResumesReaderInTurn { get; set; }
}
