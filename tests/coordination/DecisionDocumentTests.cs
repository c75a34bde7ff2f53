using System.Text;
using Florete.Coordination.Contracts;
using Florete.Identities;
using FsCheck.Fluent;

namespace Florete.Coordination.Tests;

public class DecisionDocumentTests
{
    private const string Example = """
        {"format":1,"cluster":"home","vertex":"a","epoch":{"counter":5,"coordinator":"c"},"number":17,"paths":[{"to":"b","via":["c>b"]},{"to":"d","via":["e"]}]}
        """;

    [Fact]
    public void A_decision_reads_as_it_was_encoded()
    {
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<int>(seed =>
        {
            var document = Random(new Random(seed));
            var bytes = document.Encode();
            return DecisionDocument.TryParse(bytes, out var read, out _)
                && (read.Cluster, read.Vertex, read.Epoch, read.Number) == (document.Cluster, document.Vertex, document.Epoch, document.Number)
                && read.Paths.SequenceEqual(document.Paths)
                && read.Encode().AsSpan().SequenceEqual(bytes);
        }));
    }

    [Fact]
    public void The_order_in_which_paths_are_given_makes_no_other_bytes()
    {
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<int>(seed =>
        {
            var document = Random(new Random(seed));
            var other = DecisionDocument.Of(document.Cluster, document.Vertex, document.Epoch, document.Number, [.. document.Paths.Reverse()]);
            return document.Encode().AsSpan().SequenceEqual(other.Encode());
        }));
    }

    [Fact]
    public void The_example_of_the_protocol_is_read_and_written()
    {
        Assert.True(DecisionDocument.TryParse(Encoding.UTF8.GetBytes(Example), out var document, out _));
        Assert.Equal(new Epoch(5, "c"), document.Epoch);
        Assert.Equal(["b via c>b", "d via e"], document.Paths.Select(static p => p.ToString()));
        Assert.Equal(Example, Encoding.UTF8.GetString(document.Encode()));
    }

    [Theory]
    [InlineData("\"format\":1", "\"format\":2", "Format 2")]
    [InlineData("\"cluster\":\"home\"", "\"cluster\":\"Home\"", "cluster")]
    [InlineData("\"vertex\":\"a\"", "\"vertex\":\"\"", "vertex")]
    [InlineData("\"counter\":5", "\"counter\":0", "epoch")]
    [InlineData("\"counter\":5", "\"counter\":-5", "")]
    [InlineData("\"counter\":5", "\"counter\":\"5\"", "")]
    [InlineData("\"counter\":5", "\"counter\":18446744073709551616", "")]
    [InlineData("\"number\":17", "\"number\":0", "number")]
    [InlineData("\"number\":17", "\"number\":17,\"number\":18", "")]
    [InlineData("\"number\":17", "\"number\":17,\"more\":18", "")]
    [InlineData("\"number\":17,", "", "")]
    [InlineData("\"number\"", "\"Number\"", "")]
    [InlineData("\"to\":\"b\"", "\"to\":\"d\"", "Two paths")]
    [InlineData("\"to\":\"b\"", "\"to\":\"a\"", "itself")]
    [InlineData("\"to\":\"b\"", "\"to\":null", "")]
    [InlineData("[\"e\"]", "[]", "0 segments")]
    [InlineData("[\"e\"]", "[null]", "passes")]
    [InlineData("[\"e\"]", "[\"e>e\"]", "passes")]
    [InlineData("[\"e\"]", "[\"e>\"]", "passes")]
    [InlineData("[\"e\"]", "[\"e>f>g\"]", "passes")]
    [InlineData("[\"e\"]", "[\"b\",\"c\",\"e\",\"f\",\"g\"]", "")]
    [InlineData("{\"to\":\"d\",\"via\":[\"e\"]}", "null", "")]
    [InlineData("\"paths\":[", "\"paths\":[[[[[[[[[[", "")]
    [InlineData("\"c>b\"", "\"c>b\u0000\"", "")]
    public void What_is_not_exactly_a_decision_is_refused_with_a_reason(string part, string instead, string reason)
    {
        Assert.Contains(part, Example, StringComparison.Ordinal);
        Assert.False(DecisionDocument.TryParse(Encoding.UTF8.GetBytes(Example.Replace(part, instead, StringComparison.Ordinal)), out var document, out var problem));
        Assert.Null(document);
        Assert.Contains(reason, problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Too_many_paths_and_too_many_bytes_are_refused()
    {
        string Path(int i) => $$"""{"to":"v{{i}}","via":["e"]}""";
        byte[] With(int paths) => Encoding.UTF8.GetBytes(Example[..Example.IndexOf('[', StringComparison.Ordinal)] + "[" + string.Join(',', Enumerable.Range(0, paths).Select(Path)) + "]}");
        Assert.True(DecisionDocument.TryParse(With(CoordinationProtocol.MaxPaths), out _, out _));
        Assert.False(DecisionDocument.TryParse(With(CoordinationProtocol.MaxPaths + 1), out _, out _));
        Assert.False(DecisionDocument.TryParse([.. Encoding.UTF8.GetBytes(Example), .. Enumerable.Repeat((byte)' ', CoordinationProtocol.MaxDecisionBytes)], out _, out _));
    }

    [Fact]
    public void Damage_never_throws_and_what_is_read_nevertheless_is_well_formed()
    {
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<int>(seed =>
        {
            var random = new Random(seed);
            var bytes = Hostile.Damaged(random, Random(random).Encode());
            if (!DecisionDocument.TryParse(bytes, out var read, out var problem)) return problem is { Length: > 0 };
            return DecisionDocument.TryParse(read.Encode(), out _, out _);
        }));
    }

    private static DecisionDocument Random(Random random)
    {
        string Name() => $"{(char)random.Next('a', 'z' + 1)}{random.Next(100)}";
        var targets = Enumerable.Range(0, random.Next(6)).Select(_ => Name()).Distinct().ToList();
        var paths = targets.Select(to => new DecidedPath(to, [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => random.Next(2) == 0 ? new Hop(Name()) : new Hop(Name(), $"n-{random.Next(9)}"))]));
        return DecisionDocument.Of("home", "me", new Epoch((ulong)random.NextInt64(1, long.MaxValue) * 2, Name()), (ulong)random.NextInt64(1, long.MaxValue), [.. paths]);
    }
}
