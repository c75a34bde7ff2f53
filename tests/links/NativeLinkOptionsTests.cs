using Florete.Identities;
using FsCheck;
using FsCheck.Fluent;

namespace Florete.Links.Tests;

/// <summary>Which identity of the layer below stands for which vertex of a layer (docs/protocols/link-native.md "Who").</summary>
public class NativeLinkOptionsTests
{
    private static readonly Gen<string> Label = Gen.Elements("a", "b", "robots", "x-y", "a-b-c", "0", "z9");
    private static readonly Gen<string> Layer = Gen.Elements("a", "x", "robots", "b2", "0");

    [Fact]
    public void A_service_stands_for_one_vertex_of_one_layer()
    {
        var gen = from layer in Layer from other in Layer from name in Label select (layer, other, name);
        Check.QuickThrowOnFailure(Prop.ForAll(gen.ToArbitrary(), static input =>
        {
            var options = new NativeLinkOptions { Layer = input.layer };
            options.Validate();
            var vertex = SpiffeId.Of("home", IdentityKind.Vertex, input.name);
            var service = options.ServiceOf(vertex);
            var elsewhere = new NativeLinkOptions { Layer = input.other }.VertexOf(service);
            return options.VertexOf(service) == vertex && (input.other == input.layer ? elsewhere == vertex : elsewhere is null);
        }));
    }

    [Theory]
    [InlineData("spiffe://home/service/robots")]
    [InlineData("spiffe://home/service/robots-")]
    [InlineData("spiffe://home/service/robotsa")]
    [InlineData("spiffe://home/user/robots-a")]
    [InlineData("spiffe://home/vertex/robots-a")]
    [InlineData("spiffe://home/service/robots--a")]
    public void Other_identities_stand_for_none(string text)
    {
        if (SpiffeId.TryParse(text, out var id, out _)) Assert.Null(new NativeLinkOptions { Layer = "robots" }.VertexOf(id));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a-b")]
    [InlineData("Robots")]
    [InlineData("a.b")]
    [InlineData("abcdefghijabcdefghijabcdefghijab")]
    public void A_layer_name_with_a_hyphen_or_out_of_range_is_refused(string layer)
    {
        var error = Assert.Throws<ArgumentException>(() => new NativeLinkOptions { Layer = layer }.Validate());
        Assert.Contains("Layer must have 1 to 31 characters", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(49)]
    [InlineData(1001)]
    public void A_keep_alive_out_of_range_is_refused(int milliseconds) => Assert.Throws<ArgumentException>(
        () => new NativeLinkOptions { Layer = "a", KeepAlive = TimeSpan.FromMilliseconds(milliseconds) }.Validate());
}
