using System.Text;
using System.Text.Json;
using Florete.Identities;
using Florete.Storage.Contracts;
using FsCheck.Fluent;

namespace Florete.Storage.Tests;

public class DocumentVersionTests
{
    [Fact]
    public void What_an_author_writes_is_read_back()
    {
        var check = Prop.ForAll<byte[], string, (bool Swap, bool Delete)>((bytes, text, kind) =>
        {
            var seen = SeenVector.Of(bytes.Select(b => new SeenEntry(ReplicaName.Parse($"r{b % 70}"), new Stamp(b + 1UL))));
            var body = kind.Delete ? (ReadOnlyMemory<byte>?)null : JsonSerializer.SerializeToUtf8Bytes(text);
            var signature = Enumerable.Range(0, 64).Select(i => (byte)(i + bytes.Length)).ToArray();
            var draft = new VersionDraft
            {
                Key = Versions.Key($"n{bytes.Length}/x", bytes.Length % 2 == 0 ? "" : "status"),
                Replica = ReplicaName.Parse("a"),
                Stamp = new Stamp(300),
                Seen = seen,
                Author = Versions.Alice,
                Chain = ChainHash.Of(bytes),
                Body = body,
                CompareAndSwap = kind.Swap,
            };
            var made = draft.WithSignature(signature);
            if (!DocumentVersion.TryParse(made.Bytes.ToArray(), out var read, out _)) return false;
            return read.Id == made.Id && read.Id == VersionId.Of(made.Bytes.Span) && read.Key == draft.Key && read.Replica == draft.Replica && read.Stamp == draft.Stamp
                && read.Seen.Equals(seen) && read.Author == draft.Author && read.Chain == draft.Chain && read.IsTombstone == kind.Delete
                && (read.Flags & VersionFlags.CompareAndSwap) != 0 == kind.Swap && read.Body.Span.SequenceEqual((body ?? default).Span)
                && read.Content.Span.SequenceEqual(draft.Content.Span) && read.Signature.Span.SequenceEqual(signature);
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void A_version_cut_off_anywhere_or_with_bytes_behind_it_is_refused()
    {
        var bytes = Example().Bytes.ToArray();
        for (var length = 0; length < bytes.Length; length++) AssertRefused(bytes[..length]);
        AssertRefused([.. bytes, 0]);
    }

    [Fact]
    public void Flipped_bits_are_refused_or_give_another_version_that_reads_back()
    {
        var original = Example();
        for (var bit = 0; bit < original.Bytes.Length * 8; bit++)
        {
            var bytes = original.Bytes.ToArray();
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            if (!DocumentVersion.TryParse(bytes, out var read, out var problem))
            {
                Assert.False(string.IsNullOrEmpty(problem));
                continue;
            }
            Assert.NotEqual(original.Id, read.Id);
            Assert.True(read.Seen.Newest < read.Stamp);
        }
    }

    [Fact]
    public void Random_bytes_are_refused_without_harm()
    {
        var random = new Random(1);
        for (var i = 0; i < 20_000; i++)
        {
            var bytes = new byte[random.Next(400)];
            random.NextBytes(bytes);
            // Half of them begin well.
            if (i % 2 == 0) Example().Bytes.Span[..Math.Min(bytes.Length, random.Next(150))].CopyTo(bytes);
            Assert.Equal(DocumentVersion.TryParse(bytes, out _, out var problem), problem is null);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("{} {}")]
    [InlineData("nul")]
    [InlineData("{'a':1}")]
    [InlineData("// no\n1")]
    [InlineData("\uFEFF{}")]
    [InlineData("[1,]")]
    public void A_body_that_is_not_one_json_value_is_refused(string body) => Assert.Throws<FormatException>(() => Versions.Make(Versions.Key("x"), "a", 1, body: body));

    [Fact]
    public void A_body_that_is_not_utf8_or_nested_too_deep_or_too_long_is_refused()
    {
        Assert.NotNull(VersionFields.BodyProblem([(byte)'"', 0xC3, 0x28, (byte)'"'], false));
        Assert.NotNull(VersionFields.BodyProblem(Encoding.ASCII.GetBytes(new string('[', 65) + new string(']', 65)), false));
        Assert.Null(VersionFields.BodyProblem(Encoding.ASCII.GetBytes(new string('[', 64) + new string(']', 64)), false));
        Assert.NotNull(VersionFields.BodyProblem(Encoding.ASCII.GetBytes($"\"{new string('a', 256 * 1024)}\""), false));
        Assert.NotNull(VersionFields.BodyProblem("{}"u8, true));
    }

    [Fact]
    public void The_longest_version_there_can_be_is_within_its_limit()
    {
        var seen = SeenVector.Of(Enumerable.Range(0, 64).Select(i => new SeenEntry(ReplicaName.Parse($"{new string('r', 60)}{i:000}"), new Stamp(1))));
        var longest = Versions.Make(
            new DocumentKey(CollectionName.Parse(new string('c', 63)), DocumentName.Parse(new string('n', 253)), UnitName.Parse(new string('u', 31))),
            new string('a', 63), 2, seen, $"\"{new string('x', StorageProtocol.MaxBodyBytes - 2)}\"", SpiffeId.Of(new string('c', 63), IdentityKind.Operator, new string('n', 63)));
        Assert.True(longest.Bytes.Length < StorageProtocol.MaxVersionBytes);
        Assert.True(DocumentVersion.TryParse(longest.Bytes, out _, out _));
        AssertRefused(new byte[StorageProtocol.MaxVersionBytes + 1]);
    }

    [Fact]
    public void What_was_seen_is_older_than_the_version_and_ascends()
    {
        Assert.Throws<FormatException>(() => Versions.Make(Versions.Key("x"), "a", 5, Versions.Seen(("b", 5))));
        var bytes = Versions.Make(Versions.Key("x"), "a", 5, Versions.Seen(("b", 3), ("c", 4))).Bytes.ToArray();
        var at = bytes.AsSpan().IndexOf((byte)'b');
        bytes[at] = (byte)'c';
        AssertRefused(bytes);
    }

    [Fact]
    public void A_version_dominates_what_its_author_knew_and_nothing_else()
    {
        var first = Versions.Make(Versions.Key("x"), "a", 1);
        var second = Versions.Make(Versions.Key("x"), "a", 2, Versions.Seen(("a", 1)));
        var other = Versions.Make(Versions.Key("x"), "b", 3, Versions.Seen(("a", 1)));
        Assert.True(second.Dominates(first));
        Assert.False(first.Dominates(second));
        Assert.True(other.Dominates(first));
        Assert.True(other.IsConcurrentWith(second));
        Assert.True(other.CompareTo(second) > 0);
    }

    private static DocumentVersion Example() =>
        Versions.Make(Versions.Key("shop/web", "status"), "node-a", 1000, Versions.Seen(("node-a", 10), ("node-b", 999)), """{"a":[1,2,{"b":"c"}]}""");

    private static void AssertRefused(byte[] bytes)
    {
        Assert.False(DocumentVersion.TryParse(bytes, out var version, out var problem));
        Assert.Null(version);
        Assert.False(string.IsNullOrEmpty(problem));
    }
}
