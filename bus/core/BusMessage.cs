using Florete.Identities;

namespace Florete.Bus;

/// <summary>A message as the bus carries it: opaque headers and body, at most <see cref="BusLimits.MaxHeaderBytes"/> and <see cref="BusLimits.MaxMessageBytes"/>.</summary>
/// <param name="Id">The sender's name for it, the same in every copy.</param>
/// <param name="Headers">Bytes that the users of the bus agree on. Not to be changed afterwards.</param>
/// <param name="Body">The same.</param>
public sealed record BusMessage(Guid Id, ReadOnlyMemory<byte> Headers, ReadOnlyMemory<byte> Body)
{
    /// <summary>After this time it is of no use: it is dropped wherever it is, unless it is being consumed. Null: no end.</summary>
    public TimeSpan? TimeToLive { get; init; }

    internal int Cost => Headers.Length + Body.Length + BusLimits.MessageOverheadBytes;
}

/// <summary>Where a message goes.</summary>
/// <param name="Queue">The queue's name.</param>
/// <param name="Identity">The identity that must receive there; null: whoever does.</param>
public sealed record BusDestination(string Queue, SpiffeId? Identity = null)
{
    /// <summary>Only this member itself receives it, and what is there stays however long nobody does: errors.</summary>
    internal bool IsKept { get; init; }

    public override string ToString() => Identity is null ? Queue : $"{Queue} of {Identity}";
}

/// <summary>Who sent a message, proved by the portal; never taken from the message.</summary>
/// <param name="Identity">The sender's identity; null: this member itself, before it could ask who it is.</param>
/// <param name="Vertex">Where it runs; null: in this process.</param>
public sealed record BusSender(SpiffeId? Identity, SpiffeId? Vertex);

/// <summary>What became of a delivery.</summary>
public enum DeliveryOutcome : byte
{
    /// <summary>Consumed; the sender lets go of it.</summary>
    Completed = 0,

    /// <summary>Neither consumed nor kept; the sender sends it again, later.</summary>
    Faulted = 1,

    /// <summary>Not consumed, for the receiver stops; the sender sends it again at once.</summary>
    Returned = 2,
}

/// <summary>Why a message could not be sent; the message says which queue, and the remedy.</summary>
public sealed class BusException(string message, Exception? inner = null) : Exception(message, inner);
