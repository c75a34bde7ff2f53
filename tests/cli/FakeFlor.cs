using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Florete.Cli.Tests;

/// <summary>A control socket that answers each command with a line that the test gives.</summary>
internal sealed class FakeFlor : IDisposable
{
    private readonly Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly string path;

    public FakeFlor(string path)
    {
        this.path = path;
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.Delete(path);
        socket.Bind(new UnixDomainSocketEndPoint(path));
        socket.Listen();
        _ = AcceptAsync();
    }

    /// <summary>By command: the field of the answer, as JSON.</summary>
    public Dictionary<string, string> Answers { get; } = [];

    public void Dispose()
    {
        socket.Dispose();
        File.Delete(path);
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true) _ = ServeAsync(await socket.AcceptAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The test ends.
        }
    }

    private async Task ServeAsync(Socket client)
    {
        using var stream = new NetworkStream(client, ownsSocket: true);
        using var reader = new StreamReader(stream);
        while (await reader.ReadLineAsync() is { } line)
        {
            string? answer;
            using var request = JsonDocument.Parse(line);
            lock (Answers) answer = Answers.GetValueOrDefault(request.RootElement.GetProperty("command").GetString()!, "\"error\":\"The command is none of status.\"");
            await stream.WriteAsync(Encoding.UTF8.GetBytes($$"""{"version":1,{{answer.ReplaceLineEndings("")}}}""" + "\n"));
        }
    }
}
