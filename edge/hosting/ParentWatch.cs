namespace Florete.Hosting;

/// <summary>Notices that another process has ended, by polling: there is no portable event for a process that is not a child.</summary>
public static class ParentWatch
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    /// <summary>Completes when the process is gone.</summary>
    public static async Task WaitAsync(int processId, CancellationToken cancellationToken)
    {
        var first = StartOf(processId);
        using var timer = new PeriodicTimer(Interval);
        // Another process may get the same id later, but not the same start.
        while (first is not null && StartOf(processId) == first) await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false);
    }

    // Null: there is none.
    private static DateTime? StartOf(int processId)
    {
        try
        {
            using var process = System.Diagnostics.Process.GetProcessById(processId);
            return process.HasExited ? null : process.StartTime;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }
}
