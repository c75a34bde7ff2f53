using System.Buffers;
using Florete.Storage.Contracts;
using FsCheck.Fluent;

namespace Florete.Storage.Tests;

public class ReplicationFormatTests
{
    [Fact]
    public void A_batch_is_read_as_it_was_written()
    {
        var check = Prop.ForAll<bool[]>(marks =>
        {
            var batch = new ArrayBufferWriter<byte>();
            var versions = marks.Select((m, i) => new OfferedVersion(Versions.Make(Versions.Key($"d{i}"), "a", (ulong)i + 1), m)).ToArray();
            foreach (var (version, isSuperseded) in versions) VersionBatch.Append(batch, version, isSuperseded);
            return versions.Sum(v => VersionBatch.EncodedBytes(v.Version)) == batch.WrittenCount && VersionBatch.TryDecode(batch.WrittenMemory, out var read, out _)
                && read.Select(r => (r.Version.Id, r.IsSuperseded)).SequenceEqual(versions.Select(v => (v.Version.Id, v.IsSuperseded)));
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Fact]
    public void Hostile_batches_are_refused()
    {
        var batch = new ArrayBufferWriter<byte>();
        VersionBatch.Append(batch, Versions.Make(Versions.Key("x"), "a", 1), false);
        VersionBatch.Append(batch, Versions.Make(Versions.Key("y"), "a", 2), true);
        var bytes = batch.WrittenSpan.ToArray();
        var half = bytes.Length / 2;
        for (var length = 1; length < bytes.Length; length++)
        {
            if (length != half) Assert.False(VersionBatch.TryDecode(bytes.AsMemory(0, length), out _, out _));
        }
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            var flipped = bytes.ToArray();
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Equal(VersionBatch.TryDecode(flipped, out _, out var problem), problem is null);
        }
        Assert.False(VersionBatch.TryDecode(new byte[] { 0xFF, 0xFF, 0xFF, 0xFF, 0 }, out _, out _));
        Assert.False(VersionBatch.TryDecode(new byte[] { 0, 0, 0, 0, 0 }, out _, out _));
        Assert.False(VersionBatch.TryDecode(new byte[VersionBatch.MaxAnswerBytes + 1], out _, out _));
        var random = new Random(1);
        for (var i = 0; i < 10_000; i++)
        {
            var noise = new byte[random.Next(200)];
            random.NextBytes(noise);
            Assert.Equal(VersionBatch.TryDecode(noise, out _, out var problem), problem is null);
        }
    }

    [Fact]
    public void Differences_are_read_as_they_were_written_and_nothing_else_is()
    {
        var check = Prop.ForAll<(ulong Id, ulong Stamp, bool IsSuperseded)[]>(told =>
        {
            var entries = told.Select(t => new BucketEntry(new VersionId(t.Id), new Stamp(t.Stamp), t.IsSuperseded)).ToArray();
            var bytes = Differences.Encode(entries);
            return Differences.TryDecode(bytes, out var read) && read.SequenceEqual(entries) && !Differences.TryDecode([.. bytes, 0], out _);
        });
        FsCheck.Check.QuickThrowOnFailure(check);
        Assert.False(Differences.TryDecode(Enumerable.Repeat((byte)2, 25).ToArray(), out _));
        Assert.False(Differences.TryDecode(new byte[25 * ((2 * Differences.MaxEntries) + 1)], out _));
    }

    [Fact]
    public void Summaries_tell_in_which_buckets_two_differ()
    {
        var (a, b) = (new DigestBuckets(), new DigestBuckets());
        var rows = Enumerable.Range(0, 100).Select(i => VersionRow.Of(new StoredVersion(i, VersionState.Current, Versions.Make(Versions.Key($"d{i}"), "a", 1)))).ToArray();
        foreach (var row in rows) a.Toggle(row);
        foreach (var row in rows.Reverse().Skip(1)) b.Toggle(row);
        Assert.True(BucketSummary.TryParse(a.Summary().Encode(), out var read));
        Assert.Equal([rows[^1].Key.Bucket()], read.Differing(b.Summary()));
        b.Toggle(rows[^1]);
        Assert.Empty(read.Differing(b.Summary()));
        // Superseded and current are not the same.
        b.Toggle(rows[0]);
        b.Toggle(rows[0] with { State = VersionState.Superseded });
        Assert.Equal([rows[0].Key.Bucket()], read.Differing(b.Summary()));
        Assert.False(BucketSummary.TryParse(new byte[BucketSummary.EncodedBytes - 1], out _));
    }

    [Fact]
    public void A_position_is_read_as_it_is_written()
    {
        var position = new ChangePosition(ReplicaName.Parse("node-a"), "0123456789abcdef", long.MaxValue);
        Assert.True(ChangePosition.TryParse(position.ToString(), out var read));
        Assert.Equal(position, read);
        foreach (var text in new[] { null, "", "a.b.c", "a.0123456789abcdef.-1", "a.0123456789abcdef.1.", "a.0123456789ABCDEF.1", "A.0123456789abcdef.1", "a.0123456789abcdef.9223372036854775808" })
        {
            Assert.False(ChangePosition.TryParse(text, out _));
        }
    }
}
