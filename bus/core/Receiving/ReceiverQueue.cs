using Florete.Runtime;

namespace Florete.Bus;

/// <summary>A queue at which this member receives: what has come and is not being consumed yet, in order of arrival.</summary>
internal sealed class ReceiverQueue(ushort number, string name, bool isTemporary, ushort window, IReadOnlyList<string> topics)
{
    private readonly LinkedList<BusDelivery> waiting = new();

    public ushort Number => number;

    public string Name => name;

    /// <summary>It takes no more.</summary>
    public bool IsWithdrawn { get; set; }

    public int WaitingCount => waiting.Count;

    /// <summary>Something waits that did not before.</summary>
    public Action? Arrived { get; set; }

    public QueueFrame Frame => new(number, true, isTemporary, window, name, topics);

    public int Window => window;

    public void Add(BusDelivery delivery)
    {
        delivery.Waiting = waiting.AddLast(delivery);
        Arrived?.Invoke();
    }

    public BusDelivery? Take()
    {
        if (waiting.First is not { } first) return null;
        Remove(first.Value);
        return first.Value;
    }

    public void Remove(BusDelivery delivery)
    {
        waiting.Remove(delivery.Waiting!);
        delivery.Waiting = null;
    }

    public IReadOnlyList<BusDelivery> Waiting => [.. waiting];
}

/// <summary>What a receiver remembers of one sender (identity, vertex, incarnation) and queue, to tell duplicates.</summary>
internal sealed class SenderMemory(BusSender sender)
{
    private readonly SortedSet<ulong> completed = [];

    public BusSender Sender => sender;

    /// <summary>Waiting or being consumed, by number.</summary>
    public Dictionary<ulong, BusDelivery> Open { get; } = [];

    /// <summary>When it was last used.</summary>
    public Instant UsedAt { get; set; }

    public bool IsCompleted(ulong sequence) => completed.Contains(sequence);

    public void Complete(ulong sequence)
    {
        completed.Add(sequence);
        if (completed.Count > BusLimits.MaxRememberedCompletions) completed.Remove(completed.Min);
    }

    /// <summary>Numbers up to this one will not come again.</summary>
    public void Settle(ulong settled)
    {
        while (completed.Count > 0 && completed.Min <= settled) completed.Remove(completed.Min);
    }
}
