using Florete.Quic.Native;
using FsCheck.Fluent;

namespace Florete.Quic.Tests;

public class SendQueueTests
{
    [Fact]
    public unsafe void Any_mix_of_adding_sending_and_acknowledging_keeps_the_bytes_in_order_and_the_chunks_counted()
    {
        var check = Prop.ForAll<int[]>(steps =>
        {
            var pool = new SendChunkPool(64, 4);
            var queue = new SendQueue();
            var written = new List<byte>();
            var read = new List<byte>();
            long acked = 0;
            var chunk = pool.Rent();
            var used = 0;
            var vectors = new Vec[4];
            foreach (var step in steps)
            {
                var amount = Math.Abs((step >> 2) % 40);
                switch (step & 3)
                {
                    case 0 or 1:
                        if (used + amount > chunk.CapacityBytes)
                        {
                            chunk.Release();
                            chunk = pool.Rent();
                            used = 0;
                        }
                        for (var i = 0; i < amount; i++) chunk.Span[used + i] = (byte)(written.Count + i);
                        if (amount > 0) queue.Add(chunk, used, amount);
                        for (var i = 0; i < amount; i++) written.Add((byte)written.Count);
                        used += amount;
                        break;
                    case 2:
                        var count = queue.Gather(vectors, amount, out var bytes);
                        var take = Math.Min(amount, bytes);
                        var left = take;
                        for (var i = 0; i < count && left > 0; i++)
                        {
                            var part = (int)Math.Min(left, (long)vectors[i].Length);
                            read.AddRange(new ReadOnlySpan<byte>(vectors[i].Base, part));
                            left -= part;
                        }
                        queue.Sent(take);
                        break;
                    default:
                        var ack = Math.Min(amount, read.Count - acked);
                        queue.Acked(ack);
                        acked += ack;
                        break;
                }
                if (queue.HeldBytes != written.Count - acked || queue.UnsentBytes != written.Count - read.Count) return false;
            }
            var inOrder = read.SequenceEqual(written.Take(read.Count));
            queue.DropUnsent();
            queue.Acked(read.Count - acked);
            chunk.Release();
            queue.Clear();
            return inOrder && pool.Rented == 0;
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void A_chunk_released_once_too_often_is_a_fault()
    {
        var chunk = new SendChunkPool().Rent();
        chunk.Release();
        Assert.Throws<InvalidOperationException>(chunk.Release);
    }

    [Fact]
    public void A_pool_keeps_a_bounded_number_of_idle_chunks_and_gives_them_again()
    {
        var pool = new SendChunkPool(16, 2);
        var chunks = Enumerable.Range(0, 5).Select(_ => pool.Rent()).ToArray();
        Assert.Equal(5, pool.Rented);
        foreach (var chunk in chunks) chunk.Release();
        Assert.Equal(0, pool.Rented);
        var again = Enumerable.Range(0, 3).Select(_ => pool.Rent()).ToArray();
        Assert.Equal(2, again.Count(chunks.Contains));
    }
}
