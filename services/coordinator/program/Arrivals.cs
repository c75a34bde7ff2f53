using System.Threading.Channels;
using Florete.Runtime;

namespace Florete.Coordination.Program;

/// <summary>What has arrived for a <see cref="Coordinator"/> and waits for the loop's turn, in order. Who tells more than <see cref="Most"/> waits.</summary>
internal sealed class Arrivals
{
    private const int Most = 256;

    private readonly Channel<Action<Coordinator, Instant>> channel =
        Channel.CreateBounded<Action<Coordinator, Instant>>(new BoundedChannelOptions(Most) { SingleReader = true });

    public ValueTask TellAsync(Action<Coordinator, Instant> arrived, CancellationToken cancellationToken) => channel.Writer.WriteAsync(arrived, cancellationToken);

    public bool TryTake(out Action<Coordinator, Instant>? arrived) => channel.Reader.TryRead(out arrived);

    public Task WaitAsync(CancellationToken cancellationToken) => channel.Reader.WaitToReadAsync(cancellationToken).AsTask();
}
