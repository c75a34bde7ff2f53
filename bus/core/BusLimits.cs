namespace Florete.Bus;

/// <summary>Limits of the protocol; docs/protocols/bus.md says why.</summary>
public static class BusLimits
{
    public const int MaxMessageBytes = 1 << 20;

    public const int MaxHeaderBytes = 64 << 10;

    /// <summary>UTF-8 bytes of the name of a queue.</summary>
    public const int MaxQueueNameBytes = 255;

    /// <summary>UTF-8 bytes of the name of a topic.</summary>
    public const int MaxTopicBytes = 512;

    public const int MaxTopics = 256;

    public const int MaxQueues = 256;

    /// <summary>Messages of one queue on one connection that are not acknowledged.</summary>
    public const int MaxWindow = 1024;

    /// <summary>Bytes on one connection that are not acknowledged; one larger message may be, alone.</summary>
    public const int MaxUnacknowledgedBytes = 1 << 20;

    public const int MaxSentenceBytes = 1024;

    public const int MaxRememberedQueues = 4096;

    public const int MaxPeers = 512;

    /// <summary>Bytes that a member keeps of others' messages, waiting and being consumed.</summary>
    public const long MaxReceivedBytes = 64 << 20;

    internal const int MaxRememberedCompletions = 4096;

    internal const int MaxRememberedSenders = 8192;

    internal static readonly TimeSpan SenderMemory = TimeSpan.FromMinutes(10);

    internal const int MaxAttempts = 10;

    internal static readonly TimeSpan PingAfter = TimeSpan.FromSeconds(5);

    internal static readonly TimeSpan SilenceLimit = TimeSpan.FromSeconds(15);

    /// <summary>What is charged for a message beside its own bytes: what keeping it costs.</summary>
    internal const int MessageOverheadBytes = 256;

    /// <summary>Type and body of the largest frame.</summary>
    internal const int MaxFrameBytes = 64 + MaxHeaderBytes + MaxMessageBytes;
}
