using Microsoft.Extensions.Logging;

namespace Florete.Storage;

internal static partial class StorageLog
{
    [LoggerMessage(1, LogLevel.Error, "{Count} writes were not committed.")]
    public static partial void CommitFailed(ILogger logger, int count, Exception reason);

    [LoggerMessage(2, LogLevel.Information, "Storage {File}: {Versions} documents, sequence {Sequence}, read in {Milliseconds} ms.")]
    public static partial void Opened(ILogger logger, string file, long versions, long sequence, double milliseconds);

    [LoggerMessage(3, LogLevel.Error, "Upkeep of the storage failed; it is tried again in a minute.")]
    public static partial void UpkeepFailed(ILogger logger, Exception reason);

    [LoggerMessage(4, LogLevel.Error, "The wall clock is {Seconds} s behind what the storage holds: nothing can be written here until it is set.")]
    public static partial void ClockBehind(ILogger logger, double seconds);
}
