using Florete.Runtime;

namespace Florete.Links;

/// <summary>
/// Signs of life and measurement between the two ends of a link, whatever carries it: when a keep-alive is due, what it says, and what the
/// neighbour's says (docs/protocols/link-udp.md "Liveness"). Pure: fed with events and time.
/// </summary>
/// <param name="liveness">Of this end.</param>
/// <param name="quality">What is measured.</param>
/// <param name="follows">This end waits a little for the other's keep-alive and speaks with it: if both only kept time, their words would cross.</param>
internal sealed class LinkPulse(Liveness liveness, PathQuality quality, bool follows)
{
    // A timer that fires so much late says that our own loop did not run.
    private static readonly TimeSpan Stall = TimeSpan.FromMilliseconds(10);

    // An answer to a question; a neighbour that asks more often gets no more.
    private static readonly TimeSpan LeastAnswerInterval = TimeSpan.FromMilliseconds(5);

    // A quarter of the time to the next keep-alive may be left out when the loop runs anyway: so the links of a vertex come to speak in the same turns.
    private const int SlackDivisor = 4;

    // Half of it when the neighbour has just spoken, so that the two ends do too; once, as who speaks at half time each time speaks twice as often.
    private const int AnswerSlackDivisor = 2;

    private const int FollowDivisor = 10;

    private Instant lastKeepAlive = new(0);
    private Instant wakesAt = Instant.Never;
    private ulong peerSent;
    private Instant peerSentAt;
    private bool isAnswerDue, isQuestionDue, wasDrawn;

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

    /// <summary>How much earlier than at <paramref name="wake"/> the timer may fire in a turn that happens anyway.</summary>
    public static TimeSpan SlackOf(Instant wake, Instant now) => (wake - now) / SlackDivisor;

    /// <summary>Is it time for a keep-alive, in a turn at this time?</summary>
    /// <param name="lastSent">When anything was sent last.</param>
    /// <param name="now">The turn's time.</param>
    public bool IsKeepAliveDue(Instant lastSent, Instant now)
    {
        var early = KeepAliveAt(lastSent, now) - now;
        if (early <= TimeSpan.Zero) return true;
        if (isAnswerDue || isQuestionDue || liveness.IsFailing || now >= liveness.AsksAt) return false;
        if (early <= liveness.Times.Interval / SlackDivisor) return true;
        return peerSentAt == now && !wasDrawn && early <= liveness.Times.Interval / AnswerSlackDivisor;
    }

    /// <summary>When a keep-alive is due; <paramref name="lastSent"/>: when anything was sent last.</summary>
    public Instant KeepAliveAt(Instant lastSent, Instant now)
    {
        if (isAnswerDue || isQuestionDue) return lastKeepAlive + LeastAnswerInterval;
        // Failing sends are tried again quickly: either the medium comes back, or the link goes down.
        if (liveness.IsFailing) return lastKeepAlive + LeastAnswerInterval;
        if (now >= liveness.AsksAt) return lastKeepAlive + liveness.Times.AskInterval;
        // A keep-alive made in this turn leaves at its end, so it is not in lastSent yet.
        var lastWord = lastSent > lastKeepAlive ? lastSent : lastKeepAlive;
        var interval = liveness.Times.Interval + (follows ? liveness.Times.Interval / FollowDivisor : TimeSpan.Zero);
        var idle = Instant.Min(lastWord + interval, lastKeepAlive + liveness.Times.ReportInterval);
        return Instant.Min(idle, liveness.AsksAt);
    }

    /// <summary>The keep-alive to send now, with the totals of what was received and is missing since the link began.</summary>
    public KeepAlive Next(ulong received, ulong lost, Instant now)
    {
        quality.OnReceiving(received, lost, now);
        wasDrawn = now - lastKeepAlive < liveness.Times.Interval - (liveness.Times.Interval / SlackDivisor);
        lastKeepAlive = now;
        isAnswerDue = false;
        var asks = isQuestionDue || now >= liveness.AsksAt;
        isQuestionDue = false;
        return new KeepAlive(
            asks, (ushort)liveness.Times.Interval.TotalMilliseconds, Microseconds(now), peerSent,
            peerSent == 0 ? 0 : (uint)Math.Min(uint.MaxValue, (now - peerSentAt).TotalMicroseconds), received, lost);
    }

    /// <summary>The neighbour's keep-alive. True: it is news; one of ours may be due now, and the timer must be set anew.</summary>
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
        isAnswerDue |= message.AnswerNow;
        return true;
    }

    /// <summary>Why the link is down, by what is known now; null while it is up.</summary>
    public GoodbyeReason? Check(Instant now)
    {
        liveness.OnLossMeasured(quality.PessimisticReceivingLoss, now);
        return liveness.Check(now);
    }

    private static ulong Microseconds(Instant now) => (ulong)(now.Nanoseconds / 1000);
}
