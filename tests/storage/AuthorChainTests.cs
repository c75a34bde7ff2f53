using Florete.Storage.Contracts;
using FsCheck.Fluent;

namespace Florete.Storage.Tests;

public class AuthorChainTests
{
    [Fact]
    public void A_chain_is_read_as_it_was_written_and_nothing_else_is_a_chain()
    {
        var check = Prop.ForAll<byte[], byte[]>((a, b) =>
        {
            byte[][] chain = [[0x30, .. a], [0x30, .. b]];
            var encoded = AuthorChain.Encode(chain);
            if (!AuthorChain.TryDecode(encoded, out var read) || !read.Zip(chain).All(p => p.First.SequenceEqual(p.Second))) return false;
            for (var length = 0; length < encoded.Length; length++)
            {
                if (AuthorChain.TryDecode(encoded.AsSpan(0, length), out _)) return false;
            }
            return !AuthorChain.TryDecode([.. encoded, 0], out _);
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void A_chain_is_neither_empty_nor_too_long()
    {
        Assert.Throws<ArgumentException>(() => AuthorChain.Encode([]));
        Assert.Throws<ArgumentException>(() => AuthorChain.Encode([[1], [1], [1], [1], [1]]));
        Assert.Throws<ArgumentException>(() => AuthorChain.Encode([new byte[4096]]));
        Assert.False(AuthorChain.TryDecode(new byte[AuthorChain.MaxBytes + 1], out _));
    }
}
