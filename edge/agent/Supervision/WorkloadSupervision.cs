using Florete.Agent.Configuration;
using Florete.Agent.Contracts;
using Florete.Agent.Health;

namespace Florete.Agent.Supervision;

/// <summary>
/// Decides for one workload when it is started, asked, stopped and killed. Owns no clock, process or thread: it is told what happened and asked
/// for the next <see cref="SupervisionStep"/>. Times are since any fixed moment. Not thread-safe.
/// </summary>
/// <param name="workload">What was asked for.</param>
/// <param name="chance">From 0 to 1, for the back-off.</param>
public sealed class WorkloadSupervision(WorkloadConfiguration workload, Func<double> chance)
{
    /// <summary>Between two questions to one that is not ready yet: users wait for it.</summary>
    public static readonly TimeSpan ImpatientEvery = TimeSpan.FromMilliseconds(200);

    private readonly BackOff backOff = new(chance);
    private TimeSpan startedAt;
    private TimeSpan startDue;
    private TimeSpan checkDue;
    private TimeSpan killDue;
    private bool isChecking;
    private bool isTerminated;
    private bool isKilled;
    private bool isToStay;
    private bool hasRun;
    // Since its start, that it is ready or waits: from then on it is judged by what it says, and not by the time it takes.
    private bool hasAnswered;
    private int failedChecks;

    public WorkloadPhase Phase { get; private set; } = WorkloadPhase.Waiting;

    /// <summary>Starts after the first, for whatever reason.</summary>
    public int Restarts { get; private set; }

    /// <summary>Why it is not ready; empty when it is.</summary>
    public string Reason { get; private set; } = "not started yet";

    /// <summary>Does a process of it run?</summary>
    public bool IsRunning => Phase is WorkloadPhase.Starting or WorkloadPhase.Ready or WorkloadPhase.Failing or WorkloadPhase.Stopping;

    /// <summary>When <see cref="Next"/> will want something, if nothing happens before; null: never.</summary>
    public TimeSpan? Due => Phase switch
    {
        WorkloadPhase.Waiting => startDue,
        WorkloadPhase.Stopping => isKilled ? null : isTerminated ? killDue : TimeSpan.Zero,
        WorkloadPhase.Ended => null,
        _ when workload.Health is null => null,
        WorkloadPhase.Starting when !hasAnswered && (isChecking || startedAt + workload.StartWithin < checkDue) => startedAt + workload.StartWithin,
        _ => isChecking ? null : checkDue,
    };

    /// <summary>What is to be done now. Call it again until it says <see cref="SupervisionStep.Wait"/>.</summary>
    public SupervisionStep Next(TimeSpan now)
    {
        if (Phase == WorkloadPhase.Starting && !hasAnswered && workload.Health is not null && now >= startedAt + workload.StartWithin)
        {
            Anew($"not ready within {workload.StartWithin.TotalSeconds:0.#} s: {Reason}");
        }
        switch (Phase)
        {
            case WorkloadPhase.Waiting:
                return now >= startDue ? SupervisionStep.Start : SupervisionStep.Wait;
            case WorkloadPhase.Ended:
                return SupervisionStep.Wait;
            case WorkloadPhase.Stopping when !isTerminated:
                (isTerminated, killDue) = (true, now + workload.StopWithin);
                return SupervisionStep.Terminate;
            case WorkloadPhase.Stopping:
                if (isKilled || now < killDue) return SupervisionStep.Wait;
                isKilled = true;
                return SupervisionStep.Kill;
            default:
                if (workload.Health is null || isChecking || now < checkDue) return SupervisionStep.Wait;
                isChecking = true;
                return SupervisionStep.Check;
        }
    }

    /// <summary>Its process runs: just started, or taken over from an agent that is gone.</summary>
    /// <exception cref="InvalidOperationException">It was not to be started.</exception>
    public void Started(TimeSpan now)
    {
        Expect(Phase == WorkloadPhase.Waiting || isToStay);
        if (hasRun) Restarts++;
        hasRun = true;
        (startedAt, checkDue, failedChecks) = (now, now, 0);
        (isTerminated, isKilled, isChecking, hasAnswered) = (false, false, false, false);
        // It may have been told to stay away between the decision to start it and the start.
        Phase = isToStay ? WorkloadPhase.Stopping : workload.Health is null ? WorkloadPhase.Ready : WorkloadPhase.Starting;
        Reason = workload.Health is null ? "" : "not asked yet";
    }

    /// <summary>It could not be started.</summary>
    public void StartFailed(TimeSpan now, string reason)
    {
        Reason = reason;
        if (Phase == WorkloadPhase.Waiting) startDue = now + backOff.Next(TimeSpan.Zero);
    }

    /// <summary>Its process has ended, told or not.</summary>
    /// <exception cref="InvalidOperationException">None ran.</exception>
    public void Ended(TimeSpan now, ProcessEnd end)
    {
        Expect(IsRunning);
        var wasTold = Phase == WorkloadPhase.Stopping;
        var isAgain = !isToStay && (wasTold || workload.Restart == RestartRule.Always || (workload.Restart == RestartRule.OnFailure && end.IsFailure));
        if (!wasTold) Reason = end.ToString();
        else if (isToStay) Reason = "stopped";
        Phase = isAgain ? WorkloadPhase.Waiting : WorkloadPhase.Ended;
        if (isAgain) startDue = now + backOff.Next(now - startedAt);
    }

    /// <summary>The answer to <see cref="SupervisionStep.Check"/>; ignored when it comes too late to matter.</summary>
    /// <param name="now">The time.</param>
    /// <param name="answer">What it says.</param>
    public void Checked(TimeSpan now, HealthAnswer answer)
    {
        if (!isChecking) return;
        isChecking = false;
        if (Phase is not (WorkloadPhase.Starting or WorkloadPhase.Ready or WorkloadPhase.Failing)) return;
        Reason = answer.Reason;
        var isYoung = Phase == WorkloadPhase.Starting && now < startedAt + workload.StartWithin;
        checkDue = isYoung ? now + ImpatientEvery : NextCheck(now);
        if (answer.State == HealthState.Ready)
        {
            (Phase, hasAnswered, failedChecks) = (WorkloadPhase.Ready, true, 0);
            checkDue = NextCheck(now);
            return;
        }
        if (Phase != WorkloadPhase.Starting) Phase = WorkloadPhase.Failing;
        if (answer.State == HealthState.NotReady)
        {
            (hasAnswered, failedChecks) = (true, 0);
            return;
        }
        if (!hasAnswered) return;
        // One that answered and does so no more is given the time that one in work has.
        checkDue = NextCheck(now);
        if (++failedChecks >= workload.Health!.Failures) Anew($"not healthy {failedChecks} times in a row: {answer.Reason}");
    }

    /// <summary>Somebody wants it started anew, at once.</summary>
    public void Restart(TimeSpan now)
    {
        if (isToStay) return;
        backOff.Forget();
        if (Phase is WorkloadPhase.Waiting or WorkloadPhase.Ended) (Phase, startDue) = (WorkloadPhase.Waiting, now);
        else if (Phase != WorkloadPhase.Stopping) Anew("started anew on request");
    }

    /// <summary>It ends, and stays so.</summary>
    public void Stop()
    {
        isToStay = true;
        if (Phase == WorkloadPhase.Waiting) (Phase, Reason) = (WorkloadPhase.Ended, "stopped");
        else if (IsRunning) Phase = WorkloadPhase.Stopping;
    }

    // At multiples of the interval, the second next where the next is close: all workloads that are asked equally often are asked at once, and the node wakes once for all of them.
    private TimeSpan NextCheck(TimeSpan now)
    {
        var every = workload.Health!.Every;
        return every * (Math.Round(now / every) + 1);
    }

    private void Anew(string reason) => (Phase, Reason) = (WorkloadPhase.Stopping, reason);

    private void Expect(bool condition)
    {
        if (!condition) throw new InvalidOperationException($"Workload {workload.Name}: this does not happen while {Phase}.");
    }
}
