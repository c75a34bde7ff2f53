using Florete.Identities;
using Florete.Simulation;

namespace Florete.Layers.Tests;

public sealed class HostileDirectoryTests : IDisposable
{
    private static readonly TimeSpan Moment = TimeSpan.FromSeconds(2);
    private readonly DirectoryNetwork network = new(1);
    private readonly DirectoryVertex victim, bystander;
    private readonly List<byte[]> sent = [];
    private readonly DirectoryPeer enemy;
    private readonly X509Svid enemyVertex;

    public HostileDirectoryTests()
    {
        victim = network.Add("victim");
        bystander = network.Add("bystander");
        network.Connect(victim, bystander);
        network.Converges(Moment);
        enemyVertex = network.Issue(DirectoryNetwork.Id("enemy"));
        DirectoryPeer? peer = null;
        victim.Turn(() => peer = victim.Directory.AddPeer(enemyVertex.Id, m => sent.Add(m.ToArray())));
        enemy = peer!;
    }

    public void Dispose() => network.Dispose();

    [Fact]
    public void A_genuine_record_of_the_neighbour_is_taken_and_sent_on()
    {
        Offer(Vertex(enemyVertex), enemyVertex);
        Assert.Equal(3, bystander.Directory.Status().Vertices);
    }

    [Fact]
    public void A_forged_record_is_refused_counted_and_not_sent_on()
    {
        var record = Vertex(enemyVertex);
        record[^1] ^= 1;
        Offer(record, enemyVertex);
        AssertRefused(DirectoryRefusal.Signature);
    }

    [Fact]
    public void Who_sent_what_is_refused_is_among_the_events_once_for_each_way_however_many()
    {
        var (service, allowed, other) = (network.Issue(DirectoryNetwork.Id("s", IdentityKind.Service)), network.Issue(DirectoryNetwork.Id("t", IdentityKind.Service)), network.Issue(DirectoryNetwork.Id("other")));
        Offer(Vertex(enemyVertex), enemyVertex);
        network.Bounds.Forbid(enemyVertex.Id, service.Id);
        for (ulong i = 1; i <= 30; i++)
        {
            var (record, publication) = (Vertex(other, 1, i), RecordWriter.Sign("cluster", RecordKind.Service, 0, 1, i, allowed, enemyVertex.Id.ToString(), []));
            record[^1] ^= 1;
            publication[^1] ^= 1;
            Offer(record, other);
            Offer(publication, allowed);
            Offer(RecordWriter.Sign("cluster", RecordKind.Service, 0, 1, i, service, enemyVertex.Id.ToString(), []), service);
        }
        var events = victim.Events.After(0);
        Assert.Equal(3, events.Count);
        Told(SecurityEventKind.RefusedRecord, $"Signature: a record of {other.Id}");
        Told(SecurityEventKind.RefusedPublication, $"Signature: a record that {allowed.Id} is at {enemyVertex.Id}");
        Told(SecurityEventKind.RefusedPublication, $"Bounds: a record that {service.Id} is at {enemyVertex.Id}: ");
        Assert.All(events, static e => Assert.Equal("vertex/enemy", e.Peer));
        Assert.Empty(bystander.Events.After(0));

        void Told(SecurityEventKind kind, string reason) => Assert.Single(events, e => e.Kind == kind && e.Reason.StartsWith(reason, StringComparison.Ordinal));
    }

    [Fact]
    public void The_other_signature_that_ECDSA_allows_is_refused_since_its_signer_did_not_make_it()
    {
        // Many, since a random one has either form.
        for (ulong i = 1; i <= 10; i++)
        {
            var record = Vertex(enemyVertex, 1, i);
            SignatureForm.Negate(record.AsSpan(^64..));
            Offer(record, enemyVertex);
        }
        Assert.Equal(10, victim.Directory.Status().Refused[DirectoryRefusal.Signature]);
        AssertRefused(DirectoryRefusal.Signature);
        Offer(Vertex(enemyVertex, 1, 11), enemyVertex);
        Assert.Equal(3, bystander.Directory.Status().Vertices);
    }

    [Fact]
    public void Every_record_that_falls_with_its_chain_is_counted()
    {
        using var impostor = CertificateAuthority.Create("home", DirectoryNetwork.Start);
        var same = impostor.Issue(DirectoryNetwork.Id("same"), TimeSpan.FromHours(1), DirectoryNetwork.Start);
        for (ulong i = 1; i <= 5; i++) Send(SectionType.Record, [0x07, 0x08, .. Vertex(same, 1, i)]);
        network.Clock.Run(TimeSpan.FromMilliseconds(1));
        Answer(same);
        network.Clock.Run(Moment);
        Assert.Equal(5 + 1, victim.Directory.Status().Refused[DirectoryRefusal.Certificate]);
        AssertRefused(DirectoryRefusal.Certificate);
    }

    [Fact]
    public void Records_whose_proof_never_comes_are_counted()
    {
        var service = network.Issue(DirectoryNetwork.Id("s", IdentityKind.Service));
        for (ulong i = 1; i <= 5; i++) Send(SectionType.Record, [0x07, 0x08, .. Vertex(enemyVertex, 1, i)]);
        for (ulong i = 1; i <= 300; i++)
        {
            var record = RecordWriter.Sign("cluster", RecordKind.Service, 0, 1, i, service, DirectoryNetwork.Id("nobody").ToString(), []);
            Send(SectionType.Record, [0x07, 0x08, .. record]);
        }
        network.Clock.Run(TimeSpan.FromSeconds(30));
        var refused = victim.Directory.Status().Refused;
        Assert.Equal(5 + 256, refused[DirectoryRefusal.Unproved]);
        Assert.Equal(300 - 256, refused[DirectoryRefusal.PeerLimit]);
        AssertRefused(DirectoryRefusal.Unproved);
    }

    [Fact]
    public void A_message_that_is_longer_than_any_may_be_is_refused_whole()
    {
        // What it says is skipped: nothing in it but its length can be wrong.
        static byte[] Unknown(int length) => [1, 0x70, (byte)((length - 4) >> 8), (byte)(length - 4), .. new byte[length - 4]];
        victim.Turn(() => victim.Directory.Receive(enemy, Unknown(DirectoryLimits.MaxMessageBytes)));
        Assert.Empty(victim.Directory.Status().Refused);
        victim.Turn(() => victim.Directory.Receive(enemy, Unknown(DirectoryLimits.MaxMessageBytes + 1)));
        Assert.Equal(1, victim.Directory.Status().Refused[DirectoryRefusal.Malformed]);
    }

    [Fact]
    public void Every_flipped_bit_of_a_record_is_noticed()
    {
        var genuine = Vertex(enemyVertex);
        for (var bit = 0; bit < genuine.Length * 8; bit += 3)
        {
            var altered = genuine.ToArray();
            altered[bit / 8] ^= (byte)(1 << (bit % 8));
            Send(SectionType.Record, [0x07, 0x08, .. altered]);
            network.Clock.Run(TimeSpan.FromMilliseconds(200));
        }
        Answer(enemyVertex);
        network.Clock.Run(TimeSpan.FromSeconds(20));
        Assert.Equal(0, bystander.Directory.Status().Refused.Values.Sum());
        Assert.Equal(2, bystander.Directory.Status().Vertices);
        Assert.Equal(2, victim.Directory.Status().Vertices);
    }

    [Fact]
    public void A_record_for_another_layer_is_refused()
    {
        Offer(RecordWriter.Sign("other", RecordKind.Vertex, 0, 1, 1, enemyVertex, "", new VertexBody(0, []).Encode(100)), enemyVertex);
        AssertRefused(DirectoryRefusal.Signature);
    }

    [Fact]
    public void A_record_signed_with_anothers_certificate_is_refused()
    {
        var forged = RecordWriter.Sign("cluster", RecordKind.Vertex, 0, 1, 1, new X509Svid(DirectoryNetwork.Id("somebody"), enemyVertex.Leaf, []), "", new VertexBody(0, []).Encode(100));
        Offer(forged, enemyVertex);
        AssertRefused(DirectoryRefusal.WrongIdentity);
    }

    [Fact]
    public void A_foreign_cluster_and_an_unknown_authority_are_refused()
    {
        using var foreign = CertificateAuthority.Create("abroad", DirectoryNetwork.Start);
        var stranger = foreign.Issue(SpiffeId.Of("abroad", IdentityKind.Vertex, "stranger"), TimeSpan.FromHours(1), DirectoryNetwork.Start);
        Offer(Vertex(stranger), stranger);
        AssertRefused(DirectoryRefusal.ForeignCluster);
        using var impostor = CertificateAuthority.Create("home", DirectoryNetwork.Start);
        var same = impostor.Issue(DirectoryNetwork.Id("same"), TimeSpan.FromHours(1), DirectoryNetwork.Start);
        Offer(Vertex(same), same);
        AssertRefused(DirectoryRefusal.Certificate);
    }

    [Fact]
    public void Kinds_that_may_not_sign_and_critical_kinds_are_refused_and_kinds_to_come_are_flooded()
    {
        var service = network.Issue(DirectoryNetwork.Id("s", IdentityKind.Service));
        Offer(Vertex(service), service);
        AssertRefused(DirectoryRefusal.WrongKind);
        Offer(RecordWriter.Sign("cluster", (RecordKind)99, RecordFlags.Critical, 1, 1, enemyVertex, "x", []), enemyVertex);
        AssertRefused(DirectoryRefusal.CriticalKind);
        var records = bystander.Directory.Status().Records;
        for (var i = 0; i < 40; i++) Offer(RecordWriter.Sign("cluster", (RecordKind)99, 0, 1, 1, enemyVertex, $"doc{i}", [1, 2]), enemyVertex);
        Assert.Equal(records + 16, bystander.Directory.Status().Records);
        Assert.Contains(DirectoryRefusal.Quota, victim.Directory.Status().Refused);
    }

    [Fact]
    public void A_service_that_the_bounds_do_not_allow_there_is_refused()
    {
        var service = network.Issue(DirectoryNetwork.Id("s", IdentityKind.Service));
        network.Bounds.Forbid(enemyVertex.Id, service.Id);
        Offer(Vertex(enemyVertex), enemyVertex);
        Offer(RecordWriter.Sign("cluster", RecordKind.Service, 0, 1, 2, service, enemyVertex.Id.ToString(), []), service);
        Assert.Equal(1, victim.Directory.Status().Refused[DirectoryRefusal.Bounds]);
        Assert.Equal(0, bystander.Directory.Status().Refused.Values.Sum());
        Assert.Equal(3, bystander.Directory.Status().Records);
    }

    [Fact]
    public void What_a_node_issued_is_taken_as_far_as_the_bounds_let_that_node_hold_it_and_dropped_when_they_no_longer_do()
    {
        using var other = network.IssueNode("other");
        var service = other.Issue(DirectoryNetwork.Id("s", IdentityKind.Service), TimeSpan.FromHours(1), DirectoryNetwork.Start);
        Offer(Vertex(enemyVertex), enemyVertex);
        Offer(RecordWriter.Sign("cluster", RecordKind.Service, 0, 1, 2, service, enemyVertex.Id.ToString(), []), service);
        Assert.Equal(4, bystander.Directory.Status().Records);

        network.Bounds.Forbid(DirectoryNetwork.Id("other"), service.Id);
        network.Clock.Run(Moment);
        Assert.Equal(3, bystander.Directory.Status().Records);
        Offer(RecordWriter.Sign("cluster", RecordKind.Service, 0, 1, 3, service, enemyVertex.Id.ToString(), []), service);
        Assert.Equal(3, bystander.Directory.Status().Records);
        Assert.Equal(1, victim.Directory.Status().Refused[DirectoryRefusal.Bounds]);

        // Whatever the bounds: the vertex of another node. The certificate itself is refused.
        var thief = Forgery.Leaf(other, DirectoryNetwork.Id("third"));
        Offer(Vertex(thief), thief);
        Assert.True(victim.Directory.Status().Refused[DirectoryRefusal.Certificate] > 0);
        Assert.Equal(3, bystander.Directory.Status().Records);
    }

    [Fact]
    public void A_replayed_older_record_changes_nothing_and_is_answered_with_the_newer()
    {
        var old = Vertex(enemyVertex, 1, 1);
        Offer(old, enemyVertex);
        Offer(Vertex(enemyVertex, 1, 2), enemyVertex);
        var accepted = victim.Directory.Status().Accepted;
        sent.Clear();
        Offer(old, enemyVertex);
        Assert.Equal(accepted, victim.Directory.Status().Accepted);
        Assert.Equal(1, victim.Directory.Status().Refused[DirectoryRefusal.Stale]);
        Assert.Contains(sent, m => Sections(m).Any(s => s.Type == SectionType.Record && RecordView.TryParse(s.Content.AsSpan(2), out var v) && v.Sequence == 2));
    }

    [Fact]
    public void Announcing_too_much_ends_at_the_quota()
    {
        Offer(Vertex(enemyVertex), enemyVertex);
        for (var i = 0; i < 530; i++)
        {
            var service = network.Issue(DirectoryNetwork.Id($"s{i}", IdentityKind.Service));
            Offer(RecordWriter.Sign("cluster", RecordKind.Service, 0, 1, 2, service, enemyVertex.Id.ToString(), []), service, TimeSpan.FromMilliseconds(50));
        }
        network.Clock.Run(Moment);
        Assert.Equal(512, victim.Directory.Status().Records - 3);
        Assert.Contains(DirectoryRefusal.Quota, victim.Directory.Status().Refused);
        Assert.Equal(0, bystander.Directory.Status().Refused.Values.Sum());
    }

    [Fact]
    public void Changing_too_often_is_slowed_down()
    {
        for (var i = 1; i < 3000; i++) Offer(Vertex(enemyVertex, 1, (ulong)i), enemyVertex, TimeSpan.FromMilliseconds(1));
        var accepted = victim.Directory.Status().Accepted;
        Assert.InRange(accepted, 900, 1200);
        Assert.Contains(DirectoryRefusal.Rate, victim.Directory.Status().Refused);
    }

    [Fact]
    public void Failing_records_stop_being_checked_after_a_hundred()
    {
        Offer(Vertex(enemyVertex), enemyVertex);
        // Many in one turn, so that they are queued before the first is checked.
        for (var i = 2; i < 2000; i += 300)
        {
            var messages = Enumerable.Range(i, 300).Select(sequence =>
            {
                var forged = Vertex(enemyVertex, 1, (ulong)sequence);
                forged[^1] ^= 1;
                return Message(SectionType.Record, [0x07, 0x08, .. forged]);
            }).ToArray();
            victim.Turn(() => Array.ForEach(messages, message => victim.Directory.Receive(enemy, message)));
            network.Clock.Run(TimeSpan.FromMilliseconds(10));
        }
        network.Clock.Run(Moment);
        var refused = victim.Directory.Status().Refused;
        // 100 at once and 20/s, however many came together.
        Assert.InRange(refused[DirectoryRefusal.Signature], 100, 160);
        Assert.True(refused[DirectoryRefusal.PeerLimit] > 1000);
        Assert.Equal(0, bystander.Directory.Status().Refused.Values.Sum());
    }

    [Fact]
    public void Random_and_mangled_messages_neither_throw_nor_change_anything()
    {
        var random = new Random(3);
        var genuine = sent.ToArray();
        Assert.NotEmpty(genuine);
        for (var i = 0; i < 20_000; i++)
        {
            byte[] message;
            if (i % 2 == 0)
            {
                message = new byte[random.Next(1300)];
                random.NextBytes(message);
                if (message.Length > 4) (message[0], message[1], message[2]) = (1, (byte)random.Next(10), (byte)random.Next(2));
            }
            else
            {
                message = genuine[random.Next(genuine.Length)].ToArray();
                message[random.Next(message.Length)] ^= (byte)(1 << random.Next(8));
                message = message[..random.Next(1, message.Length + 1)];
            }
            victim.Loop.Post(() => victim.Directory.Receive(enemy, message));
            if (i % 100 == 0) network.Clock.Run(TimeSpan.FromMilliseconds(1));
        }
        network.Clock.Run(TimeSpan.FromMinutes(1));
        Assert.Equal(2, victim.Directory.Status().Records);
        Assert.True(network.AreInStep());
    }

    [Fact]
    public void A_large_record_and_a_long_chain_travel_in_fragments()
    {
        var adjacencies = Enumerable.Range(0, 90).Select(i => new TopologyAdjacency(DirectoryNetwork.Id($"neighbour-{i}"), new Label(16 + (uint)i), 1, 0, 0)).ToArray();
        network.Loss = 0.3;
        victim.Turn(() => victim.Directory.SetAdjacencies(adjacencies));
        Assert.True(network.Converges(TimeSpan.FromMinutes(1)));
    }

    private static byte[] Vertex(X509Svid signer, ulong incarnation = 1, ulong sequence = 1) =>
        RecordWriter.Sign("cluster", RecordKind.Vertex, 0, incarnation, sequence, signer, "", new VertexBody(0, []).Encode(100));

    private static List<(SectionType Type, byte[] Content)> Sections(byte[] message)
    {
        var list = new List<(SectionType, byte[])>();
        if (!SectionReader.TryOpen(message, out var reader)) return list;
        while (reader.Next()) list.Add((reader.Type, reader.Content.ToArray()));
        return list;
    }

    private void Offer(byte[] record, X509Svid signer, TimeSpan? wait = null)
    {
        Send(SectionType.Record, [0x07, 0x08, .. record]);
        network.Clock.Run(TimeSpan.FromMilliseconds(1));
        Answer(signer);
        network.Clock.Run(wait ?? Moment);
    }

    private void Answer(X509Svid signer)
    {
        var chain = EncodedChain.Encode(signer);
        if (sent.SelectMany(Sections).Any(s => s.Type == SectionType.CertificateRequest)) Send(SectionType.Certificate, chain);
        sent.RemoveAll(m => Sections(m).Any(s => s.Type == SectionType.CertificateRequest));
    }

    private static byte[] Message(SectionType type, byte[] content) => [1, (byte)type, (byte)(content.Length >> 8), (byte)content.Length, .. content];

    private void Send(SectionType type, byte[] content)
    {
        var message = Message(type, content);
        victim.Turn(() => victim.Directory.Receive(enemy, message));
    }

    private void AssertRefused(DirectoryRefusal reason)
    {
        Assert.Contains(reason, victim.Directory.Status().Refused);
        Assert.Equal(2, bystander.Directory.Status().Vertices);
        Assert.Equal(0, bystander.Directory.Status().Refused.Values.Sum());
    }
}
