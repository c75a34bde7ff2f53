using System.Text;
using Florete.Bus.MassTransit.Transport;
using FsCheck;
using FsCheck.Fluent;

namespace Florete.Bus.Tests.Specification;

public class HeaderTests
{
    [Fact]
    public void Headers_are_read_as_they_were_written()
    {
        var read = FloreteHeaders.Read(FloreteHeaders.Write([new("text", "é\n"), new("number", 7), new("truth", true), new("time", DateTimeOffset.UnixEpoch), new("nothing", null!), new("TEXT", "again")]));
        Assert.Equal(["é\n", 7L, true, "1970-01-01T00:00:00.0000000+00:00"], read.GetAll().Select(static h => h.Value));
    }

    [Fact]
    public void Whatever_comes_as_headers_is_read_or_left_out()
    {
        var check = Prop.ForAll<string>(static text => FloreteHeaders.Read(Encoding.UTF8.GetBytes(text ?? "")) is not null);
        Check.QuickThrowOnFailure(check);
        foreach (var bad in new[] { "", "{", "[]", "7", "{\"a\":{}}", "{\"a\":[1]}", "{\"a\":\"\\ud800\"}", "{\"\\udc00\":1}", "{\"a\":1e999}", "{\"a\":null}" })
            _ = FloreteHeaders.Read(Encoding.UTF8.GetBytes(bad)).GetAll().Count();
        var random = new Random(2);
        for (var i = 0; i < 5000; i++)
        {
            var bytes = Encoding.UTF8.GetBytes("{\"MessageId\":\"x\",\"n\":12,\"t\":true}");
            bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            Assert.NotNull(FloreteHeaders.Read(bytes));
        }
    }
}
