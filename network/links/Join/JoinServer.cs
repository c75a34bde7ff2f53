using System.Buffers.Binary;
using Florete.Identities;
using Florete.Quic;
using Florete.Runtime;

namespace Florete.Links;

/// <summary>Who carries the request of a joining node to the issuer. Called in a turn of the loop; must not block it.</summary>
public interface IJoinRelay
{
    /// <summary>The trust bundle, PEM.</summary>
    ReadOnlyMemory<byte> Bundle { get; }

    /// <summary>The issuer's answer (docs/protocols/join.md "Answer").</summary>
    /// <exception cref="JoinException">It is refused; joiner and log get the reason.</exception>
    Task<ReadOnlyMemory<byte>> RelayAsync(ReadOnlyMemory<byte> request, CancellationToken cancellationToken);
}

/// <summary>How joins ended. Plain fields of one loop; read elsewhere they may be a moment old.</summary>
public sealed class JoinCounters
{
    public long Answered { get; internal set; }

    public long Refused { get; internal set; }

    /// <summary>Beyond a limit.</summary>
    public long Busy { get; internal set; }

    public long TimedOut { get; internal set; }

    /// <summary>Went away, or broke the protocol.</summary>
    public long Broken { get; internal set; }
}

/// <summary>
/// Joins through one UDP port: strangers who have a token, and may have none. Everything about them is small and has an end
/// (docs/protocols/join.md "Limits"). Loop-affine.
/// </summary>
internal sealed class JoinServer
{
    // A cluster grows by a few nodes; the rest are guesses.
    private const int MaxAtOnce = 8, MaxAtOnceOfHost = 2, MaxPerMinute = 60, MaxPerMinuteOfHost = 10;
    private static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    private readonly EventLoop loop;
    private readonly IJoinRelay relay;
    private readonly Action<string> note;
    private readonly JoinCounters counters;
    private readonly List<JoinSession> sessions = [];
    private readonly Queue<(Instant At, UdpAddress Host)> lately = [];

    public JoinServer(EventLoop loop, IJoinRelay relay, Action<string> note, JoinCounters counters) =>
        (this.loop, this.relay, this.note, this.counters) = (loop, relay, note, counters);

    /// <summary>A stranger's handshake is done.</summary>
    public void Begin(ControlChannel channel)
    {
        var host = channel.To with { Port = 0 };
        while (lately.TryPeek(out var oldest) && loop.Now - oldest.At > Window) lately.Dequeue();
        if (sessions.Count >= MaxAtOnce || sessions.Count(s => s.Host == host) >= MaxAtOnceOfHost || lately.Count >= MaxPerMinute
            || lately.Count(entry => entry.Host == host) >= MaxPerMinuteOfHost)
        {
            counters.Busy++;
            channel.User = null;
            channel.Close(GoodbyeReason.Limit, "There are too many joins at the moment; try again in a minute.");
            return;
        }
        lately.Enqueue((loop.Now, host));
        var session = new JoinSession(this, channel, host);
        sessions.Add(session);
        channel.User = session;
    }

    public void Close()
    {
        foreach (var session in sessions.ToArray()) session.Stop();
    }

    private sealed class JoinSession : IControlUser, IDisposable
    {
        private readonly JoinServer server;
        private readonly ControlChannel channel;
        private readonly LoopTimer deadline;
        private readonly CancellationTokenSource over = new();
        private readonly JoinDocument request = new(JoinProtocol.MaxRequestBytes);
        private readonly string from;
        private JoinSending? sending;
        private bool isGreeted;
        private bool isCounted;
        private bool isEnded;

        public JoinSession(JoinServer server, ControlChannel channel, UdpAddress host)
        {
            (this.server, this.channel, Host, from) = (server, channel, host, channel.To.ToString());
            deadline = server.loop.CreateTimer(OnDeadline);
            deadline.Set(server.loop.Now + JoinProtocol.RequestTime);
        }

        public UdpAddress Host { get; }

        public void OnConfirmed(ControlChannel confirmed)
        {
        }

        public bool OnMessage(ControlChannel from, ControlMessageType type, ReadOnlySpan<byte> body)
        {
            if (!isGreeted)
            {
                if ((JoinMessageType)type != JoinMessageType.Hello || body.Length < 2) return false;
                if (BinaryPrimitives.ReadUInt16BigEndian(body) != JoinProtocol.Version)
                {
                    Refuse(JoinRefusal.Malformed, $"This node speaks version {JoinProtocol.Version} of joining, and you another; use the same version of Florete.");
                    return true;
                }
                isGreeted = true;
                Send(JoinMessageType.Bundle, server.relay.Bundle);
                return true;
            }
            if ((JoinMessageType)type != JoinMessageType.Request || !request.Add(body)) return false;
            if (!request.IsWhole) return true;
            deadline.Set(server.loop.Now + JoinProtocol.WholeTime - JoinProtocol.RequestTime);
            _ = AnswerAsync();
            return true;
        }

        public void OnRoom(ControlChannel channel) => sending?.Pump(channel);

        public void OnClosed(ControlChannel closed, QuicClose close)
        {
            Count(c => c.Broken++);
            Dispose();
        }

        public void Stop()
        {
            Count(c => c.Broken++);
            Dispose();
            channel.Close(GoodbyeReason.TargetFailed, "The vertex stops.");
        }

        private void OnDeadline()
        {
            Count(c => c.TimedOut++);
            Dispose();
            channel.Close(GoodbyeReason.Limit, "Joining took too long.");
        }

        private async Task AnswerAsync()
        {
            try
            {
                // Begun inside a turn, so it goes on in one.
                var answer = await server.relay.RelayAsync(request.Content, over.Token);
                if (isEnded) return;
                if (answer.Length > JoinProtocol.MaxAnswerBytes) throw new JoinException(JoinRefusal.Failed, $"The answer has {answer.Length} bytes, more than {JoinProtocol.MaxAnswerBytes}; make the bounds smaller.");
                Count(c => c.Answered++);
                Send(JoinMessageType.Answer, answer);
            }
            catch (JoinException e)
            {
                server.note($"Join by {from} refused ({e.Code.Word()}): {e.Message}");
                Refuse(e.Code, e.Message);
            }
            catch (OperationCanceledException)
            {
                Refuse(JoinRefusal.Failed, "The node stops, or it took too long.");
            }
            catch (Exception e)
            {
                Refuse(JoinRefusal.Failed, "The node that you asked has failed; its log says why.");
                // A fault of this process: it surfaces at the loop.
                server.loop.Post(() => System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(e));
            }
        }

        private void Refuse(JoinRefusal code, string sentence)
        {
            if (isEnded) return;
            Count(c => c.Refused++);
            channel.Send((ControlMessageType)JoinMessageType.Refused, JoinProtocol.Refused(code, sentence));
        }

        // The joiner closes when it has all; the deadline, if it does not.
        private void Send(JoinMessageType type, ReadOnlyMemory<byte> content)
        {
            sending = new JoinSending(type, content);
            sending.Pump(channel);
        }

        // A join ends in one counter.
        private void Count(Action<JoinCounters> count)
        {
            if (!isCounted) count(server.counters);
            isCounted = true;
        }

        public void Dispose()
        {
            if (isEnded) return;
            isEnded = true;
            deadline.Cancel();
            server.sessions.Remove(this);
            over.Cancel();
            over.Dispose();
        }
    }
}
