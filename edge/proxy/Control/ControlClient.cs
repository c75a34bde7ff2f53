using System.Runtime.CompilerServices;
using System.Text.Json;
using Florete.Control;

namespace Florete.Proxy.Control;

/// <summary>Asks a running flor.</summary>
internal static class ControlClient
{
    /// <summary>The answers to one request, as they come; those that say what went wrong are thrown.</summary>
    /// <exception cref="IOException">No flor listens there, it went away, or it answers with an error.</exception>
    public static async IAsyncEnumerable<ControlAnswer> AskAsync(
        string path, ControlRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var line in ControlLines.AskAsync(path, JsonSerializer.SerializeToUtf8Bytes(request, ControlJson.Default.ControlRequest), cancellationToken).ConfigureAwait(false))
        {
            ControlAnswer? answer;
            try
            {
                answer = JsonSerializer.Deserialize(line, ControlJson.Default.ControlAnswer);
            }
            catch (JsonException e)
            {
                throw new IOException($"What listens at {path} does not answer as flor does; name flor's control socket with --control.", e);
            }
            if (answer?.Error is { } error) throw new IOException(error);
            if (answer is not null) yield return answer;
        }
    }
}
