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
    // As network daemons that keep links alive use it; below the kernel's own threads.
    private const int Niceness = -10;
    private const int OfThread = 0;

    /// <summary>Raises the calling thread. On Linux niceness belongs to a thread (setpriority(2), "C library/kernel differences").</summary>
    public static void Raise() => _ = setpriority(OfThread, 0, Niceness);

    [LibraryImport("libc")]
    private static partial int setpriority(int which, uint who, int niceness);
}
