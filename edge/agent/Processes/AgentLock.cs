using System.Globalization;
using Florete.Identities;

namespace Florete.Agent.Processes;

/// <summary>Says that an agent has a state folder. The lock ends with its process, however it ends.</summary>
internal static class AgentLock
{
    private const string LockFile = "agent.lock", IdFile = "agent.pid";

    /// <exception cref="IOException">Another agent has it.</exception>
    public static FileStream Take(string folder)
    {
        var file = Path.Combine(folder, LockFile);
        FileStream taken;
        try
        {
            taken = new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (File.Exists(file))
        {
            throw new IOException($"{file}: another agent has this state folder ({e.Message}); stop it with 'florete-agent stop', or give this one its own state:", e);
        }
        AtomicFile.Write(Path.Combine(folder, IdFile), Environment.ProcessId.ToString(CultureInfo.InvariantCulture), AtomicFile.OwnerOnly);
        return taken;
    }

    /// <summary>Process id of the agent that has it; null: none.</summary>
    public static int? Holder(string folder)
    {
        var (file, idFile) = (Path.Combine(folder, LockFile), Path.Combine(folder, IdFile));
        if (!File.Exists(file)) return null;
        try
        {
            using var free = new FileStream(file, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return null;
        }
        catch (IOException)
        {
            return File.Exists(idFile) && int.TryParse(File.ReadAllText(idFile), NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : null;
        }
    }
}
