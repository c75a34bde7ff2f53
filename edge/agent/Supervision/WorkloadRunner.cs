using System.Threading.Channels;
using Florete.Agent.Configuration;
using Florete.Agent.Contracts;
using Florete.Agent.Health;
using Florete.Agent.Processes;
using Florete.Hosting;
using Microsoft.Extensions.Logging;

namespace Florete.Agent.Supervision;

/// <summary>Runs one workload: does what <see cref="WorkloadSupervision"/> decides, and tells it what happens. One task, the only one to touch it.</summary>
internal sealed partial class WorkloadRunner
{
    private static readonly TimeSpan LogCheckEvery = TimeSpan.FromSeconds(5);

    private readonly WorkloadConfiguration workload;
    private readonly WorkloadMark mark;
    private readonly WorkloadLog log;
    private readonly IHealthProbe probe;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly WorkloadSupervision supervision;
    // Wishes that say the same are one wish.
    private readonly Channel<Wish> wishes = Channel.CreateBounded<Wish>(new BoundedChannelOptions(16) { FullMode = BoundedChannelFullMode.DropOldest });
    private readonly Task running;
    private WorkloadProcess? process;
    private TimeSpan startedAt;
    private long? readyMilliseconds;
    private volatile WorkloadStatus status;

    /// <param name="workload">What was asked for.</param>
    /// <param name="mark">How its process is known.</param>
    /// <param name="found">Its process, if an agent before this one started it; null: it is to be started.</param>
    /// <param name="log">Where its output goes.</param>
    /// <param name="probe">Asks for its health.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">The agent's own log.</param>
    public WorkloadRunner(
        WorkloadConfiguration workload, WorkloadMark mark, FoundProcess? found, WorkloadLog log, IHealthProbe probe, TimeProvider time, ILogger logger)
    {
        (this.workload, this.mark, this.log, this.probe, this.time, this.logger) = (workload, mark, log, probe, time, logger);
        supervision = new WorkloadSupervision(workload, Random.Shared.NextDouble);
        status = new WorkloadStatus(workload.Name, supervision.Phase, supervision.Reason, null, 0, time.GetUtcNow(), null, log.File);
        if (found is not null)
        {
            process = WorkloadProcess.TakeOver(found);
            supervision.Started(Now);
            TakenOver(logger, workload.Name, found.Id);
        }
        running = Task.Run(RunAsync);
    }

    private enum Wish
    {
        Restart,
        Stop,
    }

    public WorkloadConfiguration Workload => workload;

    public WorkloadMark Mark => mark;

    public WorkloadStatus Status => status;

    /// <summary>Completes when it has been stopped; a fault of the agent itself shows here.</summary>
    public Task Completion => running;

    // One origin for all runners of an agent: their workloads are asked at the same moments.
    private TimeSpan Now => time.GetElapsedTime(0);

    public void Restart() => wishes.Writer.TryWrite(Wish.Restart);

    /// <summary>Stops it; completes when its process has ended.</summary>
    public Task StopAsync()
    {
        wishes.Writer.TryWrite(Wish.Stop);
        return running;
    }

    private async Task RunAsync()
    {
        using var checking = new CancellationTokenSource();
        using var alarm = new Alarm(time);
        Task<HealthAnswer>? check = null;
        var wished = wishes.Reader.WaitToReadAsync().AsTask();
        var logDue = Now + LogCheckEvery;
        var isStopped = false;
        while (true)
        {
            while (wished.IsCompleted)
            {
                while (wishes.Reader.TryRead(out var wish))
                {
                    if (wish == Wish.Stop) supervision.Stop();
                    else supervision.Restart(Now);
                    isStopped |= wish == Wish.Stop;
                }
                wished = wishes.Reader.WaitToReadAsync().AsTask();
            }
            if (process is { Ended.IsCompleted: true } ended) await EndedAsync(ended).ConfigureAwait(false);
            if (check is { IsCompleted: true })
            {
                Checked(await check.ConfigureAwait(false));
                check = null;
            }
            if (Now >= logDue)
            {
                KeepLog();
                logDue = Now + LogCheckEvery;
            }
            for (var step = supervision.Next(Now); step != SupervisionStep.Wait; step = supervision.Next(Now))
            {
                if (step == SupervisionStep.Check) check = probe.AskAsync(workload.Health!, checking.Token);
                else Do(step);
            }
            Publish();
            if (isStopped && supervision.Phase == WorkloadPhase.Ended) break;
            await WaitAsync(wished, check, logDue, alarm).ConfigureAwait(false);
        }
        await checking.CancelAsync().ConfigureAwait(false);
        if (check is not null) await check.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default).ConfigureAwait(false);
    }

    private async Task WaitAsync(Task wished, Task? check, TimeSpan logDue, Alarm alarm)
    {
        var due = supervision.Due is { } first && first < logDue ? first : logDue;
        var wait = due - Now;
        if (wait <= TimeSpan.Zero) return;
        List<Task> tasks = [wished, alarm.After(wait)];
        if (check is not null) tasks.Add(check);
        if (process is not null) tasks.Add(process.Ended);
        await Task.WhenAny(tasks).ConfigureAwait(false);
    }

    private void Do(SupervisionStep step)
    {
        switch (step)
        {
            case SupervisionStep.Start:
                Start();
                break;
            case SupervisionStep.Terminate:
                Stopping(logger, workload.Name, supervision.Reason.Length == 0 ? "the agent stops it" : supervision.Reason);
                process!.Terminate();
                break;
            case SupervisionStep.Kill:
                Killing(logger, workload.Name, workload.StopWithin.TotalSeconds);
                process!.Kill();
                break;
        }
    }

    private void Start()
    {
        try
        {
            process = WorkloadProcess.Start(workload, mark, log.File);
            (startedAt, readyMilliseconds) = (Now, null);
            supervision.Started(Now);
            StartedProcess(logger, workload.Name, process.Id);
        }
        catch (IOException e)
        {
            supervision.StartFailed(Now, e.Message);
            NotStarted(logger, workload.Name, e.Message);
        }
    }

    private async Task EndedAsync(WorkloadProcess ended)
    {
        var end = await ended.Ended.ConfigureAwait(false);
        process = null;
        var wasTold = supervision.Phase == WorkloadPhase.Stopping;
        supervision.Ended(Now, end);
        if (wasTold) Stopped(logger, workload.Name);
        else EndedByItself(logger, workload.Name, end, string.Join(" | ", log.Tail(3)));
    }

    private void Checked(HealthAnswer answer)
    {
        var before = supervision.Phase;
        supervision.Checked(Now, answer);
        if (before == WorkloadPhase.Starting && supervision.Phase == WorkloadPhase.Ready)
        {
            if (startedAt > TimeSpan.Zero) readyMilliseconds ??= (long)(Now - startedAt).TotalMilliseconds;
            IsReady(logger, workload.Name, readyMilliseconds ?? 0);
        }
        else if (before == WorkloadPhase.Ready && answer.State != HealthState.Ready)
        {
            IsFailing(logger, workload.Name, answer.Reason);
        }
    }

    private void KeepLog()
    {
        try
        {
            log.KeepWithinBounds();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogNotKept(logger, log.File, e.Message);
        }
    }

    private void Publish()
    {
        var now = status;
        var since = now.Phase == supervision.Phase ? now.Since : time.GetUtcNow();
        status = new WorkloadStatus(workload.Name, supervision.Phase, supervision.Reason, process?.Id, supervision.Restarts, since, readyMilliseconds, log.File);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Workload}: started as process {Id}")]
    private static partial void StartedProcess(ILogger logger, string workload, int id);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Workload}: runs already as process {Id}, taken over")]
    private static partial void TakenOver(ILogger logger, string workload, int id);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Workload}: ready after {Milliseconds} ms")]
    private static partial void IsReady(ILogger logger, string workload, long milliseconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Workload}: not ready any more: {Problem}")]
    private static partial void IsFailing(ILogger logger, string workload, string problem);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Workload}: not started, {Problem}")]
    private static partial void NotStarted(ILogger logger, string workload, string problem);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Workload}: is told to end: {Reason}")]
    private static partial void Stopping(ILogger logger, string workload, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Workload}: has not ended within {Seconds} s and is killed")]
    private static partial void Killing(ILogger logger, string workload, double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Workload}: has ended")]
    private static partial void Stopped(ILogger logger, string workload);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Workload}: {End}; its last words: {Words}")]
    private static partial void EndedByItself(ILogger logger, string workload, ProcessEnd end, string words);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{File} could not be kept within bounds: {Problem}")]
    private static partial void LogNotKept(ILogger logger, string file, string problem);
}
