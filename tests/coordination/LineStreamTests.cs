using System.IO.Pipelines;
using System.Text;
using Florete.Coordination.Contracts;
using FsCheck.Fluent;

namespace Florete.Coordination.Tests;

public class LineStreamTests
{
    [Fact]
    public void Lines_come_out_as_they_went_in_however_the_stream_cuts_them()
    {
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<int>(seed =>
        {
            var random = new Random(seed);
            var lines = Enumerable.Range(0, random.Next(1, 20)).Select(_ => new string((char)random.Next('a', 'z'), random.Next(3) == 0 ? random.Next(9000) : random.Next(20))).ToList();
            var pieces = new Pieces(random, Encoding.UTF8.GetBytes(string.Concat(lines.Select(static l => l + "\n")) + "no end"));
            var reader = new LineStream(pieces, 9000);
            foreach (var line in lines)
            {
                if (Read(reader) != line) return false;
            }
            return Read(reader) is null;
        }));
    }

    [Fact]
    public async Task What_is_written_is_read()
    {
        var pipe = new Pipe();
        var writer = new LineStream(pipe.Writer.AsStream(), 10);
        await writer.WriteAsync("one"u8.ToArray());
        await writer.WriteAsync(new byte[5000]);
        await pipe.Writer.CompleteAsync();
        var reader = new LineStream(pipe.Reader.AsStream(), 5000);
        Assert.Equal("one", Read(reader));
        Assert.Equal(new string('\0', 5000), Read(reader));
        Assert.Null(Read(reader));
    }

    [Theory]
    [InlineData(100, true)]
    [InlineData(101, false)]
    public async Task A_line_that_is_too_long_is_not_read(int length, bool fits)
    {
        var reader = new LineStream(new Pieces(new Random(1), [.. new byte[length], (byte)'\n']), 100);
        if (fits) Assert.Equal(length, (await reader.ReadAsync())!.Value.Length);
        else await Assert.ThrowsAsync<InvalidDataException>(async () => await reader.ReadAsync());
    }

    [Fact]
    public async Task A_read_that_was_given_up_loses_nothing()
    {
        var pipe = new Pipe();
        var reader = new LineStream(pipe.Reader.AsStream(), 100);
        await pipe.Writer.WriteAsync("ha"u8.ToArray());
        using var giveUp = new CancellationTokenSource();
        var read = reader.ReadAsync(giveUp.Token).AsTask();
        await giveUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);
        await pipe.Writer.WriteAsync("lf\n"u8.ToArray());
        Assert.Equal("half", Read(reader));
    }

    private static string? Read(LineStream reader) => reader.ReadAsync().AsTask().GetAwaiter().GetResult() is { } line ? Encoding.UTF8.GetString(line.Span) : null;

    // Some bytes at a time.
    private sealed class Pieces(Random random, byte[] content) : MemoryStream(content)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            new(Read(buffer.Span[..Math.Min(buffer.Length, random.Next(1, 700))]));
    }
}
