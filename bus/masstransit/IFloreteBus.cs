namespace Florete.Bus.MassTransit;

/// <summary>What can be seen of a program's bus.</summary>
public interface IFloreteBus
{
    /// <summary>The members that this program sends to now.</summary>
    IReadOnlyList<BusPeer> Peers { get; }

    /// <summary>Messages that this program has sent and no consumer has completed.</summary>
    int HeldCount { get; }

    /// <summary>What is kept at this program for a queue, <c>orders_error</c> say: messages on which its consumers failed, the oldest first.</summary>
    IReadOnlyList<BusMessage> Kept(string queue);
}
