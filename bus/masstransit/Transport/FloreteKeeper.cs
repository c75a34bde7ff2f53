using MassTransit;
using MassTransit.Transports;

namespace Florete.Bus.MassTransit.Transport;

/// <summary>Keeps what the consumers of a queue failed on. A class of its own: payloads are found by what they implement.</summary>
internal sealed class FloreteErrorTransport(BusMember member, string queue) : IErrorTransport
{
    public Task Send(ExceptionReceiveContext context)
    {
        FloreteKeeper.Keep(member, queue, context, context.ExceptionHeaders.GetAll());
        return Task.CompletedTask;
    }
}

/// <summary>Keeps what no consumer of a queue wanted.</summary>
internal sealed class FloreteDeadLetterTransport(BusMember member, string queue) : IDeadLetterTransport
{
    public Task Send(ReceiveContext context, string reason)
    {
        FloreteKeeper.Keep(member, queue, context, [new KeyValuePair<string, object>(MessageHeaders.Reason, reason ?? "Unspecified")]);
        return Task.CompletedTask;
    }
}

/// <summary>Keeps messages at the receiver. Whoever receives at that queue in this program gets them.</summary>
internal static class FloreteKeeper
{
    private const int MostText = 8 << 10;

    public static void Keep(BusMember member, string queue, ReceiveContext context, IEnumerable<KeyValuePair<string, object>> reasons)
    {
        // What failed before, and fails again, has the newest reasons.
        var headers = context.TransportHeaders.GetAll().Where(static h => !h.Key.StartsWith("MT-Fault", StringComparison.Ordinal)).ToList();
        // A stack trace can be longer than headers may be.
        var cut = reasons.Select(static r => r.Value is string { Length: > MostText } text ? new KeyValuePair<string, object>(r.Key, text[..MostText]) : r);
        var written = FloreteHeaders.Write(cut.Concat(headers));
        if (written.Length > BusLimits.MaxHeaderBytes) written = FloreteHeaders.Write(headers);
        member.Keep(queue, new BusMessage(context.GetMessageId(NewId.NextGuid()), written, context.GetBody()));
    }
}
