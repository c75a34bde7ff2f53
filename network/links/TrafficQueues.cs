using Florete.Portals;
using Florete.Runtime;

namespace Florete.Links;

/// <summary>How the queues of a link share it.</summary>
public enum QueueDiscipline
{
    /// <summary>Control, then interactive, then bulk; a lower one may starve.</summary>
    Strict,

    /// <summary>Control first; interactive gets seven eighths of what bulk also wants, bulk the rest.</summary>
    Weighted,
}

/// <summary>The sending queues of a link, one for each lane, bounded in bytes. Owns what is queued.</summary>
internal sealed class TrafficQueues(QueueDiscipline discipline)
{
    // Of the link itself: a few messages. Control: a directory exchange. Bulk: two bursts of a large congestion window; what waits longer is better dropped.
    private static readonly int[] LimitBytes = [64 * 1024, 512 * 1024, 512 * 1024, 2 << 20];
    private const int InteractivePerBulk = 7;

    private readonly Queue<PacketBuffer>[] queues = [new(16), new(64), new(64), new(256)];
    private readonly int[] queuedBytes = new int[Lanes.Count];
    private int interactiveCredit = InteractivePerBulk;

    /// <summary>Packets dropped because a queue was full, for each lane.</summary>
    public long[] Dropped { get; } = new long[Lanes.Count];

    public int Bytes => queuedBytes[0] + queuedBytes[1] + queuedBytes[2] + queuedBytes[3];

    public bool IsEmpty => Bytes == 0;

    /// <summary>Takes the packet, or drops and counts it.</summary>
    public bool Enqueue(byte lane, PacketBuffer packet)
    {
        if (packet.Length == 0 || queuedBytes[lane] + packet.Length > LimitBytes[lane])
        {
            Dropped[lane]++;
            packet.Return();
            return false;
        }
        queuedBytes[lane] += packet.Length;
        queues[lane].Enqueue(packet);
        return true;
    }

    /// <summary>The next packet to send and its lane; the caller owns it.</summary>
    public PacketBuffer? Dequeue(out byte lane)
    {
        lane = Choose();
        if (!queues[lane].TryDequeue(out var packet)) return null;
        queuedBytes[lane] -= packet.Length;
        return packet;
    }

    public void Clear()
    {
        for (var lane = 0; lane < Lanes.Count; lane++)
        {
            while (queues[lane].TryDequeue(out var packet)) packet.Return();
            queuedBytes[lane] = 0;
        }
    }

    private byte Choose()
    {
        if (queuedBytes[Lanes.Link] > 0) return Lanes.Link;
        if (queuedBytes[Lanes.Control] > 0) return Lanes.Control;
        if (queuedBytes[Lanes.Interactive] == 0) return Lanes.Bulk;
        if (discipline == QueueDiscipline.Strict || queuedBytes[Lanes.Bulk] == 0 || interactiveCredit-- > 0) return Lanes.Interactive;
        interactiveCredit = InteractivePerBulk;
        return Lanes.Bulk;
    }
}

/// <summary>Lanes of a link's counters: its queues.</summary>
internal static class Lanes
{
    public const byte Link = 0, Control = 1, Interactive = 2, Bulk = 3;
    public const int Count = 4;

    public static byte Of(TrafficClass trafficClass) => trafficClass switch
    {
        TrafficClass.Control => Control,
        TrafficClass.Interactive => Interactive,
        _ => Bulk,
    };
}
