using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace Florete.Control;

/// <summary>Speaks to the control socket of a flor, line by line (docs/protocols/control-socket.md).</summary>
public static class ControlLines
{
    /// <summary>The lines that answer one request, as they come.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="request">One JSON object, UTF-8, without the LF.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="IOException">No flor listens there, or it went away; the message names the remedy.</exception>
    public static async IAsyncEnumerable<string> AskAsync(string path, ReadOnlyMemory<byte> request, [EnumeratorCancellation] CancellationToken cancellationToken)
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
        byte[] line = [.. request.Span, (byte)'\n'];
        await stream.WriteAsync(line, cancellationToken).ConfigureAwait(false);
        socket.Shutdown(SocketShutdown.Send);
        using var reader = new StreamReader(stream);
        var any = false;
        while (await reader.ReadLineAsync(cancellationToken).ConfigureAwait(false) is { } text)
        {
            any = true;
            yield return text;
        }
        if (!any) throw new IOException($"The flor at {path} went away; look at its log.");
    }
}
