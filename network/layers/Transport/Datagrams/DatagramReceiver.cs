using System.Security.Cryptography;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>Gives sealed datagrams to the flows whose index they carry. Loop-affine.</summary>
internal sealed class DatagramReceiver : ILocalReceiver
{
    private readonly Dictionary<uint, SealedFlow> flows = [];
    private SealedFlow? latest;

    public DatagramCounters Counters { get; } = new();

    public int Count => flows.Count;

    /// <summary>Takes the flow in under a random index that is free; unguessable, so that blind packets end here.</summary>
    public uint Add(SealedFlow flow)
    {
        while (true)
        {
            var index = (uint)RandomNumberGenerator.GetInt32(1, int.MaxValue);
            if (flows.TryAdd(index, flow)) return index;
        }
    }

    public void Remove(SealedFlow flow)
    {
        flows.Remove(flow.Index);
        if (latest == flow) latest = null;
    }

    public void OnPacket(PacketBuffer payload, in PacketHeader header)
    {
        if (!DatagramHeader.TryRead(payload.Span, out var datagram))
        {
            Counters.Malformed++;
            payload.Return();
            return;
        }
        var flow = latest;
        if (flow is null || flow.Index != datagram.Index)
        {
            if (!flows.TryGetValue(datagram.Index, out flow))
            {
                Counters.UnknownIndex++;
                payload.Return();
                return;
            }
            latest = flow;
        }
        flow.Receive(payload, datagram);
    }

    /// <summary>Paths are better, worse or gone.</summary>
    public void OnPathsChanged()
    {
        if (flows.Count == 0) return;
        foreach (var flow in flows.Values.ToArray()) flow.OnPathsChanged();
    }
}
