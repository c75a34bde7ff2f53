using Florete.Identities;
using FsCheck.Fluent;

namespace Florete.Layers.Tests;

public class DirectoryCodecTests
{
    private static readonly Random Seeded = new(1);

    [Fact]
    public void Vertex_bodies_survive_the_wire()
    {
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<ushort, (ushort Name, ushort Label, uint Metric, uint Loss, ulong Capacity)[]>((index, raw) =>
        {
            var adjacencies = raw.Take(96).Select(a => new TopologyAdjacency(
                DirectoryNetwork.Id($"v{a.Name}"), new Label(16 + (a.Label % 4000u)), Math.Max(1, a.Metric), a.Loss, a.Capacity)).ToArray();
            var encoded = new VertexBody(index, adjacencies).Encode(4000);
            return VertexBody.TryDecode(encoded, "home", out var decoded) && decoded!.SegmentIndex == index && decoded.Adjacencies.SequenceEqual(adjacencies);
        }));
    }

    [Fact]
    public void Records_survive_the_wire_and_their_order_is_total()
    {
        using var network = new DirectoryNetwork(1);
        var signer = network.Issue(DirectoryNetwork.Id("s", IdentityKind.Service));
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<ulong, ulong, byte[]>((incarnation, sequence, body) =>
        {
            body = body[..Math.Min(body.Length, 3000)];
            var bytes = RecordWriter.Sign("cluster", (RecordKind)77, RecordFlags.Withdrawn, incarnation, sequence, signer, "subject", body);
            return RecordView.TryParse(bytes, out var view) && view.Incarnation == incarnation && view.Sequence == sequence
                && view.Body.SequenceEqual(body) && view.Kind == (RecordKind)77 && view.Flags == RecordFlags.Withdrawn
                && System.Text.Encoding.ASCII.GetString(view.Signer) == signer.Id.ToString() && System.Text.Encoding.ASCII.GetString(view.Subject) == "subject";
        }));
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<(byte, byte, byte), (byte, byte, byte), (byte, byte, byte)>((x, y, z) =>
        {
            var (a, b, c) = (Version(x), Version(y), Version(z));
            return Max(a, b) == Max(b, a) && Max(Max(a, b), c) == Max(a, Max(b, c)) && Max(a, a) == a && (a < b) == (b > a);
        }));
        static RecordVersion Version((byte I, byte S, byte H) v) => new(v.I % 3u, v.S % 3u, v.H % 3u);
        static RecordVersion Max(RecordVersion a, RecordVersion b) => a >= b ? a : b;
    }

    [Fact]
    public void Chains_and_digest_entries_survive_the_wire()
    {
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<byte[], byte[]>((a, b) =>
        {
            byte[][] chain = [[1, .. a], [2, .. b]];
            return EncodedChain.TryDecode(EncodedChain.Encode(chain), out var decoded)
                && decoded.Length == 2 && decoded[0].AsSpan().SequenceEqual(chain[0]) && decoded[1].AsSpan().SequenceEqual(chain[1]);
        }));
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<ulong, ulong, ulong>((key, incarnation, sequence) =>
        {
            var entry = new DigestEntry(key, new RecordVersion(incarnation, sequence, ~key));
            var bytes = new byte[DigestEntry.Bytes];
            entry.Write(bytes);
            return DigestEntry.Read(bytes) == entry;
        }));
    }

    [Fact]
    public void Fragments_come_together_in_any_order_with_repetition()
    {
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<int, ushort>((seed, size) =>
        {
            var random = new Random(seed);
            var whole = new byte[1100 + (size % 3000)];
            random.NextBytes(whole);
            var messages = new List<byte[]>();
            var writer = new MessageWriter(1100, m => messages.Add(m.ToArray()));
            writer.Object(Fragment.OfRecord, 99, 0xABCDEF, whole);
            writer.Flush();
            var shuffled = messages.Concat(messages).OrderBy(_ => random.Next()).ToArray();
            var reassembly = new Reassembly();
            var complete = 0;
            foreach (var message in shuffled)
            {
                if (message.Length > 1100 || !SectionReader.TryOpen(message, out var sections)) return false;
                while (sections.Next())
                {
                    if (!Fragment.TryParse(sections.Content, out var fragment)) return false;
                    if (!reassembly.TryAdd(fragment, out var result, out var age)) continue;
                    if (!result.SequenceEqual(whole) || age != 99) return false;
                    complete++;
                }
            }
            return complete is 1 or 2;
        }));
    }

    [Fact]
    public void Parsers_take_any_bytes_without_throwing()
    {
        for (var i = 0; i < 100_000; i++)
        {
            var bytes = new byte[Seeded.Next(400)];
            Seeded.NextBytes(bytes);
            if (i % 2 == 0 && bytes.Length > 60) bytes.AsSpan(50, 10).Clear();
            // Random bytes have no valid name of a vertex after a plausible count, nor exact lengths; short inputs may pass by chance.
            Assert.False(RecordView.TryParse(bytes, out _) && bytes.Length < 118);
            Assert.False(VertexBody.TryDecode(bytes, "home", out var body) && body!.Adjacencies.Count > 1);
            Assert.False(EncodedChain.TryDecode(bytes, out var chain) && chain.Length > 4);
            Assert.False(Fragment.TryParse(bytes, out var fragment) && fragment.TotalBytes > 5000);
        }
    }

    [Fact]
    public void No_truncation_of_a_record_body_or_chain_parses()
    {
        using var network = new DirectoryNetwork(1);
        var signer = network.Issue(DirectoryNetwork.Id("s"));
        var record = RecordWriter.Sign("cluster", RecordKind.Vertex, 0, 1, 1, signer, "", [1, 2, 3]);
        for (var i = 0; i < record.Length; i++) Assert.False(RecordView.TryParse(record.AsSpan(0, i), out _));
        var body = new VertexBody(1, [new TopologyAdjacency(signer.Id, new Label(16), 1, 2, 3), new TopologyAdjacency(signer.Id, new Label(17), 1, 2, 3)]).Encode(1000);
        for (var i = 0; i < body.Length; i++) Assert.False(VertexBody.TryDecode(body.AsSpan(0, i), "home", out _));
        var chain = EncodedChain.Encode(signer);
        for (var i = 0; i < chain.Length; i++) Assert.False(EncodedChain.TryDecode(chain.AsSpan(0, i), out _));
    }

    [Fact]
    public void Any_order_of_claims_ends_in_unique_labels_and_the_same_winners()
    {
        // Every vertex claims the same few labels: index 0 of all is made to collide by trying many names for few labels.
        var names = Enumerable.Range(0, 200_000).Select(i => DirectoryNetwork.Id($"v{i}"))
            .GroupBy(id => new SegmentClaim(id, 0).Label).Where(g => g.Count() > 1).Take(40).SelectMany(g => g).ToArray();
        Assert.True(names.Length > 60);
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<int>(seed =>
        {
            var random = new Random(seed);
            var views = Enumerable.Range(0, 3).Select(_ => new SegmentClaims()).ToArray();
            foreach (var view in views)
            {
                foreach (var name in names.OrderBy(_ => random.Next())) view.Set(new SegmentClaim(name, 0));
            }
            var index = names.ToDictionary(n => n, _ => (ushort)0);
            for (var round = 0; round < 100; round++)
            {
                var losers = names.Where(n => views[0].Holds(n) is null).OrderBy(_ => random.Next()).ToArray();
                if (losers.Length == 0) break;
                foreach (var loser in losers)
                {
                    index[loser] = views[0].NextFree(loser, (ushort)(index[loser] + 1));
                    foreach (var view in views) view.Set(new SegmentClaim(loser, index[loser]));
                }
            }
            var labels = names.Select(n => views[0].Holds(n)).ToArray();
            return labels.All(l => l is not null && Label.Nodes.Contains(l.Value)) && labels.Distinct().Count() == names.Length
                && views.All(v => names.Select(v.Holds).SequenceEqual(labels));
        }));
    }
}
