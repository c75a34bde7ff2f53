using FsCheck;
using FsCheck.Fluent;

namespace Florete.Portals.Tests;

/// <summary>What first bytes tell.</summary>
public class ProtocolTests
{
    [Theory]
    [InlineData("GET / HTTP/1.1\r\n", Recognition.Yes)]
    [InlineData("PRI * HTTP/2.0\r\n", Recognition.Yes)]
    [InlineData("UPDATEREDIRECTREF /", Recognition.Yes)]
    [InlineData("m-search *", Recognition.Yes)]
    [InlineData("", Recognition.Perhaps)]
    [InlineData("GE", Recognition.Perhaps)]
    [InlineData(" GET /", Recognition.No)]
    [InlineData("GET\r\n", Recognition.No)]
    [InlineData("\u0016\u0003\u0001", Recognition.No)]
    [InlineData("AMETHODTHATISFARTOOLONGFORANY /", Recognition.No)]
    public void HTTP_is_a_method_and_a_space(string first, Recognition expected) => Assert.Equal(expected, PortalHttp.Protocol.Recognize(Lab.Bytes(first)));

    [Theory]
    [InlineData("PRI * HTTP/2.0", Recognition.Yes)]
    [InlineData("PR", Recognition.Perhaps)]
    [InlineData("PRINT /", Recognition.No)]
    [InlineData("GET /", Recognition.No)]
    public void HTTP_2_is_its_preface(string first, Recognition expected) => Assert.Equal(expected, PortalHttp.Http2Protocol.Recognize(Lab.Bytes(first)));

    [Fact]
    public void What_is_said_of_a_beginning_stays_true_and_is_said_in_time() => Check.QuickThrowOnFailure(Prop.ForAll<byte[], int>((bytes, seed) =>
    {
        // Random bytes, and such that are nearly HTTP.
        var words = Lab.Bytes("GET PRI POST / HTTP");
        var random = new Random(seed);
        byte[] all = [.. random.Next(2) == 0 ? words[random.Next(words.Length)..] : [], .. bytes, .. new byte[CallerProtocol.MaxBytes]];
        foreach (var protocol in new[] { PortalHttp.Protocol, PortalHttp.Http2Protocol, Lab.Alpha, CallerProtocol.Anything("anything") })
        {
            var last = Recognition.Perhaps;
            for (var length = 0; length <= CallerProtocol.MaxBytes; length++)
            {
                var now = protocol.Recognize(all.AsSpan(0, length));
                if (last != Recognition.Perhaps && now != last) return false;
                last = now;
            }
            if (last == Recognition.Perhaps) return false;
        }
        return true;
    }));

    [Fact]
    public void A_protocol_without_a_beginning_is_refused()
    {
        Assert.Throws<ArgumentException>(() => CallerProtocol.StartingWith("none", []));
        Assert.Throws<ArgumentException>(() => CallerProtocol.StartingWith("long", new byte[CallerProtocol.MaxBytes + 1]));
    }
}
