namespace Florete.Identities;

/// <summary>Notices changed files by name, size and times. A renamed-over file has new times, whatever its content.</summary>
/// <param name="folder">Every file in it counts; null: only those named.</param>
/// <param name="files">They count, whether they are there or not.</param>
public sealed class FileStamps(string? folder, params string[] files)
{
    private string last = "";

    /// <summary>Looks again and again until it is cancelled, and calls <paramref name="changed"/> after each change. What that throws ends the watch.</summary>
    /// <param name="every">How often; looking costs a few stat calls.</param>
    /// <param name="changed">On a thread of the pool.</param>
    /// <param name="cancellationToken">Ends the watch; the task completes then.</param>
    public async Task WatchAsync(TimeSpan every, Action changed, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(every);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false))
            {
                if (Changed()) changed();
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // As asked.
        }
    }

    /// <summary>Has anything changed since the last call?</summary>
    public bool Changed()
    {
        var now = new System.Text.StringBuilder();
        try
        {
            IEnumerable<FileInfo> all = folder is null ? [] : new DirectoryInfo(folder).EnumerateFiles();
            foreach (var file in all.OrderBy(file => file.Name, StringComparer.Ordinal)) Add(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            now.Append(e.Message);
        }
        foreach (var file in files) Add(new FileInfo(file));
        var text = now.ToString();
        if (text == last) return false;
        last = text;
        return true;

        void Add(FileInfo file)
        {
            // The attributes are read once, together.
            now.Append(file.Name).Append('|').Append(file.Exists ? file.Length : -1).Append('|').Append(file.Exists ? file.LastWriteTimeUtc.Ticks : 0).Append('\n');
        }
    }
}
