using System.Text;

namespace Florete.Bus;

/// <summary>Names of queues and topics: text without control characters, of bounded length.</summary>
public static class BusNames
{
    /// <exception cref="BusException">No name for a queue; says why.</exception>
    public static void CheckQueue(string name)
    {
        if (Problem(name, BusLimits.MaxQueueNameBytes) is { } problem) throw new BusException($"The name of a queue, '{name}', {problem}.");
    }

    internal static void CheckTopics(string queue, IReadOnlyList<string> topics)
    {
        if (topics.Count > BusLimits.MaxTopics) throw new BusException($"Queue '{queue}' subscribes to {topics.Count} topics, more than {BusLimits.MaxTopics}; divide it into several queues.");
        foreach (var topic in topics)
        {
            if (Problem(topic, BusLimits.MaxTopicBytes) is { } problem) throw new BusException($"A topic of queue '{queue}', '{topic}', {problem}.");
        }
    }

    private static string? Problem(string name, int most)
    {
        if (name.Length == 0) return "is empty";
        if (name.Any(char.IsControl)) return "has control characters";
        var bytes = Encoding.UTF8.GetByteCount(name);
        return bytes > most ? $"has {bytes} bytes; at most {most} are allowed" : null;
    }
}
