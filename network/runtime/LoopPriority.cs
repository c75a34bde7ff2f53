using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Florete.Runtime;

/// <summary>
/// Loop threads go before ordinary ones: neighbours take a loop that does not run for lost, and what waits for its packets cannot go on anyway.
/// Where the system does not allow it (neither root nor CAP_SYS_NICE), they run as everybody else.
/// </summary>
[SupportedOSPlatform("linux")]
internal static partial class LoopPriority
{
    // From 0 it is what network daemons that keep links alive use; a node that was started with nice stays as far behind others as it was meant to.
    private const int Step = -10;
    private const int OfThread = 0;

    /// <summary>Raises the calling thread. On Linux niceness belongs to a thread (setpriority(2), "C library/kernel differences").</summary>
    public static void Raise() => _ = setpriority(OfThread, 0, getpriority(OfThread, 0) + Step);

    [LibraryImport("libc")]
    private static partial int getpriority(int which, uint who);

    [LibraryImport("libc")]
    private static partial int setpriority(int which, uint who, int niceness);
}
