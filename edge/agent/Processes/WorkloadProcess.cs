using System.ComponentModel;
using System.Diagnostics;
using Florete.Agent.Configuration;
using Florete.Agent.Supervision;

namespace Florete.Agent.Processes;

/// <summary>A running process of a workload: started here, or found. It leads a session of its own, so it outlives the agent and its terminal.</summary>
internal sealed class WorkloadProcess
{
    /// <summary>From SIGTERM to SIGKILL, for what the file says nothing of.</summary>
    public static readonly TimeSpan UsualStopWithin = TimeSpan.FromSeconds(10);

    // Only a parent is told of an end; of others it must be asked for.
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(200);

    // The shell opens the log for appending, so that the agent may empty it, then becomes the program: one process, one id.
    private const string Script = "log=$1; shift; exec setsid \"$@\" >>\"$log\" 2>&1 </dev/null";

    private WorkloadProcess(int id, Task<ProcessEnd> ended)
    {
        Id = id;
        Ended = ended;
    }

    public int Id { get; }

    /// <summary>Completes when it has ended; what it had started has then been killed.</summary>
    public Task<ProcessEnd> Ended { get; }

    /// <exception cref="IOException">It cannot be started; the message says what to do.</exception>
    public static WorkloadProcess Start(WorkloadConfiguration workload, WorkloadMark mark, string logFile)
    {
        var program = ProgramPath.Find(workload.Program, workload.Folder);
        if (!Directory.Exists(workload.Folder)) throw new IOException($"its folder {workload.Folder} does not exist; make it, or correct folder:");
        var start = new ProcessStartInfo("/bin/sh") { WorkingDirectory = workload.Folder };
        foreach (var word in (string[])["-c", Script, "sh", logFile, program, .. workload.Arguments]) start.ArgumentList.Add(word);
        foreach (var (name, value) in workload.Environment) start.Environment[name] = value;
        mark.Write(start.Environment);
        try
        {
            var process = Process.Start(start)!;
            return new WorkloadProcess(process.Id, EndOfChildAsync(process));
        }
        catch (Win32Exception e)
        {
            throw new IOException($"it cannot be started: {e.Message}", e);
        }
    }

    public static WorkloadProcess TakeOver(FoundProcess found) => new(found.Id, EndOfFoundAsync(found));

    public void Terminate() => LinuxProcesses.Signal(Id, LinuxProcesses.Terminate);

    public void Kill() => LinuxProcesses.SignalGroup(Id, LinuxProcesses.Kill);

    /// <summary>Tells it to end, kills it when it does not, and returns when it has ended.</summary>
    public async Task StopAsync(TimeSpan within, TimeProvider time)
    {
        Terminate();
        if (await Task.WhenAny(Ended, Task.Delay(within, time)).ConfigureAwait(false) != Ended) Kill();
        await Ended.ConfigureAwait(false);
    }

    private static async Task<ProcessEnd> EndOfChildAsync(Process process)
    {
        using (process)
        {
            await process.WaitForExitAsync().ConfigureAwait(false);
            LinuxProcesses.SignalGroup(process.Id, LinuxProcesses.Kill);
            return new ProcessEnd(process.ExitCode);
        }
    }

    private static async Task<ProcessEnd> EndOfFoundAsync(FoundProcess found)
    {
        while (LinuxProcesses.IsAlive(found.Id, found.Start)) await Task.Delay(Poll).ConfigureAwait(false);
        LinuxProcesses.SignalGroup(found.Id, LinuxProcesses.Kill);
        return new ProcessEnd(null);
    }
}
