using Florete.Runtime;

namespace Florete.Links;

/// <summary>What all links of one UDP port share.</summary>
internal sealed class LinkPort(EventLoop loop, PacketPool pool, IDatagramSocket socket)
{
    private readonly List<LinkTransmitter> blocked = [];
    private readonly List<LinkTransmitter> waking = [];

    public EventLoop Loop { get; } = loop;

    public PacketPool Pool { get; } = pool;

    public IDatagramSocket Socket { get; } = socket;

    public DatagramCounters Counters { get; } = new();

    /// <summary>A batch for one datagram that leaves at once.</summary>
    public DatagramBatch SingleBatch { get; } = new();

    public void OnBlocked(LinkTransmitter transmitter)
    {
        if (!blocked.Contains(transmitter)) blocked.Add(transmitter);
    }

    /// <summary>Those that waited longest go first, so that one full link cannot starve another.</summary>
    public void OnWritable()
    {
        waking.AddRange(blocked);
        blocked.Clear();
        foreach (var transmitter in waking) transmitter.OnWritable();
        waking.Clear();
    }
}
