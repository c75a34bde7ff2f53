using Florete.Storage.Contracts;
using FsCheck.Fluent;

namespace Florete.Storage.Tests;

public class SeenVectorTests
{
    [Fact]
    public void A_union_is_commutative_associative_idempotent_and_knows_what_either_knows()
    {
        var check = Prop.ForAll<byte[], byte[], byte[]>((x, y, z) =>
        {
            var (a, b, c) = (Some(x), Some(y), Some(z));
            var all = a.Union(b).Union(c);
            return all.Equals(a.Union(b.Union(c))) && a.Union(b).Equals(b.Union(a)) && all.Union(all).Equals(all)
                && all.All(e => e.Stamp == new[] { a[e.Replica], b[e.Replica], c[e.Replica] }.Max()) && a.All(e => all[e.Replica] >= e.Stamp);
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void Of_too_many_replicas_those_with_the_oldest_stamps_are_left_out()
    {
        var all = SeenVector.Of(Enumerable.Range(0, 100).Select(i => new SeenEntry(ReplicaName.Parse($"r{i}"), new Stamp((ulong)(i * 7 % 100) + 1))));
        Assert.Equal(StorageProtocol.MaxSeen, all.Count);
        Assert.Equal(100UL, all.Newest.Value);
        Assert.All(all, e => Assert.True(e.Stamp.Value > 36));
        Assert.Equal(all.OrderBy(e => e.Replica), all);
    }

    [Fact]
    public void What_is_too_old_is_left_out()
    {
        var seen = Versions.Seen(("a", 5), ("b", 9));
        Assert.Equal(Versions.Seen(("b", 9)), seen.Since(new Stamp(6)));
        Assert.Equal(seen, seen.Since(new Stamp(5)));
    }

    private static SeenVector Some(byte[] bytes) =>
        SeenVector.Of(bytes.Select(b => new SeenEntry(ReplicaName.Parse($"r{b % 8}"), new Stamp((ulong)b >> 3))));
}
