namespace Florete.Identities.Tests;

public class CoordinateTests
{
    private static SpiffeId Id(string path) => SpiffeId.Parse($"spiffe://home/{path}");

    private static Bounds Bounds(string coordinate) => new(Document(coordinate));

    private static BoundsDocument Document(string coordinate) =>
        BoundsDocument.TryParse($"version: 5\ncluster: home\n{coordinate}\n", "bounds.yaml", out var document, out var problems)
            ? document
            : throw new InvalidOperationException(string.Join('\n', problems));

    [Fact]
    public void Only_nodes_that_are_named_may_coordinate()
    {
        var bounds = Bounds("coordinate: [a, b]");
        Assert.Equal(["a", "b"], bounds.Current.Coordinate);
        Assert.True(bounds.MayCoordinate(Id("node/a")).IsAllowed);
        Assert.True(bounds.MayCoordinate(Id("vertex/b")).IsAllowed);
        Assert.Equal(
            "Bounds version 5 do not let node c have a coordinator; add it under coordinate and sign again.", bounds.MayCoordinate(Id("node/c")).Refusal);
        Assert.False(bounds.MayCoordinate(Id("service/a")).IsAllowed);
        Assert.Contains("another cluster", bounds.MayCoordinate(SpiffeId.Parse("spiffe://office/node/a")).Refusal, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("coordinate: '*'")]
    [InlineData("coordinate: ['*']")]
    [InlineData("coordinate:\n  - c\n  - '*'")]
    public void A_star_names_every_node(string coordinate)
    {
        Assert.True(Bounds(coordinate).MayCoordinate(Id("node/c")).IsAllowed);
        Assert.True(Bounds(coordinate).MayCoordinate(Id("node/d")).IsAllowed);
        Assert.True(Bounds(coordinate).MayConnect(Id("node/d"), Id("node/c")).IsAllowed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("coordinate:")]
    [InlineData("coordinate: []")]
    public void Where_nobody_is_named_nobody_may_and_nothing_is_implied(string coordinate)
    {
        Assert.Empty(Document(coordinate).Coordinate);
        Assert.False(Bounds(coordinate).MayCoordinate(Id("node/a")).IsAllowed);
        Assert.False(Bounds(coordinate).MayConnect(Id("node/a"), Id("node/a")).IsAllowed);
        Assert.False(Bounds(coordinate).MayConnect(Id("node/a"), Id("node/b")).IsAllowed);
    }

    [Fact]
    public void A_node_may_connect_to_itself_and_coordinators_to_every_node_without_a_rule()
    {
        var bounds = Bounds("coordinate: [a]");
        Assert.True(bounds.MayConnect(Id("node/a"), Id("node/a")).IsAllowed);
        Assert.True(bounds.MayConnect(Id("node/b"), Id("node/b")).IsAllowed);
        Assert.True(bounds.MayConnect(Id("node/a"), Id("node/b")).IsAllowed);

        Assert.Contains("under connect", bounds.MayConnect(Id("node/b"), Id("node/a")).Refusal, StringComparison.Ordinal);
        Assert.False(bounds.MayConnect(Id("node/a"), Id("service/b")).IsAllowed);
        Assert.False(bounds.MayConnect(Id("node/a"), Id("vertex/a")).IsAllowed);
        Assert.False(bounds.MayConnect(Id("service/a"), Id("node/a")).IsAllowed);
        Assert.False(bounds.MayConnect(Id("vertex/a"), Id("node/a")).IsAllowed);
        Assert.False(bounds.MayConnect(SpiffeId.Parse("spiffe://office/node/a"), Id("node/b")).IsAllowed);
    }

    [Fact]
    public void Problems_of_coordinate_are_reported_with_line_and_remedy()
    {
        static string[] Problems(string text)
        {
            Assert.False(BoundsDocument.TryParse($"version: 1\ncluster: home\n{text}", "bounds.yaml", out _, out var problems));
            return [.. problems];
        }

        Assert.Equal(["bounds.yaml:3: 'coordinate' must be a list; begin each rule with '- '."], Problems("coordinate: a"));
        Assert.Equal(["bounds.yaml:3: bounds: 'cordinate' is not a key; did you mean 'coordinate'?"], Problems("cordinate: [a]"));
        Assert.Equal(
            [
                "bounds.yaml:5: 'coordinate': 'B' is not a name; use 1 to 63 of a-z, 0-9 and '-', or '*'.",
                "bounds.yaml:6: 'coordinate' must be a name.",
                "bounds.yaml:7: 'coordinate' names 'a' twice; keep one.",
            ],
            Problems("coordinate:\n  - a\n  - B\n  - [c]\n  - a\n"));
    }
}
