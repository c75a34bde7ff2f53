using System.Buffers;
using System.IO.Pipelines;

namespace Florete.Proxy.Coordination;

/// <summary>Lines of a stream, bounded in length and time.</summary>
/// <param name="input">Of the stream.</param>
/// <param name="maxBytes">Of a line, without its end.</param>
/// <param name="idle">How long nothing need come.</param>
/// <param name="patience">How long a line may take from its first byte.</param>
internal sealed class RequestLines(PipeReader input, int maxBytes, TimeSpan idle, TimeSpan patience)
{
    /// <returns>The line without its end; null: the stream has ended.</returns>
    /// <exception cref="InvalidDataException">The line is too long.</exception>
    /// <exception cref="TimeoutException">It did not come in time.</exception>
    public async ValueTask<byte[]?> ReadAsync(CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(idle);
        var hasBegun = false;
        while (true)
        {
            ReadResult read;
            try
            {
                read = await input.ReadAsync(deadline.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new TimeoutException(hasBegun ? $"A line takes at most {patience.TotalSeconds:0} s." : $"Nothing was asked for {idle.TotalSeconds:0} s.");
            }
            var buffer = read.Buffer;
            if (buffer.PositionOf((byte)'\n') is { } end)
            {
                var line = buffer.Slice(0, end);
                var isTooLong = line.Length > maxBytes;
                var bytes = isTooLong ? null : line.ToArray();
                input.AdvanceTo(buffer.GetPosition(1, end));
                return bytes ?? throw TooLong();
            }
            var held = buffer.Length;
            input.AdvanceTo(buffer.Start, buffer.End);
            if (held > maxBytes) throw TooLong();
            if (read.IsCompleted) return null;
            if (hasBegun || held == 0) continue;
            hasBegun = true;
            deadline.CancelAfter(patience);
        }
    }

    private InvalidDataException TooLong() => new($"A request has at most {maxBytes} bytes in one line.");
}
