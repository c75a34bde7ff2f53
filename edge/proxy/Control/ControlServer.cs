using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy.Control;

/// <summary>Serves the control socket: one request a line, answered in order. For the owner of the node alone (mode 0600).</summary>
internal sealed partial class ControlServer : IAsyncDisposable
{
    // People and a few scripts; each costs some 10 KB.
    private const int MaxClients = 64;

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly Socket socket;
    private readonly string path;
    private readonly ControlCommands commands;
    private readonly ILogger logger;
    private readonly CancellationTokenSource stopping = new();
    private readonly Task accepting;
    private int clients;

    /// <param name="path">Of the socket.</param>
    /// <param name="bound">By <see cref="Bind"/>; owned from here on.</param>
    /// <param name="commands">What it does.</param>
    /// <param name="logger">For faults.</param>
    public ControlServer(string path, Socket bound, ControlCommands commands, ILogger logger)
    {
        (this.path, socket, this.commands, this.logger) = (path, bound, commands, logger);
        socket.Listen();
        accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Makes the socket, not listening yet, in place of one that an earlier run left.</summary>
    /// <exception cref="IOException">Another flor uses it, or it cannot be made.</exception>
    public static Socket Bind(string path)
    {
        var endPoint = new UnixDomainSocketEndPoint(path);
        using (var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            try
            {
                probe.Connect(endPoint);
                throw new IOException($"{path}: another flor runs and uses this control socket; stop it, or give this node its own.");
            }
            catch (SocketException)
            {
                // Nobody listens.
            }
        }
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            // Only a socket is replaced: a file of that name would be somebody's.
            if (File.Exists(path) && (File.GetAttributes(path).HasFlag(FileAttributes.Directory) || new FileInfo(path).Length > 0)) throw new IOException($"{path} is a file and no socket; remove it, or correct control.");
            File.Delete(path);
            socket.Bind(endPoint);
            // Before it listens, so that nobody comes in between.
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, OwnerOnly);
            return socket;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new IOException($"{path}: the control socket cannot be made: {e.Message}; correct control, or the folder's permissions.", e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        socket.Dispose();
        await accepting.ConfigureAwait(false);
        File.Delete(path);
        stopping.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                var client = await socket.AcceptAsync(stopping.Token).ConfigureAwait(false);
                if (Interlocked.Increment(ref clients) <= MaxClients)
                {
                    _ = ServeAsync(client);
                    continue;
                }
                Interlocked.Decrement(ref clients);
                client.Dispose();
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e)
            {
                AcceptFailed(e.Message);
                await Task.Delay(TimeSpan.FromMilliseconds(200), CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    private async Task ServeAsync(Socket client)
    {
        var stopped = stopping.Token;
        try
        {
            using var stream = new NetworkStream(client, ownsSocket: true);
            await ServeAsync(stream, commands, stopped).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The client went away, or the node stops.
        }
        catch (Exception e)
        {
            ServeFaulted(e);
        }
        finally
        {
            Interlocked.Decrement(ref clients);
        }
    }

    /// <summary>Serves one client until it ends, or sends what cannot be answered in order.</summary>
    internal static async Task ServeAsync(Stream stream, ControlCommands commands, CancellationToken cancellationToken)
    {
        var reader = PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: ControlProtocol.MaxRequestBytes, leaveOpen: true));
        while (true)
        {
            var read = await reader.ReadAsync(cancellationToken).ConfigureAwait(false);
            var buffer = read.Buffer;
            if (buffer.PositionOf((byte)'\n') is { } end)
            {
                var line = buffer.Slice(0, end);
                if (line.Length > ControlProtocol.MaxRequestBytes) break;
                var bytes = line.ToArray();
                reader.AdvanceTo(buffer.GetPosition(1, end));
                if (!ControlProtocol.TryParse(bytes, out var request, out var error)) await SendAsync(stream, ControlAnswer.Failed(error!), cancellationToken).ConfigureAwait(false);
                else await foreach (var answer in commands.AnswerAsync(request!, cancellationToken).ConfigureAwait(false)) await SendAsync(stream, answer, cancellationToken).ConfigureAwait(false);
                continue;
            }
            if (buffer.Length > ControlProtocol.MaxRequestBytes) break;
            reader.AdvanceTo(buffer.Start, buffer.End);
            if (read.IsCompleted) return;
        }
        await SendAsync(stream, ControlAnswer.Failed($"A request has at most {ControlProtocol.MaxRequestBytes} bytes in one line."), cancellationToken).ConfigureAwait(false);
    }

    private static async Task SendAsync(Stream stream, ControlAnswer answer, CancellationToken cancellationToken)
    {
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(answer, ControlJson.Default.ControlAnswer), (byte)'\n'];
        await stream.WriteAsync(line, cancellationToken).ConfigureAwait(false);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The control socket does not accept for a moment: {Why}")]
    private partial void AcceptFailed(string why);

    [LoggerMessage(Level = LogLevel.Error, Message = "A control command ended by a fault of this program")]
    private partial void ServeFaulted(Exception fault);
}
