using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Florete.Identities;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Links;

/// <summary>What a neighbour gave a joining node. Both are proved as far as the token goes; the answer's content is for the caller to verify.</summary>
/// <param name="Server">The vertex that answered.</param>
/// <param name="Bundle">Its first root has the hash in the token.</param>
/// <param name="Answer">docs/protocols/join.md "Answer".</param>
public sealed record JoinReply(SpiffeId Server, TrustBundle Bundle, byte[] Answer);

/// <summary>The joining side of <c>florete-join/1</c>: asks one neighbour. Nothing secret is sent before the neighbour is proved.</summary>
public static class JoinDialer
{
    /// <param name="loop">Of the socket.</param>
    /// <param name="socket">Owned from now on.</param>
    /// <param name="to">The neighbour.</param>
    /// <param name="contact">Whom the token promises there.</param>
    /// <param name="token">What is redeemed.</param>
    /// <param name="request">docs/protocols/join.md "Request"; holds the token.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="JoinException">Nobody answered, the neighbour is not proved, or it refused; the message says which.</exception>
    public static Task<JoinReply> AskAsync(
        EventLoop loop, IDatagramSocket socket, UdpAddress to, JoinContact contact, JoinToken token, ReadOnlyMemory<byte> request,
        CancellationToken cancellationToken = default) => loop.RunAsync(async () =>
        {
            using var credentials = QuicCredentials.CreateAnonymous();
            var link = new LinkPort(loop, new PacketPool(), socket);
            var quic = new QuicPort(link, new UdpLinkOptions()) { Accept = static (_, _, _) => null };
            try
            {
                socket.Start(new Receiver(link, quic));
                var channel = new ControlChannel(quic, null, to);
                var session = new Session(loop, contact, token, request, cancellationToken);
                channel.User = session;
                var vertex = contact.Vertex is { } name ? SpiffeId.Of(token.Cluster.Name, IdentityKind.Vertex, name) : null;
                channel.Dial(
                    JoinProtocol.ClientOptions, credentials, vertex is null ? JoinProtocol.AnyVertexOf(token.Cluster.Name) : MeshName.ToSni(vertex),
                    chain =>
                    {
                        // The roots come in the first message; until it is judged by them, nothing is said to this server.
                        session.Chain = chain;
                        return null;
                    });
                try
                {
                    return await session.Reply;
                }
                finally
                {
                    channel.User = null;
                    channel.Close(GoodbyeReason.Orderly, "");
                    // One more turn, so that the goodbye leaves.
                    await Task.Yield();
                }
            }
            finally
            {
                quic.Close();
                socket.Dispose();
            }
        });

    private sealed class Receiver(LinkPort link, QuicPort quic) : IDatagramReceiver
    {
        public void OnDatagrams(UdpAddress from, ReadOnlySpan<byte> datagrams, int datagramBytes)
        {
            while (!datagrams.IsEmpty)
            {
                var bytes = Math.Min(datagramBytes, datagrams.Length);
                if (SegmentHeader.IsQuic(datagrams[0])) quic.OnPacket(from, datagrams[..bytes]);
                datagrams = datagrams[bytes..];
            }
        }

        public void OnWritable() => link.OnWritable();

        public void OnMediumChanged()
        {
        }
    }

    private sealed class Session : IControlUser
    {
        private readonly EventLoop loop;
        private readonly JoinContact contact;
        private readonly JoinToken token;
        private readonly ReadOnlyMemory<byte> request;
        private readonly LoopPromise<JoinReply> reply;
        private readonly JoinDocument bundleText = new(JoinProtocol.MaxBundleBytes);
        private readonly JoinDocument answer = new(JoinProtocol.MaxAnswerBytes);
        private SpiffeId? server;
        private TrustBundle? bundle;
        private JoinSending? sending;

        public Session(EventLoop loop, JoinContact contact, JoinToken token, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
        {
            (this.loop, this.contact, this.token, this.request) = (loop, contact, token, request);
            reply = new LoopPromise<JoinReply>(loop).Within(
                loop.Now + JoinProtocol.WholeTime,
                () => new JoinException(JoinRefusal.Unreachable, $"{contact.Address} did not answer in {JoinProtocol.WholeTime.TotalSeconds:0} s."), cancellationToken);
        }

        public Task<JoinReply> Reply => reply.Task;

        public IReadOnlyList<byte[]> Chain { get; set; } = [];

        public void OnConfirmed(ControlChannel channel)
        {
            Span<byte> version = stackalloc byte[2];
            BinaryPrimitives.WriteUInt16BigEndian(version, JoinProtocol.Version);
            channel.Send((ControlMessageType)JoinMessageType.Hello, version);
        }

        public bool OnMessage(ControlChannel channel, ControlMessageType type, ReadOnlySpan<byte> body)
        {
            switch ((JoinMessageType)type)
            {
                case JoinMessageType.Bundle when bundle is null && bundleText.Add(body):
                    if (bundleText.IsWhole && Judge() is { } flaw) Fail(JoinRefusal.WrongCluster, flaw);
                    else if (bundleText.IsWhole) (sending = new JoinSending(JoinMessageType.Request, request)).Pump(channel);
                    return true;
                case JoinMessageType.Answer when bundle is not null && answer.Add(body):
                    if (answer.IsWhole) reply.Set(new JoinReply(server!, bundle, answer.Content.ToArray()));
                    return true;
                case JoinMessageType.Refused when !body.IsEmpty:
                    Fail(Enum.IsDefined((JoinRefusal)body[0]) ? (JoinRefusal)body[0] : JoinRefusal.Failed, JoinProtocol.Sentence(body[1..]));
                    return true;
                default:
                    Fail(JoinRefusal.Failed, $"{contact.Address} answers with what is not expected; use the same version of Florete on both.");
                    return false;
            }
        }

        public void OnRoom(ControlChannel channel) => sending?.Pump(channel);

        public void OnClosed(ControlChannel channel, QuicClose close)
        {
            var isBusy = close is { IsApplication: true, IsRemote: true, Code: (ulong)GoodbyeReason.Limit };
            // RFC 9001 §4.8: 0x100 + alert; 120 is no_application_protocol, 112 unrecognized_name.
            Fail(isBusy ? JoinRefusal.Busy : JoinRefusal.Unreachable, close switch
            {
                _ when isBusy => $"{contact.Address} is too busy: {JoinProtocol.Sentence(Encoding.UTF8.GetBytes(close.Reason))}",
                { IsRemote: true, Code: 0x100 + 120 } => $"{contact.Address} lets nobody join; write join: true under links.udp in its flor.yaml.",
                { IsRemote: true, Code: 0x100 + 112 } => $"{contact.Address} is not the {(contact.Vertex is null ? "cluster" : $"vertex {contact.Vertex}")} that the token names.",
                _ => $"{contact.Address} does not answer: {JoinProtocol.Sentence(Encoding.UTF8.GetBytes(close.Reason))}",
            });
        }

        // What is wrong with who answers; null: it is a vertex of the token's cluster.
        private string? Judge()
        {
            try
            {
                var offered = TrustBundle.Parse(Encoding.UTF8.GetString(bundleText.Content.Span), "its bundle");
                if (offered.ClusterIdentity != token.Cluster)
                {
                    return $"{contact.Address} is of cluster {offered.ClusterIdentity}, and the token is for {token.Cluster}; correct the address in a new token.";
                }
                var proof = new PeerVerifier(offered).Verify(Chain, loop.WallClock.GetUtcNow());
                if (proof.Id is null) return $"{contact.Address} is not proved to belong to {token.Cluster}. {proof.Refusal}";
                if (proof.Id.Kind != IdentityKind.Vertex || (contact.Vertex is { } name && proof.Id.Name != name))
                {
                    return $"{contact.Address} proved to be {proof.Id.Path} where the token expects vertex/{contact.Vertex ?? "…"}.";
                }
                (server, bundle) = (proof.Id, offered);
                return null;
            }
            catch (Exception e) when (e is IdentityException or CryptographicException)
            {
                return $"{contact.Address} sends no trust bundle: {e.Message}";
            }
        }

        private void Fail(JoinRefusal code, string message) => reply.Fail(new JoinException(code, message));
    }
}
