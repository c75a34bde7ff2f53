using System.Globalization;
using System.Net;
using System.Text;
using Florete.Configuration;
using Florete.Identities;

namespace Florete.Agent.Configuration;

/// <summary>Reads and validates a whole agent.yaml; docs/agent.md describes it.</summary>
public static class AgentFile
{
    /// <summary>A node runs tens of programs.</summary>
    public const int MaxWorkloads = 256;

    /// <summary>The kernel takes 128 KiB for one argument, and 2 MB in all (execve(2)).</summary>
    public const int MaxCommandBytes = 64 * 1024;

    // sun_path has 108 bytes with its final zero (unix(7)).
    private const int MaxSocketPathBytes = 107;

    private static readonly TimeSpan LongestDuration = TimeSpan.FromHours(1);

    /// <summary>Reads the file; every problem is reported, in order of lines.</summary>
    /// <returns>The configuration, or null when there are problems.</returns>
    public static AgentConfiguration? Load(string file, out IReadOnlyList<ConfigurationProblem> problems)
    {
        if (ConfigurationText.Read(file, "write it (docs/agent.md)", out var problem) is { } text) return Parse(text, file, out problems);
        problems = [problem!];
        return null;
    }

    /// <summary>Parses a text as if it were the file; relative paths begin at the file's folder. Looks at no other file.</summary>
    public static AgentConfiguration? Parse(string text, string file, out IReadOnlyList<ConfigurationProblem> problems)
    {
        var found = new ConfigurationProblems(file);
        AgentConfiguration? configuration = null;
        if (!YamlTree.TryParse(text, out var root, out var line, out var error)) found.Add(line, "", $"{error}; correct the file there");
        else if (SectionReader.Of(found, root, "") is { } section) configuration = new Reader(file, section).Read();
        problems = found.All;
        return found.Count == 0 ? configuration : null;
    }

    private sealed class Reader(string file, SectionReader root)
    {
        private readonly string folder = Path.GetDirectoryName(Path.GetFullPath(file))!;

        public AgentConfiguration Read()
        {
            root.Number("version", 1, 1, "write version: 1");
            var cluster = Label(root, "cluster", "write the cluster's name, as in cluster: home");
            var node = Label(root, "node", "write this node's name, as in node: a");
            var state = FilePath(root, "state", "write a path, as in state: state/agent");
            var logs = FilePath(root, "logs", "write a path, as in logs: logs");
            var control = SocketPath(root, "control", "write a path, as in control: run/agent.sock");
            var portal = SocketPath(root, "portal", null);
            var sections = root.Sections("workloads").ToArray();
            if (sections.Length == 0 && !root.Has("workloads")) root.Problem("workloads", "it is missing; list what this node runs, as in - {name: flor, run: [flor, run, --config, flor.yaml]}");
            if (sections.Length > MaxWorkloads) root.Problem("workloads", $"it has {sections.Length} entries; at most {MaxWorkloads} are run");
            var workloads = sections.Take(MaxWorkloads).Select(section => Workload(section, portal is not null)).ToArray();
            root.Finish();
            foreach (var twice in workloads.GroupBy(workload => workload.Name).Where(group => group.Key is not null && group.Count() > 1))
            {
                root.Problem("workloads", $"'{twice.Key}' is listed {twice.Count()} times; give each its own name");
            }
            // Whatever is null here has a problem, and then nobody uses the result.
            return new AgentConfiguration
            {
                File = Path.GetFullPath(file),
                Cluster = cluster!,
                Node = node!,
                StateFolder = state!,
                LogFolder = logs!,
                ControlSocket = control!,
                PortalSocket = portal,
                Workloads = workloads,
            };
        }

        private WorkloadConfiguration Workload(SectionReader section, bool hasPortal)
        {
            var name = Label(section, "name", "write what it is called here, as in name: storage");
            var command = Command(section);
            var where = section.Text("folder", null) is { } text ? Path.GetFullPath(text, folder) : folder;
            var environment = Environment(section);
            var bytes = command.Sum(static word => Encoding.UTF8.GetByteCount(word) + 1) + environment.Sum(static pair => pair.Key.Length + Encoding.UTF8.GetByteCount(pair.Value) + 2);
            if (bytes > MaxCommandBytes) section.Problem("run", $"arguments and environment have {bytes} bytes; at most {MaxCommandBytes} are passed, put the rest into a file");
            var health = section.Section("health") is { } given ? Health(section, given, hasPortal) : null;
            var restart = section.Value<object>("restart", null, RestartOf);
            var (startWithin, stopWithin) = (Duration(section, "startWithin", 60), Duration(section, "stopWithin", 10));
            section.Finish();
            return new WorkloadConfiguration
            {
                Name = name!,
                Program = command.FirstOrDefault()!,
                Arguments = command.Skip(1).ToArray(),
                Folder = where,
                Environment = environment,
                Health = health,
                Restart = (RestartRule?)restart ?? RestartRule.Always,
                StartWithin = startWithin,
                StopWithin = stopWithin,
            };
        }

        private static string[] Command(SectionReader section)
        {
            const string Remedy = "write program and arguments, as in run: [flor, run, --config, flor.yaml]";
            if (!section.Has("run")) section.Problem("run", $"it is missing; {Remedy}");
            var words = section.List("run").Select(item => section.Scalar(item.Node, item.Path, Remedy)).OfType<string>().ToArray();
            if (section.Has("run") && words.Length == 0) section.Problem("run", $"it names no program; {Remedy}");
            if (words.Any(static word => word.Contains('\0', StringComparison.Ordinal))) section.Problem("run", "an argument has a zero character, which no program can be given; remove it");
            return words;
        }

        private static Dictionary<string, string> Environment(SectionReader section)
        {
            var read = new Dictionary<string, string>(StringComparer.Ordinal);
            if (section.Section("environment") is not { } variables) return read;
            foreach (var key in variables.Keys)
            {
                if (key.Length == 0 || key.Contains('=', StringComparison.Ordinal) || char.IsAsciiDigit(key[0])) variables.Problem(key, "it is no name of a variable; write it as in LOG_LEVEL: debug");
                else if (key.StartsWith("FLORETE_AGENT_", StringComparison.Ordinal)) variables.Problem(key, "names with FLORETE_AGENT_ are the agent's own; use another");
                else if (variables.Text(key, "write its value, in quotes if it is empty") is { } value) read[key] = value;
            }
            variables.Finish();
            return read;
        }

        private HealthConfiguration Health(SectionReader workload, SectionReader section, bool hasPortal)
        {
            var url = section.Value<Uri>("url", null, Url);
            var socket = SocketPath(section, "socket", null);
            if (section.Has("url") == section.Has("socket")) workload.Problem("health", "write one of url: and socket:, as in health: {url: http://storage.rete/v1/health}");
            var every = Duration(section, "every", 10);
            var within = Duration(section, "within", 2);
            var failures = section.Has("failures") ? section.Number("failures", 1, 1000, "write how many, as in failures: 3") : 3;
            section.Finish();
            var health = new HealthConfiguration(url, socket, every, within, (int)(failures ?? 3));
            if (health.IsByPortal && !hasPortal) section.Problem("url", "names of the mesh are asked through the agent's own portal socket; write portal: run/agent.portal at the top of the file, and that socket into flor.yaml");
            return health;
        }

        private static bool Url(string text, out Uri? value, out string? error)
        {
            error = null;
            if (Uri.TryCreate(text, UriKind.Absolute, out value) && value.Scheme == Uri.UriSchemeHttp
                && (value.Host.EndsWith(".rete", StringComparison.OrdinalIgnoreCase) || value.Host == "localhost" || (IPAddress.TryParse(value.Host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address))))
            {
                return true;
            }
            value = null;
            error = $"'{SectionReader.Short(text)}' is neither a name of the mesh nor this machine; write it as in http://storage.rete/v1/health or http://127.0.0.1:9464/health";
            return false;
        }

        private static bool RestartOf(string text, out object? value, out string? error)
        {
            value = text switch { "always" => RestartRule.Always, "onFailure" => RestartRule.OnFailure, "never" => RestartRule.Never, _ => null };
            error = value is null ? $"'{SectionReader.Short(text)}' is no rule; {Nearest.Suggest(text, "always", "onFailure", "never")}" : null;
            return value is not null;
        }

        private static TimeSpan Duration(SectionReader section, string key, int defaultSeconds) =>
            (TimeSpan?)section.Value<object>(key, null, DurationOf) ?? TimeSpan.FromSeconds(defaultSeconds);

        private static bool DurationOf(string text, out object? value, out string? error)
        {
            (value, error) = (null, null);
            var (suffix, unit) = text switch
            {
                _ when text.EndsWith("ms", StringComparison.Ordinal) => ("ms", TimeSpan.FromMilliseconds(1)),
                _ when text.EndsWith('s') => ("s", TimeSpan.FromSeconds(1)),
                _ when text.EndsWith('m') => ("m", TimeSpan.FromMinutes(1)),
                _ => ("", TimeSpan.Zero),
            };
            if (suffix.Length > 0 && int.TryParse(text.AsSpan(0, text.Length - suffix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            {
                var duration = unit * number;
                if (duration >= TimeSpan.FromMilliseconds(10) && duration <= LongestDuration)
                {
                    value = duration;
                    return true;
                }
                error = $"'{SectionReader.Short(text)}' is not between 10ms and 60m; write what is meant, as in 5s";
                return false;
            }
            error = $"'{SectionReader.Short(text)}' is no duration; write it as in 500ms, 5s or 2m";
            return false;
        }

        private string? FilePath(SectionReader section, string key, string? remedy) =>
            section.Text(key, remedy) is { } text ? Path.GetFullPath(text, folder) : null;

        private string? SocketPath(SectionReader section, string key, string? remedy)
        {
            if (FilePath(section, key, remedy) is not { } path) return null;
            var bytes = Encoding.UTF8.GetByteCount(path);
            if (bytes > MaxSocketPathBytes) section.Problem(key, $"the path '{SectionReader.Short(path)}' has {bytes} bytes, and a Unix socket's has at most {MaxSocketPathBytes}; use a shorter one");
            return path;
        }

        private static string? Label(SectionReader section, string key, string remedy) =>
            section.Value<string>(key, remedy, (string text, out string? value, out string? error) =>
            {
                value = text;
                var ok = SpiffeId.TryParse($"spiffe://{text}/vertex/a", out _, out error);
                if (!ok) error = $"'{SectionReader.Short(text)}' is no name; write 1 to 63 of a-z, 0-9 and '-'";
                return ok;
            });
    }
}
