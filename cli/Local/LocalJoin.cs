using System.Diagnostics;
using Florete.Identities;

namespace Florete.Cli.Local;

/// <summary>How a node of the local cluster joins: as a machine would that has nothing but a token (docs/protocols/join.md).</summary>
/// <param name="Node">Its name.</param>
/// <param name="Listen">UDP address of its links.</param>
/// <param name="Contacts">Neighbours through which it joins, and their addresses.</param>
/// <param name="Outbound">A service of it and where that listens; null: none.</param>
/// <param name="Portal">Path of an identity that gets a portal socket.</param>
internal sealed record LocalJoin(string Node, string Listen, IReadOnlyList<JoinContact> Contacts, (string Service, string Address)? Outbound, string Portal)
{
    // Its neighbours run: it is a matter of seconds.
    private const int PatienceSeconds = 60;
    private static readonly TimeSpan TokenLife = TimeSpan.FromMinutes(10);

    /// <summary>Makes a token and joins with it; complete when the node's folder is made.</summary>
    /// <param name="operatorFolder">Signs the token.</param>
    /// <param name="issuer">The node that redeems it.</param>
    /// <param name="nodeFolder">The folder to make.</param>
    /// <param name="agent">The florete-agent program.</param>
    /// <param name="started">Called with the process.</param>
    /// <param name="cancellationToken">Ends the process too.</param>
    /// <exception cref="CliException">It did not join; the message says why.</exception>
    public async Task RunAsync(string operatorFolder, string issuer, string nodeFolder, string agent, Action<Process> started, CancellationToken cancellationToken)
    {
        List<string> words = ["join", "-", "--folder", nodeFolder, "--listen", Listen, "--let-join", "--portal", Portal, "--timeout", $"{PatienceSeconds}"];
        if (Outbound is { } outbound) words.AddRange(["--outbound", $"{outbound.Service}={outbound.Address}"]);
        var start = new ProcessStartInfo(agent, words) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        using var join = Process.Start(start)!;
        started(join);
        try
        {
            // Not as an argument: whoever lists the processes of this machine could join in its place.
            await join.StandardInput.WriteAsync(Token(operatorFolder, issuer).AsMemory(), cancellationToken);
            join.StandardInput.Close();
            var (output, errors) = (join.StandardOutput.ReadToEndAsync(cancellationToken), join.StandardError.ReadToEndAsync(cancellationToken));
            await join.WaitForExitAsync(cancellationToken);
            await output;
            if (join.ExitCode == 0) return;
            throw new CliException($"Node {Node} did not join: {(await errors).Trim()}", $"What its neighbours say of it is in {Path.Combine(operatorFolder, "nodes", "*", "logs")}");
        }
        finally
        {
            if (!join.HasExited) join.Kill();
        }
    }

    private string Token(string operatorFolder, string issuer)
    {
        using var from = OperatorFolder.Open(operatorFolder);
        return JoinToken.Create(TrustBundle.Load(from.BundleFile).ClusterIdentity, issuer, Node, Contacts, DateTimeOffset.UtcNow + TokenLife, from.Signer).Text;
    }
}
