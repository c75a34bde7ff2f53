using System.Text;
using Florete.Identities;
using Florete.Identity.Contracts;

namespace Florete.Identity;

/// <summary>
/// Security events, one JSON object per line, appended and flushed to disk before <see cref="Add"/> returns. When the file is full it becomes the
/// old one, and the old one before it is gone: the newest are kept, in bounded room. Thread-safe.
/// </summary>
public sealed class EventFile : IDisposable
{
    // Some 15 000 events in each.
    public const long MaxFileBytes = 4 * 1024 * 1024;

    /// <summary>Most that one answer has.</summary>
    public const int MaxAnswer = 1000;

    // What others say of themselves: as much as a log line bears.
    private const int MaxText = 400;

    private readonly Lock gate = new();
    private readonly string file;
    private readonly string old;
    private readonly TimeProvider clock;
    private FileStream stream;
    private long last;
    private TaskCompletionSource next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private EventFile(string file, TimeProvider clock)
    {
        (this.file, this.clock) = (file, clock);
        old = file + ".1";
        last = Read(file).Concat(Read(old)).Select(static e => e.Number).DefaultIfEmpty(0).Max();
        stream = Open(file);
    }

    /// <summary>Opens <c>events.jsonl</c> in a folder, which is made if needed. A line that a crash cut off is left out.</summary>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static EventFile Open(string folder, TimeProvider clock)
    {
        Directory.CreateDirectory(folder);
        return new EventFile(Path.Combine(folder, "events.jsonl"), clock);
    }

    /// <exception cref="IOException">It is not on disk.</exception>
    public void Add(string kind, string subject, string by, string detail)
    {
        lock (gate)
        {
            var line = IdentityJson.Write(new IdentityEvent(++last, clock.GetUtcNow(), kind, Short(subject), Short(by), Short(detail)));
            if (stream.Length + line.Length > MaxFileBytes)
            {
                stream.Dispose();
                File.Move(file, old, overwrite: true);
                stream = Open(file);
            }
            stream.Write([.. line, (byte)'\n']);
            stream.Flush(flushToDisk: true);
            next.SetResult();
            next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    /// <summary>Completes at once when the newest event has another number, else with the next event.</summary>
    public Task OtherThanAsync(long number)
    {
        lock (gate) return last != number ? Task.CompletedTask : next.Task;
    }

    /// <summary>Of the newest; 0: there is none.</summary>
    public long LastNumber
    {
        get
        {
            lock (gate) return last;
        }
    }

    /// <summary>The first <see cref="MaxAnswer"/> events after a number.</summary>
    public IReadOnlyList<IdentityEvent> After(long number)
    {
        lock (gate)
        {
            return [.. Read(old).Concat(Read(file)).Where(e => e.Number > number).Take(MaxAnswer)];
        }
    }

    public void Dispose() => stream.Dispose();

    private static string Short(string text) => text.Length <= MaxText ? text : text[..MaxText];

    private static FileStream Open(string file)
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.Read };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = AtomicFile.OwnerOnly;
        var stream = new FileStream(file, options);
        stream.Seek(0, SeekOrigin.End);
        // After a cut-off line a new one begins.
        if (stream.Length > 0)
        {
            stream.Seek(-1, SeekOrigin.End);
            if (stream.ReadByte() != '\n') stream.WriteByte((byte)'\n');
        }
        return stream;
    }

    private static IEnumerable<IdentityEvent> Read(string file)
    {
        if (!File.Exists(file)) yield break;
        using var lines = new StreamReader(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete), Encoding.UTF8);
        while (lines.ReadLine() is { } line)
        {
            if (IdentityJson.TryRead<IdentityEvent>(Encoding.UTF8.GetBytes(line), out var read)) yield return read;
        }
    }
}
