using FsCheck.Fluent;

namespace Florete.Identities.Tests;

public class EncodedChainTests
{
    [Fact]
    public void A_chain_is_read_as_it_was_written_and_nothing_else_is_a_chain()
    {
        var check = Prop.ForAll<byte[], byte[]>((a, b) =>
        {
            byte[][] chain = [[0x30, .. a], [0x30, .. b]];
            var encoded = EncodedChain.Encode(chain);
            if (!EncodedChain.TryDecode(encoded, out var read) || !read.Zip(chain).All(p => p.First.SequenceEqual(p.Second))) return false;
            for (var length = 0; length < encoded.Length; length++)
            {
                if (EncodedChain.TryDecode(encoded.AsSpan(0, length), out _)) return false;
            }
            return !EncodedChain.TryDecode([.. encoded, 0], out _);
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void A_chain_is_neither_empty_nor_too_long()
    {
        Assert.Throws<ArgumentException>(() => EncodedChain.Encode([]));
        Assert.Throws<ArgumentException>(() => EncodedChain.Encode([[1], [1], [1], [1], [1]]));
        Assert.Throws<ArgumentException>(() => EncodedChain.Encode([new byte[EncodedChain.MaxBytes]]));
        Assert.False(EncodedChain.TryDecode(new byte[EncodedChain.MaxBytes + 1], out _));
    }
}
