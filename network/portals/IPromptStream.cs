using Florete.Runtime;

namespace Florete.Portals;

/// <summary>
/// Offered by streams whose bytes arrive and leave in the turns of a loop (<see cref="PortalConnection.Stream"/> implements it then). Each change
/// of thread costs some 50 µs on a machine that has gone to sleep, and a tenth of the CPU of a bulk transfer; a user that never blocks may do without.
/// </summary>
public interface IPromptStream
{
    /// <summary>Where the stream's bytes arrive and leave.</summary>
    EventLoop Loop { get; }

    /// <summary>
    /// True: who waits to read, or to flush, goes on inside a turn. Only for users that never block, and are done in some ten microseconds: everything
    /// of the vertex waits for them. Set it before the first read and the first write.
    /// </summary>
    bool ResumesInTurn { get; set; }
}
