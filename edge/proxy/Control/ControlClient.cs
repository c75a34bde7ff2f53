using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Florete.Proxy.Control;

/// <summary>Asks a running flor.</summary>
internal static class ControlClient
{
    /// <summary>The answers to one request, as they come; those that say what went wrong are thrown.</summary>
    /// <exception cref="IOException">No flor listens there, it went away, or it answers with an error.</exception>
    public static async IAsyncEnumerable<ControlAnswer> AskAsync(
        string path, ControlRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            throw new IOException($"No flor answers at {path} ({e.Message}). Start it with 'flor run', or name its control socket with --control or its configuration with --config.", e);
        }
        using var stream = new NetworkStream(socket);
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(request, ControlJson.Default.ControlRequest), (byte)'\n'];
        await stream.WriteAsync(line, cancellationToken).ConfigureAwait(false);
        socket.Shutdown(SocketShutdown.Send);
        using var reader = new StreamReader(stream);
        var any = false;
        while (await reader.ReadLineAsync(cancellationToken).ConfigureAwait(false) is { } text)
        {
            ControlAnswer? answer;
            try
            {
                answer = JsonSerializer.Deserialize(text, ControlJson.Default.ControlAnswer);
            }
            catch (JsonException e)
            {
                throw new IOException($"What listens at {path} does not answer as flor does; name flor's control socket with --control.", e);
            }
            if (answer?.Error is { } error) throw new IOException(error);
            any = true;
            if (answer is not null) yield return answer;
        }
        if (!any) throw new IOException($"The flor at {path} went away; look at its log.");
    }
}
