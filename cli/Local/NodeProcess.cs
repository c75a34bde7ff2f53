using System.Diagnostics;
using System.Globalization;

namespace Florete.Cli.Local;

/// <summary>The agent of one node of the local cluster, its output in a log file. Ends with this process: it is told whom to watch.</summary>
internal sealed class NodeProcess : IDisposable
{
    // A log that runs over begins anew.
    private const long MaxLogBytes = 4 * 1024 * 1024;

    private readonly Lock gate = new();
    private readonly StreamWriter log;
    private readonly Process process;

    public NodeProcess(string agent, string node, string nodeFolder, string logFile)
    {
        (Node, NodeFolder) = (node, nodeFolder);
        LogFile = logFile;
        var file = new FileStream(logFile, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite);
        file.Seek(0, SeekOrigin.End);
        log = new StreamWriter(file) { AutoFlush = true };
        var start = new ProcessStartInfo(agent)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var word in new[] { "run", "--config", LocalAgent.ConfigurationFile(nodeFolder), "--exit-with-parent" }) start.ArgumentList.Add(word);
        start.ArgumentList.Add(Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
        process = Process.Start(start)!;
        Known = KnownProcess.Of(node, process.Id);
        process.OutputDataReceived += (_, line) => Write(line.Data);
        process.ErrorDataReceived += (_, line) => Write(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public string Node { get; }

    public string NodeFolder { get; }

    public string LogFile { get; }

    public KnownProcess Known { get; }

    /// <summary>Null while it runs.</summary>
    public int? ExitCode => process.HasExited ? process.ExitCode : null;

    public string LastWords()
    {
        lock (gate)
        {
            var words = File.Exists(LogFile) ? ReadShared().Split('\n', StringSplitOptions.RemoveEmptyEntries) : [];
            return string.Join('\n', words.TakeLast(5));
        }
    }

    public void Dispose()
    {
        process.Dispose();
        lock (gate) log.Dispose();
    }

    private string ReadShared()
    {
        using var reader = new StreamReader(new FileStream(LogFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        return reader.ReadToEnd();
    }

    private void Write(string? line)
    {
        if (line is null) return;
        lock (gate)
        {
            if (!log.BaseStream.CanWrite) return;
            if (log.BaseStream.Length > MaxLogBytes) log.BaseStream.SetLength(0);
            log.WriteLine(line);
        }
    }
}
