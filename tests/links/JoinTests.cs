using System.Text;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Links.Tests;

/// <summary><c>florete-join/1</c>: strangers on the port of the links.</summary>
public class JoinTests
{
    private static readonly JoinContact ToB = new("b", "10.0.0.2:7000");

    [Fact]
    public void A_stranger_with_a_token_gets_the_answer_of_the_relay_after_the_server_is_proved()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        var relay = new Relay(meeting) { Answer = Encoding.ASCII.GetBytes(new string('x', 300_000)) };
        LetJoin(meeting, b, relay);
        var reply = meeting.Wait(Ask(meeting, ToB, Token(meeting)));
        Assert.Equal(Meeting.Id("b"), reply.Server);
        Assert.Equal(meeting.Authority.ClusterIdentity, reply.Bundle.ClusterIdentity);
        Assert.Equal(relay.Answer.ToArray(), reply.Answer);
        Assert.Equal("the request", Assert.Single(relay.Requests));
        Assert.Equal(1, b.Portal.Joins.Answered);
        // The same where the token does not say who is there.
        Assert.Equal(Meeting.Id("b"), meeting.Wait(Ask(meeting, new JoinContact(null, "10.0.0.2:7000"), Token(meeting), "10.0.0.8:1")).Server);
        Assert.Equal(0, b.Portal.LinkCount);
    }

    [Fact]
    public void What_the_relay_refuses_is_told_and_counted()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        LetJoin(meeting, b, new Relay(meeting) { Refusal = new JoinException(JoinRefusal.Used, "another machine has it") });
        var refused = Assert.Throws<JoinException>(() => meeting.Wait(Ask(meeting, ToB, Token(meeting))));
        Assert.Equal((JoinRefusal.Used, "another machine has it"), (refused.Code, refused.Message));
        Assert.Equal(1, b.Portal.Joins.Refused);
    }

    [Fact]
    public void Nobody_joins_where_the_configuration_does_not_say_so()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        var refused = Assert.Throws<JoinException>(() => meeting.Wait(Ask(meeting, ToB, Token(meeting)), 40));
        Assert.Equal(JoinRefusal.Unreachable, refused.Code);
        var relay = new Relay(meeting);
        LetJoin(meeting, b, relay);
        meeting.Wait(Ask(meeting, ToB, Token(meeting), "10.0.0.8:1"));
        LetJoin(meeting, b, null);
        Assert.Throws<JoinException>(() => meeting.Wait(Ask(meeting, ToB, Token(meeting), "10.0.0.7:1"), 40));
        Assert.Single(relay.Requests);
    }

    [Fact]
    public void The_token_is_not_shown_to_another_cluster_another_vertex_or_a_liar()
    {
        using var meeting = new Meeting();
        using var foreign = CertificateAuthority.Create("home", meeting.Clock.WallClock.GetUtcNow());
        var stranger = meeting.Join("b", "10.0.0.2:7000", authority: foreign);
        var spy = new Relay(meeting, foreign);
        LetJoin(meeting, stranger, spy);
        var other = Assert.Throws<JoinException>(() => meeting.Wait(Ask(meeting, ToB, Token(meeting))));
        Assert.Equal(JoinRefusal.WrongCluster, other.Code);
        Assert.Contains("is of cluster", other.Message, StringComparison.Ordinal);
        // It has our bundle, which is no secret, but no certificate of ours.
        LetJoin(meeting, stranger, spy = new Relay(meeting));
        Assert.Contains("not proved", Assert.Throws<JoinException>(() => meeting.Wait(Ask(meeting, ToB, Token(meeting), "10.0.0.8:1"))).Message, StringComparison.Ordinal);
        // One of ours, but another.
        var c = meeting.Join("c", "10.0.0.3:7000");
        var relay = new Relay(meeting);
        LetJoin(meeting, c, relay);
        Assert.Throws<JoinException>(() => meeting.Wait(Ask(meeting, new JoinContact("b", "10.0.0.3:7000"), Token(meeting), "10.0.0.7:1")));
        Assert.Empty(spy.Requests.Concat(relay.Requests));
    }

    [Fact]
    public void A_vertex_that_shows_no_certificate_forms_no_link()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        LetJoin(meeting, b, new Relay(meeting));
        var (client, _) = Stranger(meeting, "10.0.0.8:1", sendHello: false, alpn: "florete-link/1");
        meeting.Clock.Run(TimeSpan.FromSeconds(10));
        Assert.False(client.IsOpen);
        Assert.Equal(0, b.Portal.LinkCount);
    }

    [Fact]
    public void Slow_silent_and_garbled_joins_end_and_are_counted()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        LetJoin(meeting, b, new Relay(meeting));
        // Says nothing: five seconds.
        var (silent, _) = Stranger(meeting, "10.0.0.11:1", sendHello: false);
        // Greets, and says nothing more.
        var (half, _) = Stranger(meeting, "10.0.0.12:1", sendHello: true);
        meeting.Clock.Run(TimeSpan.FromSeconds(4));
        Assert.True(silent.IsOpen && half.IsOpen);
        meeting.Clock.Run(TimeSpan.FromSeconds(3));
        Assert.False(silent.IsOpen || half.IsOpen);
        Assert.Equal(2, b.Portal.Joins.TimedOut);

        // More than a request may have.
        var (large, _) = Stranger(meeting, "10.0.0.13:1", sendHello: true);
        meeting.Clock.Run(TimeSpan.FromMilliseconds(500));
        for (var i = 0; i < 12; i++) large.Send((ControlMessageType)JoinMessageType.Request, [1, .. new byte[1000]]);
        meeting.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.False(large.IsOpen);
        Assert.Equal(1, b.Portal.Joins.Broken);

        var random = new Random(3);
        for (var i = 0; i < 20; i++)
        {
            var (garbled, _) = Stranger(meeting, $"10.0.1.{i + 1}:1", sendHello: i % 2 == 0);
            meeting.Clock.Run(TimeSpan.FromMilliseconds(500));
            var bytes = new byte[random.Next(1, 900)];
            random.NextBytes(bytes);
            garbled.Send((ControlMessageType)random.Next(0, 127), bytes);
            meeting.Clock.Run(TimeSpan.FromSeconds(6));
            Assert.False(garbled.IsOpen);
        }
        Assert.Equal(23, b.Portal.Joins.Broken + b.Portal.Joins.TimedOut + b.Portal.Joins.Refused);
        // The port is as it was.
        meeting.Wait(Ask(meeting, ToB, Token(meeting), "10.0.0.9:1"));
    }

    [Fact]
    public void Many_joins_at_once_and_one_after_another_meet_limits()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        LetJoin(meeting, b, new Relay(meeting));
        var strangers = new List<ControlChannel>();
        for (var i = 0; i < 20; i++) strangers.Add(Stranger(meeting, $"10.0.2.{i + 1}:1", sendHello: false).Channel);
        // Two of one address.
        for (var i = 0; i < 4; i++) strangers.Add(Stranger(meeting, $"10.0.3.1:{i + 1}", sendHello: false).Channel);
        meeting.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(8, strangers.Count(static s => s.IsOpen));
        Assert.Equal(16, b.Portal.Joins.Busy);
        meeting.Clock.Run(TimeSpan.FromSeconds(10));
        Assert.Equal(8, b.Portal.Joins.TimedOut);
        // Ten a minute from one address.
        var busy = 0;
        for (var i = 0; i < 12; i++)
        {
            try
            {
                meeting.Wait(Ask(meeting, ToB, Token(meeting), $"10.0.4.1:{i + 1}"));
            }
            catch (JoinException e) when (e.Code == JoinRefusal.Busy)
            {
                busy++;
            }
        }
        Assert.Equal(2, busy);
        meeting.Clock.Run(TimeSpan.FromMinutes(1));
        meeting.Wait(Ask(meeting, ToB, Token(meeting), "10.0.4.1:20"));
    }

    private static void LetJoin(Meeting meeting, Member member, IJoinRelay? relay)
    {
        async Task<bool> Done()
        {
            await member.Portal.LetJoinAsync(relay);
            return true;
        }
        meeting.Wait(Done());
    }

    private static Task<JoinReply> Ask(Meeting meeting, JoinContact contact, JoinToken token, string from = "10.0.0.9:1")
    {
        var loop = new VirtualLoop(meeting.Clock);
        return JoinDialer.AskAsync(
            loop, meeting.Network.Open(loop, from), UdpAddress.Of(System.Net.IPEndPoint.Parse(contact.Address)), contact, token, "the request"u8.ToArray());
    }

    private static JoinToken Token(Meeting meeting)
    {
        var now = meeting.Clock.WallClock.GetUtcNow();
        var signer = meeting.Authority.Issue(SpiffeId.Of("home", IdentityKind.Operator, "root"), TimeSpan.FromHours(1), now);
        return JoinToken.Create(meeting.Authority.ClusterIdentity, "a", "d", [ToB], now.AddHours(1), signer);
    }

    /// <summary>A joiner that keeps to no order.</summary>
    private static (ControlChannel Channel, List<byte> Received) Stranger(Meeting meeting, string from, bool sendHello, string alpn = JoinProtocol.Alpn)
    {
        var loop = new VirtualLoop(meeting.Clock);
        var socket = meeting.Network.Open(loop, from);
        var quic = new QuicPort(new LinkPort(loop, new PacketPool(), socket), new UdpLinkOptions()) { Accept = static (_, _, _) => null };
        socket.Start(new Receiver(quic));
        var channel = new ControlChannel(quic, null, UdpAddress.Of(System.Net.IPEndPoint.Parse("10.0.0.2:7000")));
        var user = new User(sendHello);
        channel.User = user;
        loop.Post(() => channel.Dial(
            JoinProtocol.ClientOptions with { Alpn = alpn, MaxPeerStreams = 1 }, Quic.QuicCredentials.CreateAnonymous(), MeshName.ToSni(Meeting.Id("b")), static _ => null));
        meeting.Clock.Run(TimeSpan.FromMilliseconds(1));
        return (channel, user.Received);
    }

    private sealed class Receiver(QuicPort quic) : IDatagramReceiver
    {
        public void OnDatagrams(UdpAddress from, ReadOnlySpan<byte> datagrams, int datagramBytes)
        {
            for (; !datagrams.IsEmpty; datagrams = datagrams[Math.Min(datagramBytes, datagrams.Length)..]) quic.OnPacket(from, datagrams[..Math.Min(datagramBytes, datagrams.Length)]);
        }

        public void OnWritable()
        {
        }

        public void OnMediumChanged()
        {
        }
    }

    private sealed class User(bool sendHello) : IControlUser
    {
        public List<byte> Received { get; } = [];

        public void OnConfirmed(ControlChannel channel)
        {
            if (sendHello) channel.Send((ControlMessageType)JoinMessageType.Hello, [0, 1]);
        }

        public bool OnMessage(ControlChannel channel, ControlMessageType type, ReadOnlySpan<byte> body)
        {
            Received.Add((byte)type);
            return true;
        }

        public void OnClosed(ControlChannel channel, Quic.QuicClose close)
        {
        }
    }

    private sealed class Relay(Meeting meeting, CertificateAuthority? authority = null) : IJoinRelay
    {
        public ReadOnlyMemory<byte> Bundle => Encoding.ASCII.GetBytes((authority ?? meeting.Authority).Root.ExportCertificatePem());

        public ReadOnlyMemory<byte> Answer { get; init; } = "the answer"u8.ToArray();

        public JoinException? Refusal { get; init; }

        public List<string> Requests { get; } = [];

        public Task<ReadOnlyMemory<byte>> RelayAsync(ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
        {
            Requests.Add(Encoding.ASCII.GetString(request.Span));
            return Refusal is null ? Task.FromResult(Answer) : Task.FromException<ReadOnlyMemory<byte>>(Refusal);
        }
    }
}
