using System.Diagnostics;
using System.Globalization;
using Florete.Identities;
using Florete.PortalSocket;

namespace Florete.Bench.Bus;

/// <summary>A node in a folder of its own, with flor as a process and a portal socket for each service; gone when disposed.</summary>
internal sealed class BenchNode : IDisposable
{
    private const string Cluster = "bench";

    private readonly string folder = Directory.CreateTempSubdirectory("bench-bus-").FullName;
    private readonly Process flor;

    public BenchNode(params string[] services)
    {
        var now = DateTimeOffset.UtcNow;
        using var authority = CertificateAuthority.Create(Cluster, now);
        authority.Save(Path.Combine(folder, "bundle.pem"), Path.Combine(folder, "root.key"));
        foreach (var path in services.Select(static s => $"service/{s}").Prepend("vertex/a"))
            SvidFiles.Write(Path.Combine(folder, "identities"), authority.Issue(SpiffeId.Parse($"spiffe://{Cluster}/{path}"), TimeSpan.FromHours(1), now));
        var signer = authority.Issue(SpiffeId.Parse($"spiffe://{Cluster}/operator/root"), TimeSpan.FromHours(1), now);
        File.WriteAllText(Path.Combine(folder, "bounds.signed"), SignedBounds.Sign(
            $"""
            version: 1
            cluster: {Cluster}
            hosts: [{"{"}node: a, identities: ['service/*']{"}"}]
            connect: [{"{"}from: ['*'], to: ['*']{"}"}]
            """,
            "bounds.yaml",
            signer));
        var file = Path.Combine(folder, "flor.yaml");
        File.WriteAllText(file, $"""
            version: 1
            cluster: {Cluster}
            vertex: a
            identities: identities
            bundle: bundle.pem
            bounds: bounds.signed
            state: state
            control: run/flor.sock
            portals:
            {string.Join('\n', services.Select(static s => $"  - {{identity: service/{s}, socket: run/{s}.portal, owner: {Environment.UserName}}}"))}
            """);
        flor = Start("flor", "run", "--config", file, "--exit-with-parent", Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
    }

    public string SocketOf(string service) => Path.Combine(folder, $"run/{service}.portal");

    public PortalSocketClient Portal(string service) => new(SocketOf(service));

    /// <summary>CPU that flor has used.</summary>
    public TimeSpan FlorTime
    {
        get
        {
            flor.Refresh();
            return flor.TotalProcessorTime;
        }
    }

    /// <summary>A program of this folder; what it says on its standard error is thrown away.</summary>
    public static Process Start(string program, params string[] arguments)
    {
        var process = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, program), arguments) { RedirectStandardError = true })!;
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginErrorReadLine();
        return process;
    }

    public void Dispose()
    {
        flor.Kill();
        flor.WaitForExit();
        flor.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
