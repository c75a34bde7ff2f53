using Florete.Agent.Configuration;
using Florete.Agent.Contracts;
using Florete.Agent.Health;
using Florete.Agent.Supervision;
using FsCheck.Fluent;

namespace Florete.Agent.Tests;

public class WorkloadSupervisionTests
{
    private static readonly HealthConfiguration Health = new(null, "/run/x", TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(2), 3);

    private TimeSpan now;

    [Fact]
    public void Without_health_running_is_ready()
    {
        var supervision = Make(new WorkloadConfiguration { Name = "x", Program = "x", Folder = "/" });
        Assert.Equal(SupervisionStep.Start, supervision.Next(now));
        supervision.Started(now);
        Assert.Equal(WorkloadPhase.Ready, supervision.Phase);
        Assert.Equal(SupervisionStep.Wait, supervision.Next(now));
        Assert.Null(supervision.Due);
    }

    [Fact]
    public void It_is_asked_often_until_it_is_ready_and_seldom_after()
    {
        var supervision = Started();
        Assert.Equal(SupervisionStep.Check, supervision.Next(now));
        Assert.Equal(SupervisionStep.Wait, supervision.Next(now));
        supervision.Checked(now, HealthAnswer.Broken("connection refused"));
        Assert.Equal(WorkloadPhase.Starting, supervision.Phase);
        Assert.Equal(now + WorkloadSupervision.ImpatientEvery, supervision.Due);
        Pass(WorkloadSupervision.ImpatientEvery);
        Assert.Equal(SupervisionStep.Check, supervision.Next(now));
        supervision.Checked(now, HealthAnswer.Ready);
        Assert.Equal(WorkloadPhase.Ready, supervision.Phase);
        Assert.Equal("", supervision.Reason);
        Assert.Equal(Health.Every, supervision.Due);
    }

    [Fact]
    public void Workloads_that_became_ready_at_different_times_are_asked_at_the_same_moments()
    {
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<ushort>(milliseconds =>
        {
            now = TimeSpan.FromMilliseconds(milliseconds);
            var supervision = Started();
            Assert.Equal(SupervisionStep.Check, supervision.Next(now));
            supervision.Checked(now, HealthAnswer.Ready);
            var due = supervision.Due!.Value;
            Assert.Equal(0, due.Ticks % Health.Every.Ticks);
            Assert.InRange(due - now, Health.Every / 2, 1.5 * Health.Every);
            Assert.Equal(SupervisionStep.Check, supervision.Next(due));
            supervision.Checked(due + TimeSpan.FromMilliseconds(3), HealthAnswer.Ready);
            Assert.Equal(due + Health.Every, supervision.Due);
        }));
    }

    [Fact]
    public void One_that_is_not_ready_in_time_is_started_anew()
    {
        var supervision = Started();
        while (supervision.Next(now) is var step && step != SupervisionStep.Terminate)
        {
            if (step == SupervisionStep.Check) supervision.Checked(now, HealthAnswer.Broken("no"));
            now = supervision.Due!.Value;
        }
        Assert.Equal(TimeSpan.FromSeconds(60), now);
        Assert.Contains("not ready within 60 s: no", supervision.Reason);
        supervision.Ended(now, new ProcessEnd(0));
        Assert.Equal(WorkloadPhase.Waiting, supervision.Phase);
    }

    [Fact]
    public void A_check_that_never_answers_does_not_keep_it_from_being_started_anew()
    {
        var supervision = Started();
        Assert.Equal(SupervisionStep.Check, supervision.Next(now));
        Assert.Equal(TimeSpan.FromSeconds(60), supervision.Due);
        Pass(TimeSpan.FromSeconds(60));
        Assert.Equal(SupervisionStep.Terminate, supervision.Next(now));
    }

    [Fact]
    public void One_that_answers_that_it_waits_is_left_to_wait()
    {
        var supervision = Started();
        while (now < TimeSpan.FromMinutes(10))
        {
            Assert.Equal(SupervisionStep.Check, supervision.Next(now));
            supervision.Checked(now, HealthAnswer.NotReady("waits for others"));
            Assert.Equal((WorkloadPhase.Starting, "waits for others"), (supervision.Phase, supervision.Reason));
            now = supervision.Due!.Value;
        }
        // And so is one that was ready before.
        Assert.Equal(SupervisionStep.Check, supervision.Next(now));
        supervision.Checked(now, HealthAnswer.Ready);
        for (var i = 0; i < 10; i++)
        {
            now = supervision.Due!.Value;
            Assert.Equal(SupervisionStep.Check, supervision.Next(now));
            supervision.Checked(now, HealthAnswer.NotReady("waits for others"));
            Assert.Equal(WorkloadPhase.Failing, supervision.Phase);
        }
        Assert.Equal(now + Health.Every, supervision.Due);
    }

    [Fact]
    public void One_that_waited_and_answers_no_more_is_started_anew_after_three_failures()
    {
        var supervision = Started();
        Assert.Equal(SupervisionStep.Check, supervision.Next(now));
        supervision.Checked(now, HealthAnswer.NotReady("waits"));
        now = supervision.Due!.Value;
        for (var i = 0; i < Health.Failures; i++)
        {
            Assert.Equal(SupervisionStep.Check, supervision.Next(now));
            supervision.Checked(now, HealthAnswer.Broken("no"));
            if (supervision.Phase != WorkloadPhase.Stopping) now = supervision.Due!.Value;
        }
        Assert.Equal(SupervisionStep.Terminate, supervision.Next(now));
    }

    [Fact]
    public void Three_failures_in_a_row_start_it_anew_and_a_good_one_between_forgives()
    {
        var supervision = Started();
        foreach (var problem in new[] { null, "no", "no", null, "no", "no", "no" })
        {
            Assert.Equal(SupervisionStep.Check, supervision.Next(now));
            supervision.Checked(now, problem is null ? HealthAnswer.Ready : HealthAnswer.Broken(problem));
            if (supervision.Phase != WorkloadPhase.Stopping) now = supervision.Due!.Value;
        }
        Assert.Equal(SupervisionStep.Terminate, supervision.Next(now));
        Assert.Contains("3 times in a row: no", supervision.Reason);
    }

    [Fact]
    public void What_does_not_end_in_time_is_killed_once()
    {
        var supervision = Started();
        supervision.Stop();
        Assert.Equal(SupervisionStep.Terminate, supervision.Next(now));
        Assert.Equal(SupervisionStep.Wait, supervision.Next(now));
        now = supervision.Due!.Value;
        Assert.Equal(SupervisionStep.Kill, supervision.Next(now));
        Assert.Equal(SupervisionStep.Wait, supervision.Next(now));
        Assert.Null(supervision.Due);
        supervision.Ended(now, new ProcessEnd(137));
        Assert.Equal(WorkloadPhase.Ended, supervision.Phase);
    }

    [Fact]
    public void Starts_that_follow_each_other_wait_ever_longer_and_a_good_run_forgets()
    {
        var supervision = Make(new WorkloadConfiguration { Name = "x", Program = "x", Folder = "/" });
        var waits = new List<double>();
        for (var i = 0; i < 10; i++)
        {
            Assert.Equal(SupervisionStep.Start, supervision.Next(now));
            supervision.Started(now);
            supervision.Ended(now, new ProcessEnd(1));
            waits.Add((supervision.Due!.Value - now).TotalSeconds);
            now = supervision.Due.Value;
        }
        Assert.Equal([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30], waits.Select(static wait => Math.Round(wait, 1)));
        supervision.Started(now);
        Pass(TimeSpan.FromMinutes(1));
        supervision.Ended(now, new ProcessEnd(1));
        Assert.Equal(TimeSpan.FromMilliseconds(200), supervision.Due - now);
    }

    [Theory]
    [InlineData(RestartRule.Always, 0, true)]
    [InlineData(RestartRule.Always, 1, true)]
    [InlineData(RestartRule.OnFailure, 0, false)]
    [InlineData(RestartRule.OnFailure, 1, true)]
    [InlineData(RestartRule.Never, 1, false)]
    public void The_rule_says_whether_it_is_started_again(RestartRule rule, int code, bool isAgain)
    {
        var supervision = Make(new WorkloadConfiguration { Name = "x", Program = "x", Folder = "/", Restart = rule });
        supervision.Started(now);
        supervision.Ended(now, new ProcessEnd(code));
        Assert.Equal(isAgain ? WorkloadPhase.Waiting : WorkloadPhase.Ended, supervision.Phase);
        Assert.Equal($"ended with code {code}", supervision.Reason);
        supervision.Restart(now);
        Assert.Equal(SupervisionStep.Start, supervision.Next(now));
    }

    [Fact]
    public void A_start_that_fails_is_tried_again()
    {
        var supervision = Make(new WorkloadConfiguration { Name = "x", Program = "x", Folder = "/" });
        Assert.Equal(SupervisionStep.Start, supervision.Next(now));
        supervision.StartFailed(now, "there is no program 'x'");
        Assert.Equal("there is no program 'x'", supervision.Reason);
        Assert.Equal(TimeSpan.FromMilliseconds(200), supervision.Due);
    }

    // Whatever happens in whatever order: no process is started beside another, and one that is to stop ends up stopped.
    [Fact]
    public void No_order_of_events_starts_two_or_leaves_one_behind() =>
        FsCheck.Check.QuickThrowOnFailure(FsCheck.Fluent.Prop.ForAll<byte[]>(events =>
        {
            var supervision = Make(new WorkloadConfiguration { Name = "x", Program = "x", Folder = "/", Health = Health });
            var at = TimeSpan.Zero;
            var isRunning = false;
            foreach (var one in events.Append((byte)4).Concat(Enumerable.Repeat((byte)0, 8)))
            {
                switch (one % 8)
                {
                    case 1 when isRunning:
                        isRunning = false;
                        supervision.Ended(at, new ProcessEnd(one % 2));
                        break;
                    case 2:
                        supervision.Checked(at, one switch { > 170 => HealthAnswer.Broken("no"), > 85 => HealthAnswer.NotReady("waits"), _ => HealthAnswer.Ready });
                        break;
                    case 3:
                        supervision.Restart(at);
                        break;
                    case 4 when one == 4:
                        supervision.Stop();
                        break;
                    default:
                        at = supervision.Due is { } due && due > at ? due : at + TimeSpan.FromMilliseconds(one);
                        break;
                }
                for (var step = supervision.Next(at); step != SupervisionStep.Wait; step = supervision.Next(at))
                {
                    if (step == SupervisionStep.Start)
                    {
                        Assert.False(isRunning);
                        if (one % 5 == 0)
                        {
                            supervision.StartFailed(at, "no");
                            continue;
                        }
                        isRunning = true;
                        supervision.Started(at);
                    }
                    else if (step is SupervisionStep.Terminate or SupervisionStep.Kill)
                    {
                        Assert.True(isRunning);
                        if (step == SupervisionStep.Kill || one % 3 == 0)
                        {
                            isRunning = false;
                            supervision.Ended(at, new ProcessEnd(null));
                        }
                    }
                }
                Assert.Equal(isRunning, supervision.IsRunning);
            }
            return supervision.Phase == WorkloadPhase.Ended && !isRunning;
        }));

    private static WorkloadSupervision Make(WorkloadConfiguration workload) => new(workload, static () => 0);

    private WorkloadSupervision Started()
    {
        var supervision = Make(new WorkloadConfiguration { Name = "x", Program = "x", Folder = "/", Health = Health });
        Assert.Equal(SupervisionStep.Start, supervision.Next(now));
        supervision.Started(now);
        return supervision;
    }

    private void Pass(TimeSpan time) => now += time;
}
