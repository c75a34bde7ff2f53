using System.Text;
using Florete.Proxy.Control;

namespace Florete.Proxy.Tests;

public class ControlProtocolTests
{
    [Theory]
    [InlineData("""{"version":1,"command":"status"}""")]
    [InlineData("""{"version":1,"command":"topology"}""")]
    [InlineData("""{"version":1,"command":"trace","target":"hello.rete"}""")]
    [InlineData("""{"version":1,"command":"discover","watch":true}""")]
    [InlineData("""{"version":1,"command":"reload","later":"fields are ignored"}""")]
    [InlineData("""{"version":1,"command":"announce","document":"AQID"}""")]
    [InlineData("""{"version":1,"command":"revocations"}""")]
    [InlineData("""{"version":1,"command":"events","after":7}""")]
    [InlineData("""{"version":1,"command":"events","after":7,"waitSeconds":60}""")]
    public void A_request_of_this_version_is_understood(string line)
    {
        Assert.True(ControlProtocol.TryParse(Encoding.UTF8.GetBytes(line), out var request, out var error), error);
        Assert.Contains($"\"{request!.Command}\"", line, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "no JSON object")]
    [InlineData("null", "null")]
    [InlineData("[]", "no JSON object")]
    [InlineData("""{"version":2,"command":"status"}""", "version 2")]
    [InlineData("""{"command":"status"}""", "version 0")]
    [InlineData("""{"version":1}""", "none of")]
    [InlineData("""{"version":1,"command":"stop"}""", "none of")]
    [InlineData("""{"version":1,"command":"trace"}""", "target")]
    [InlineData("""{"version":1,"command":7}""", "no JSON object")]
    [InlineData("""{"version":1,"command":"announce"}""", "document")]
    [InlineData("""{"version":1,"command":"events","waitSeconds":61}""", "waitSeconds")]
    [InlineData("""{"version":1,"command":"events","waitSeconds":-1}""", "waitSeconds")]
    [InlineData("""{"version":1,"command":"announce","document":"not base64"}""", "no JSON object")]
    public void A_mistaken_request_is_refused_with_what_to_send(string line, string word)
    {
        Assert.False(ControlProtocol.TryParse(Encoding.UTF8.GetBytes(line), out var request, out var error));
        Assert.Null(request);
        Assert.Contains(word, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Hostile_lines_are_refused_without_a_fault()
    {
        var random = new Random(7);
        var whole = Encoding.UTF8.GetBytes("""{"version":1,"command":"trace","target":"hello.rete","watch":false}""");
        for (var i = 0; i < 20_000; i++)
        {
            byte[] line = (i % 3) switch
            {
                0 => whole[..random.Next(whole.Length)],
                1 => [.. whole],
                _ => new byte[random.Next(ControlProtocol.MaxRequestBytes)],
            };
            if (i % 3 == 1) line[random.Next(line.Length)] ^= (byte)(1 << random.Next(8));
            if (i % 3 == 2) random.NextBytes(line);
            Assert.Equal(ControlProtocol.TryParse(line, out var request, out var error), request is not null);
            Assert.Equal(request is null, error is not null);
        }
        var deep = Encoding.UTF8.GetBytes("{\"x\":" + new string('[', 2000) + new string(']', 2000) + "}");
        Assert.False(ControlProtocol.TryParse(deep, out _, out _));
    }

    [Fact]
    public async Task A_line_that_never_ends_is_answered_with_an_error_and_not_kept()
    {
        using var stream = new Conversation(new byte[10 * ControlProtocol.MaxRequestBytes]);
        await ControlServer.ServeAsync(stream, null!, CancellationToken.None);
        Assert.Contains("at most", Encoding.UTF8.GetString(stream.Answered.ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task After_a_mistake_the_next_line_is_still_answered()
    {
        using var stream = new Conversation("oops\n{}\n"u8.ToArray());
        await ControlServer.ServeAsync(stream, null!, CancellationToken.None);
        Assert.Equal(2, Encoding.UTF8.GetString(stream.Answered.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    /// <summary>Reads what a client sent, and keeps what it is answered.</summary>
    private sealed class Conversation(byte[] sent) : MemoryStream(sent)
    {
        public MemoryStream Answered { get; } = new();

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            Answered.WriteAsync(buffer, cancellationToken);
    }
}
