using Florete.Runtime;

namespace Florete.Links;

/// <summary>
/// Signs of life and measurement between the two ends of a link, whatever carries it: when a keep-alive is due, what it says, and what the
/// neighbour's says (docs/protocols/link-udp.md "Liveness"). Pure: fed with events and time.
/// </summary>
internal sealed class LinkPulse(Liveness liveness, PathQuality quality)
{
    // A timer that fires so much late says that our own loop did not run.
    private static readonly TimeSpan Stall = TimeSpan.FromMilliseconds(10);

    // An answer to a question; a neighbour that asks more often gets no more.
    private static readonly TimeSpan LeastAnswerInterval = TimeSpan.FromMilliseconds(5);

    private Instant lastKeepAlive = new(0);
    private Instant wakesAt = Instant.Never;
    private ulong peerSent;
    private Instant peerSentAt;
    private bool isAnswerDue, isQuestionDue;

    /// <summary>When the loop did not run in time, the neighbour is not to blame. Asked by the timer and by what arrives, whichever is first after a stall.</summary>
    public void ForgiveOwnStall(Instant now)
    {
        if (wakesAt == Instant.Never || now - wakesAt <= Stall) return;
        liveness.Forgive(now - wakesAt, now);
        wakesAt = now;
    }

    /// <summary>Something authentic has arrived.</summary>
    public void OnAuthenticated(Instant now)
    {
        ForgiveOwnStall(now);
        liveness.OnAuthenticated(now);
    }

    /// <summary>When the timer shall fire next: when something here is due, or at <paramref name="other"/> if that is earlier; not at once again.</summary>
    public Instant WakeAt(Instant other, Instant lastSent, Instant now)
    {
        var next = Instant.Min(other, Instant.Min(KeepAliveAt(lastSent, now), liveness.DownAt));
        return wakesAt = next > now ? next : now + TimeSpan.FromMilliseconds(1);
    }

    /// <summary>A question is due now, whatever was heard; at most as often as an answer.</summary>
    public void AskAtOnce() => isQuestionDue = true;

    /// <summary>When a keep-alive is due; <paramref name="lastSent"/>: when anything was sent last.</summary>
    public Instant KeepAliveAt(Instant lastSent, Instant now)
    {
        if (isAnswerDue || isQuestionDue) return lastKeepAlive + LeastAnswerInterval;
        // Failing sends are tried again quickly: either the medium comes back, or the link goes down.
        if (liveness.IsFailing) return lastKeepAlive + LeastAnswerInterval;
        if (now >= liveness.AsksAt) return lastKeepAlive + liveness.Times.AskInterval;
        // A keep-alive made in this turn leaves at its end, so it is not in lastSent yet.
        var lastWord = lastSent > lastKeepAlive ? lastSent : lastKeepAlive;
        var idle = Instant.Min(lastWord + liveness.Times.Interval, lastKeepAlive + liveness.Times.ReportInterval);
        return Instant.Min(idle, liveness.AsksAt);
    }

    /// <summary>The keep-alive to send now, with the totals of what was received and is missing since the link began.</summary>
    public KeepAlive Next(ulong received, ulong lost, Instant now)
    {
        quality.OnReceiving(received, lost, now);
        lastKeepAlive = now;
        isAnswerDue = false;
        var asks = isQuestionDue || now >= liveness.AsksAt;
        isQuestionDue = false;
        return new KeepAlive(
            asks, (ushort)liveness.Times.Interval.TotalMilliseconds, Microseconds(now), peerSent,
            peerSent == 0 ? 0 : (uint)Math.Min(uint.MaxValue, (now - peerSentAt).TotalMicroseconds), received, lost);
    }

    /// <summary>The neighbour's keep-alive. True: it asks for an answer, so the timer must be set anew.</summary>
    public bool OnKeepAlive(in KeepAlive message, Instant now)
    {
        liveness.OnKeepAlive(message, now);
        // A keep-alive that was overtaken says nothing new.
        if (message.SentMicroseconds <= peerSent) return false;
        (peerSent, peerSentAt) = (message.SentMicroseconds, now);
        if (message.EchoMicroseconds != 0)
        {
            var microseconds = (long)(Microseconds(now) - message.EchoMicroseconds) - message.HeldMicroseconds;
            quality.OnRoundTrip(TimeSpan.FromMicroseconds(Math.Clamp(microseconds, -1, 3_600_000_000)));
        }
        quality.OnSendingReport(message.ReceivedSegments, message.LostSegments, now);
        if (!message.AnswerNow || isAnswerDue) return false;
        return isAnswerDue = true;
    }

    /// <summary>Why the link is down, by what is known now; null while it is up.</summary>
    public GoodbyeReason? Check(Instant now)
    {
        liveness.OnLossMeasured(quality.PessimisticReceivingLoss, now);
        return liveness.Check(now);
    }

    private static ulong Microseconds(Instant now) => (ulong)(now.Nanoseconds / 1000);
}
