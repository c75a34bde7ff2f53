using Florete.Identities;
using Florete.Identity.Audit;
using Florete.Identity.Contracts;
using Florete.Portals;
using Florete.Storage.Client;
using Microsoft.Extensions.Logging;

namespace Florete.Identity;

/// <summary>
/// The identity service of one node: keeps its SVIDs and its authority alive, and is the issuer where the root's key is. Works cut off from everybody
/// as long as its authority lasts.
/// </summary>
public sealed partial class IdentityService : IAsyncDisposable
{
    // flor looks at its files as often; the shortest SVIDs live for ten of these.
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    // What was read is good for so long, unless a file changes: the bounds' signature ends with its SVID, say.
    private static readonly TimeSpan ReadAgain = TimeSpan.FromSeconds(30);

    // Two changes of a file may share a time stamp.
    private static readonly TimeSpan Unsettled = TimeSpan.FromSeconds(3);

    // A thousand events of a replica.
    private const int MaxEventsBytes = 2 << 20;

    private readonly NodeFiles files;
    private readonly LeafKeeper leaves;
    private readonly AuthorityKeeper authority;
    private readonly IdentityMetrics metrics;
    private readonly Func<AuditTrail>? startTrail;
    private readonly ILogger logger;
    private readonly CancellationTokenSource stopping = new();
    private readonly FileStamps stamps;
    private readonly TimeProvider clock;
    private DateTimeOffset lookedAt, lookAgain, unsettledUntil;
    private NodeAuthority? tendedWith;
    private string lastFileProblems = "";
    private Task tending = Task.CompletedTask;
    private volatile string? fault;
    private AuditTrail? trail;

    private IdentityService(
        NodeFiles files, EventFile events, Issuer? issuer, LeafKeeper leaves, AuthorityKeeper authority, IdentityMetrics metrics, Func<AuditTrail>? startTrail, TimeProvider clock, ILogger logger)
    {
        (stamps, this.clock) = (files.Stamps(), clock);
        (this.files, Events, Issuer, this.leaves, this.authority) = (files, events, issuer, leaves, authority);
        (this.metrics, this.startTrail, this.logger) = (metrics, startTrail, logger);
    }

    public EventFile Events { get; }

    /// <summary>Null: the root's key is elsewhere.</summary>
    public Issuer? Issuer { get; }

    public SpiffeId Node => authority.Current.Node;

    public IdentityMetrics Metrics => metrics;

    /// <summary>What is missing; empty: all is well.</summary>
    public IReadOnlyList<string> Problems =>
        [.. new[] { fault, authority.Problem, lastFileProblems.Length > 0 ? lastFileProblems : null }.OfType<string>(), .. leaves.Problems];

    /// <summary>Why something is not in the audit trail yet; null: all is. What the service is for goes on without it.</summary>
    public string? AuditProblem => trail?.Problem;

    /// <param name="options">Validated here.</param>
    /// <param name="portal">As <c>service/identity</c>; null: this node asks nobody.</param>
    /// <param name="logs">For people.</param>
    /// <param name="clock">The wall clock.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="IdentityException">A file is missing or unusable; the message names it and the remedy.</exception>
    public static IdentityService Open(IdentityOptions options, IProgramPortal? portal, ILoggerFactory logs, TimeProvider clock)
    {
        options.Validate();
        var files = NodeFiles.Open(options, clock);
        var metrics = new IdentityMetrics(clock);
        using var loaded = NodeAuthority.Load(options.Folder);
        var events = EventFile.Open(options.StateFolder, clock);
        var issuer = Issuer.Open(options, loaded.Node.Name, files, events, clock);
        var client = portal is null ? null : new IssuerClient(portal, files.Cluster.Name);
        Func<byte[], CancellationToken, Task<JoinAnswer>>? ask = (issuer, client) switch
        {
            (not null, _) => (request, _) => Task.FromResult(issuer.Renew(request, loaded.Node)),
            (null, not null) => async (request, token) => Parse(await client.AskAsync("/v1/renew", request, null, token).ConfigureAwait(false)),
            _ => null,
        };
        var authority = new AuthorityKeeper(options, files, ask, metrics, clock, logs.CreateLogger<AuthorityKeeper>());
        Func<AuditTrail>? startTrail = portal is null ? null : Trail(options, portal, authority.Current.Node, events, clock, logs.CreateLogger<AuditTrail>());
        return new IdentityService(
            files, events, issuer, new LeafKeeper(options, files, events, metrics, clock, logs.CreateLogger<LeafKeeper>()), authority, metrics, startTrail, clock,
            logs.CreateLogger<IdentityService>());
    }

    /// <summary>Begins to tend; the first round is done when this returns.</summary>
    public void Start()
    {
        leaves.Tend(authority.Current);
        if (Issuer is not null) Issues(authority.Current.Node.Path);
        tending = Task.Run(TendAsync);
        trail = startTrail?.Invoke();
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync().ConfigureAwait(false);
        if (trail is not null) await trail.DisposeAsync().ConfigureAwait(false);
        await tending.ConfigureAwait(false);
        stopping.Dispose();
        authority.Dispose();
        Issuer?.Dispose();
        Events.Dispose();
        metrics.Dispose();
    }

    private static Func<AuditTrail> Trail(IdentityOptions options, IProgramPortal portal, SpiffeId node, EventFile events, TimeProvider clock, ILogger logger)
    {
        var positions = AuditPositions.Open(options.StateFolder, clock.GetUtcNow());
        var own = SpiffeId.Of(node.Cluster, IdentityKind.Vertex, node.Name);
        return () =>
        {
            var http = new HttpClient(PortalHttp.CreateHandler(portal, new ConnectOptions(Instance: own))) { MaxResponseContentBufferSize = MaxEventsBytes };
            AuditSource[] sources = [new IdentitySource(events, positions.Made), new FlorSource(Path.Combine(options.Folder, options.ControlSocket)), new StorageSource(http)];
            return new AuditTrail(node.Name, sources, positions, new StorageAuditStore(new StorageClient(portal, own)), clock, logger);
        };
    }

    private async Task TendAsync()
    {
        using var timer = new PeriodicTimer(Interval);
        var renewing = Task.CompletedTask;
        try
        {
            while (await timer.WaitForNextTickAsync(stopping.Token).ConfigureAwait(false))
            {
                try
                {
                    Look();
                    // The issuer may be slow or far away; SVIDs do not wait for it.
                    if (renewing.IsCompleted)
                    {
                        await renewing.ConfigureAwait(false);
                        renewing = authority.TendAsync(stopping.Token);
                    }
                    fault = null;
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    // One more second, and it is tried again; meanwhile the health tells.
                    fault = $"A fault of this program: {e.Message}";
                    Faulted(e);
                    if (renewing.IsFaulted) renewing = Task.CompletedTask;
                }
            }
        }
        catch (OperationCanceledException)
        {
            await renewing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    // Reading and proving all again costs a hundred times what looking at the files' stamps does.
    private void Look()
    {
        var now = clock.GetUtcNow();
        var isNew = stamps.Changed() || !ReferenceEquals(authority.Current, tendedWith);
        if (isNew) unsettledUntil = now + Unsettled;
        // A clock that was set back is no reason to wait.
        if (!isNew && now >= lookedAt && now < lookAgain && now < leaves.NextDue) return;
        (lookedAt, lookAgain, tendedWith) = (now, now < unsettledUntil ? now : now + ReadAgain, null);
        var problems = files.Refresh();
        Note(string.Join(Environment.NewLine, problems));
        leaves.Tend(authority.Current);
        if (problems.Count > 0) lookAgain = now;
        tendedWith = authority.Current;
    }

    private void Note(string problems)
    {
        if (problems != lastFileProblems && problems.Length > 0) Unusable(problems);
        lastFileProblems = problems;
    }

    private static JoinAnswer Parse(byte[] answer) => IdentityJson.TryRead<JoinAnswer>(answer, out var read)
        ? read
        : throw new JoinException(JoinRefusal.Failed, "The issuer's answer cannot be read; use the same version of Florete.");

    [LoggerMessage(Level = LogLevel.Information, Message = "{Node} has the root's key and issues")]
    private partial void Issues(string node);

    [LoggerMessage(Level = LogLevel.Error, Message = "Changed files cannot be used, what was there stays in force: {Problems}")]
    private partial void Unusable(string problems);

    [LoggerMessage(Level = LogLevel.Critical, Message = "A fault of this program; trying again")]
    private partial void Faulted(Exception fault);
}
