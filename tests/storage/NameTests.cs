using Florete.Storage.Contracts;

namespace Florete.Storage.Tests;

public class NameTests
{
    [Theory]
    [InlineData("apps", true)]
    [InlineData("a1-", true)]
    [InlineData("", false)]
    [InlineData("1a", false)]
    [InlineData("Apps", false)]
    [InlineData("a.b", false)]
    [InlineData("a\u001b[31m", false)]
    public void A_collection_has_a_name_of_letters_digits_and_hyphens(string text, bool allowed)
    {
        Assert.Equal(allowed, CollectionName.TryParse(text, out var name, out var problem));
        Assert.Equal(allowed ? text : "", name.ToString());
        Assert.Equal(allowed, problem is null);
        Assert.DoesNotContain('\u001b', problem ?? "");
    }

    [Theory]
    [InlineData("shop", true)]
    [InlineData("a/b.c_d-1", true)]
    [InlineData("..a", true)]
    [InlineData("/a", false)]
    [InlineData("a/", false)]
    [InlineData("a//b", false)]
    [InlineData(".", false)]
    [InlineData("a/../b", false)]
    [InlineData("a b", false)]
    [InlineData("ä", false)]
    public void A_document_has_a_name_that_is_itself_in_a_url(string text, bool allowed) => Assert.Equal(allowed, DocumentName.TryParse(text, out _, out _));

    [Fact]
    public void Names_end_at_their_greatest_length()
    {
        Assert.True(CollectionName.TryParse(new string('a', 63), out _, out _));
        Assert.False(CollectionName.TryParse(new string('a', 64), out _, out _));
        Assert.True(DocumentName.TryParse(new string('a', 253), out _, out _));
        Assert.False(DocumentName.TryParse(new string('a', 254), out _, out _));
        Assert.True(UnitName.TryParse(new string('a', 31), out _, out _));
        Assert.False(UnitName.TryParse(new string('a', 32), out _, out _));
        Assert.Equal(UnitName.Plain, UnitName.Parse(""));
    }

    [Fact]
    public void Ids_and_stamps_are_read_as_they_are_written()
    {
        var id = VersionId.Of("x"u8);
        Assert.Equal(id, VersionId.Parse(id.ToString()));
        Assert.Equal(32, id.ToString().Length);
        Assert.False(VersionId.TryParse(id.ToString()[..31] + "g", out _));
        var chain = ChainHash.Of("x"u8);
        Assert.True(ChainHash.TryParse(chain.ToString(), out var read));
        Assert.Equal(chain, read);
        Assert.False(ChainHash.TryParse(new string('x', 64), out _));
        Assert.Equal(new Stamp(ulong.MaxValue), Stamp.Parse(new Stamp(ulong.MaxValue).ToString()));
        Assert.Equal(DateTimeOffset.MaxValue, new Stamp(ulong.MaxValue).Time);
        Assert.False(Stamp.TryParse("281474976710656.0", out _));
        Assert.False(Stamp.TryParse("1.65536", out _));
        Assert.False(Stamp.TryParse("1", out _));
        Assert.False(Stamp.TryParse("-1.0", out _));
    }

    // Other implementations must find the same buckets.
    [Fact]
    public void A_key_has_the_bucket_that_its_hash_tells()
    {
        var hash = System.Security.Cryptography.SHA256.HashData("\u0004apps\u0004shop\u0000"u8);
        Assert.Equal(((hash[0] << 8) | hash[1]) >> 6, Versions.Key("shop").Bucket());
    }
}
