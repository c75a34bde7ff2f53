using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>One network namespace: a machine's network without the machine. Named after the process that made it, so that leftovers are found.</summary>
public sealed class NetworkNamespace : IAsyncDisposable
{
    private const string Prefix = "flore2e-";

    private NetworkNamespace(string name) => Name = name;

    public string Name { get; }

    /// <summary>Makes a namespace with its loopback up.</summary>
    public static async Task<NetworkNamespace> CreateAsync(string suffix)
    {
        var made = new NetworkNamespace($"{Prefix}{Environment.ProcessId}-{suffix}");
        _ = (await Command.RunAsync(null, ["ip", "netns", "add", made.Name])).Succeeded();
        await made.IpAsync("link", "set", "lo", "up");
        return made;
    }

    /// <summary>Removes the namespaces of runs whose process is gone, and ends what still runs in them.</summary>
    public static async Task SweepAsync()
    {
        if (!Directory.Exists("/run/netns"))
        {
            return;
        }

        foreach (var path in Directory.GetFiles("/run/netns", Prefix + "*"))
        {
            var name = Path.GetFileName(path);
            var owner = name[Prefix.Length..].Split('-')[0];
            if (owner != $"{Environment.ProcessId}" && !Directory.Exists($"/proc/{owner}"))
            {
                await new NetworkNamespace(name).DisposeAsync();
            }
        }
    }

    /// <summary>`ip` with these words, inside.</summary>
    public async Task IpAsync(params string[] words) => _ = (await Command.RunAsync(null, ["ip", "-n", Name, .. words])).Succeeded();

    public async Task SysctlAsync(string setting) => _ = (await Command.RunAsync(this, ["sysctl", "-qw", setting])).Succeeded();

    /// <summary>Drops what arrives on a device, without a word to the sender: the other end sees silence.</summary>
    public async Task SilenceAsync(string device, bool on = true) =>
        _ = (await Command.RunAsync(this, ["iptables", "-w", "-t", "raw", on ? "-A" : "-D", "PREROUTING", "-i", device, "-j", "DROP"])).Succeeded();

    /// <summary>Runs a function on a thread that has entered the namespace; sockets made there stay there.</summary>
    public T Enter<T>(Func<T> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        T? result = default;
        ExceptionDispatchInfo? fault = null;
        // A thread of its own, which ends: a pooled thread would carry the namespace on to others.
        var thread = new Thread(() =>
        {
            try
            {
                var fd = Native.Open($"/run/netns/{Name}", 0);
                if (fd < 0 || Native.Setns(fd, Native.CloneNewNet) != 0)
                {
                    throw new InvalidOperationException($"setns {Name}: {Marshal.GetLastPInvokeErrorMessage()}");
                }

                _ = Native.Close(fd);
                result = body();
            }
            catch (Exception e)
            {
                fault = ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        fault?.Throw();
        return result!;
    }

    public async ValueTask DisposeAsync()
    {
        // Only what runs inside our own namespace: everything there was started by a test.
        var pids = await Command.RunAsync(null, ["ip", "netns", "pids", Name]);
        foreach (var pid in pids.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse))
        {
            // A thread of this very process may be inside for the moment that it takes to make a socket.
            if (pid != Environment.ProcessId)
            {
                _ = Native.Kill(pid, Native.Sigkill);
            }
        }

        _ = await Command.RunAsync(null, ["ip", "netns", "del", Name]);
    }
}
