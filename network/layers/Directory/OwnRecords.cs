using System.Security.Cryptography;
using Florete.Identities;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Layers;

/// <summary>
/// The records that this vertex makes: its own and those of the services that it publishes, all of one incarnation. Signs them anew before they
/// age out, when an SVID is renewed, and when a newer one from a former life is heard.
/// </summary>
internal sealed partial class OwnRecords : IDisposable
{
    private const ulong LastSequence = 1UL << 62;
    private const double LargeMetricRatio = 1.5, SmallMetricRatio = 1.05;
    private const uint LargeMetricMicroseconds = 500, LargeLossPartsPerMillion = 20_000, SmallLossPartsPerMillion = 1_000;
    private static readonly TimeSpan LeastChangeInterval = TimeSpan.FromMilliseconds(50), LargeQualityInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FirstJump = TimeSpan.FromSeconds(1), LongestJump = TimeSpan.FromMinutes(1);

    private readonly DirectoryOptions options;
    private readonly EventLoop loop;
    private readonly HeldIdentity vertex;
    private readonly IBounds bounds;
    private readonly RevocationList revocations;
    private readonly IDirectoryCache? cache;
    private readonly ILogger logger;
    private readonly Random random;
    private readonly Dictionary<SpiffeId, Own> own = [];
    private readonly LoopTimer refresh, change, jump;
    private IReadOnlyList<TopologyAdjacency> wanted = [], advertised = [];
    private Candidacy? candidacy, advertisedCandidacy;
    private ulong sequence;
    private Instant vertexIssued, vertexRefresh = Instant.Never, jumped;
    private TimeSpan jumpInterval = FirstJump;

    public OwnRecords(
        DirectoryOptions options, EventLoop loop, HeldIdentity vertex, IBounds bounds, RevocationList revocations, IDirectoryCache? cache, ILogger logger,
        Random random)
    {
        this.options = options;
        this.loop = loop;
        this.vertex = vertex;
        this.bounds = bounds;
        this.revocations = revocations;
        this.cache = cache;
        this.logger = logger;
        this.random = random;
        refresh = loop.CreateTimer(Refresh);
        change = loop.CreateTimer(IssueVertex);
        jump = loop.CreateTimer(Jump);
        jumped = loop.Now - LongestJump;
        var state = cache?.LoadVertex() ?? default;
        SegmentIndex = state.SegmentIndex;
        // A clock may have gone back, a cache may be lost: whichever is greater is newer than the former life.
        Incarnation = Math.Max(state.Incarnation + 1, (ulong)Math.Max(1, loop.WallClock.GetUtcNow().ToUnixTimeSeconds()));
        Save();
    }

    public ulong Incarnation { get; private set; }

    public ushort SegmentIndex { get; private set; }

    /// <summary>Takes a record that was just signed: store it, send it.</summary>
    public required Action<byte[], X509Svid> Issued { get; init; }

    /// <summary>Signs the first vertex record.</summary>
    public void Start()
    {
        vertex.Renewed += OnRenewed;
        IssueVertex();
    }

    public void Announce(HeldIdentity service)
    {
        if (own.TryGetValue(service.Id, out var held) && !held.IsWithdrawn && held.Identity == service) return;
        if (held is not null) held.Identity.Renewed -= OnRenewed;
        service.Renewed += OnRenewed;
        own[service.Id] = new Own(service);
        IssueService(own[service.Id]);
    }

    public void Withdraw(SpiffeId service)
    {
        if (!own.TryGetValue(service, out var held) || held.IsWithdrawn) return;
        held.Identity.Renewed -= OnRenewed;
        held.IsWithdrawn = true;
        IssueService(held);
        // A tombstone outlives every copy of what it buries, and is not renewed.
        held.RefreshAt = Instant.Never;
        held.ForgetAt = loop.Now + options.MaxAge;
    }

    /// <summary>Announces again what is not held, because the bounds did not allow it before, or its SVID was revoked.</summary>
    public void AnnounceWhatIsMissing(RecordStore store)
    {
        var held = store.FindOrigin(vertex.Id)?.Services;
        foreach (var item in own.Values)
        {
            if (!item.IsWithdrawn && held?.ContainsKey(item.Identity.Id) != true) IssueService(item);
        }
    }

    /// <summary>
    /// Advertises adjacencies: links that come or go at once, large changes of quality at most every second, small ones at most every
    /// few seconds, and noise with the next record.
    /// </summary>
    public void SetAdjacencies(IReadOnlyList<TopologyAdjacency> adjacencies)
    {
        wanted = [.. adjacencies.OrderBy(static a => a.MetricMicroseconds).Take(DirectoryLimits.MaxAdjacencies)
            .OrderBy(static a => a.Neighbour).ThenBy(static a => a.Segment.Value)];
        if (adjacencies.Count > DirectoryLimits.MaxAdjacencies) LogTooManyAdjacencies(logger, adjacencies.Count, DirectoryLimits.MaxAdjacencies);
        Advertise();
    }

    /// <summary>Says what the coordinator program of this vertex is; null: nothing. At once, as links that come or go.</summary>
    public void SetCandidacy(Candidacy? candidacy)
    {
        this.candidacy = candidacy;
        Advertise();
    }

    private void Advertise()
    {
        var wait = Urgency();
        if (wait is null)
        {
            change.Cancel();
            return;
        }
        var at = vertexIssued + wait.Value;
        if (at <= loop.Now) IssueVertex();
        else change.Set(Instant.Min(change.Deadline, at));
    }

    /// <summary>Claims another node segment.</summary>
    public void MoveSegment(ushort index)
    {
        SegmentIndex = index;
        Save();
        LogMoved(logger, index, new SegmentClaim(vertex.Id, index).Label.Value);
        IssueVertex();
    }

    /// <summary>
    /// A genuine record of this vertex is about that is newer than what this life made, or that it does not know: from a former life, or from
    /// another machine with this identity. Jump past it, ever more rarely if it does not end.
    /// </summary>
    public void Heard(RecordVersion newer, bool isKnownHere)
    {
        if (newer.Incarnation < Incarnation) return;
        if (newer.Incarnation == Incarnation && isKnownHere && newer.Sequence < LastSequence)
        {
            sequence = Math.Max(sequence, newer.Sequence);
        }
        else
        {
            Incarnation = newer.Incarnation + 1;
        }
        if (jump.IsSet) return;
        if (loop.Now - jumped > jumpInterval * 4) jumpInterval = FirstJump;
        else jumpInterval = jumpInterval * 2 < LongestJump ? jumpInterval * 2 : LongestJump;
        var at = jumped + jumpInterval;
        jump.Set(at > loop.Now ? at : loop.Now);
    }

    public void Dispose()
    {
        vertex.Renewed -= OnRenewed;
        foreach (var held in own.Values) held.Identity.Renewed -= OnRenewed;
        refresh.Cancel();
        change.Cancel();
        jump.Cancel();
    }

    /// <summary>How long after the last record the next is due; null if nothing changed that matters.</summary>
    private TimeSpan? Urgency()
    {
        if (wanted.Count != advertised.Count || candidacy != advertisedCandidacy) return LeastChangeInterval;
        TimeSpan? wait = null;
        for (var i = 0; i < wanted.Count; i++)
        {
            var (now, was) = (wanted[i], advertised[i]);
            if (now.Neighbour != was.Neighbour || now.Segment != was.Segment) return LeastChangeInterval;
            var ratio = now.MetricMicroseconds > was.MetricMicroseconds
                ? (double)now.MetricMicroseconds / Math.Max(1, was.MetricMicroseconds)
                : (double)was.MetricMicroseconds / Math.Max(1, now.MetricMicroseconds);
            var difference = Math.Abs((long)now.MetricMicroseconds - was.MetricMicroseconds);
            var loss = Math.Abs((long)now.LossPartsPerMillion - was.LossPartsPerMillion);
            var isLarge = (ratio >= LargeMetricRatio && difference >= LargeMetricMicroseconds) || loss >= LargeLossPartsPerMillion;
            var isSmall = ratio >= SmallMetricRatio || loss >= SmallLossPartsPerMillion || now.CapacityBitsPerSecond != was.CapacityBitsPerSecond;
            if (isLarge) wait = LargeQualityInterval;
            else if (isSmall) wait ??= options.QualityInterval;
        }
        return wait;
    }

    private void IssueVertex()
    {
        change.Cancel();
        (advertised, advertisedCandidacy) = (wanted, candidacy);
        vertexIssued = loop.Now;
        var room = DirectoryLimits.MaxRecordBytes - 50 - 4 - SpiffeId.MaxLength - RecordView.SignatureBytes;
        Sign(RecordKind.Vertex, RecordFlags.None, vertex.Current, "", new VertexBody(SegmentIndex, wanted, candidacy).Encode(room));
        vertexRefresh = RefreshTime();
        SetRefresh();
    }

    private void IssueService(Own held)
    {
        var refusal = bounds.MayHost(vertex.Id, held.Identity.Id).Refusal ?? revocations.Refusal(held.Identity.Current);
        if (refusal is not null)
        {
            LogNotAllowed(logger, held.Identity.Id, refusal);
            held.RefreshAt = Instant.Never;
            return;
        }
        Sign(RecordKind.Service, held.IsWithdrawn ? RecordFlags.Withdrawn : RecordFlags.None, held.Identity.Current, vertex.Id.ToString(), []);
        if (!held.IsWithdrawn) held.RefreshAt = RefreshTime();
        SetRefresh();
    }

    private void Sign(RecordKind kind, RecordFlags flags, X509Svid signer, string subject, ReadOnlySpan<byte> body)
    {
        try
        {
            Issued(RecordWriter.Sign(options.Layer, kind, flags, Incarnation, ++sequence, signer, subject, body), signer);
        }
        catch (CryptographicException e)
        {
            LogCannotSign(logger, signer.Id, e);
        }
    }

    private Instant RefreshTime() => loop.Now + (options.MaxAge * (0.45 + (0.05 * random.NextDouble())));

    private void SetRefresh()
    {
        var next = vertexRefresh;
        foreach (var held in own.Values) next = Instant.Min(next, Instant.Min(held.RefreshAt, held.ForgetAt));
        refresh.Set(next);
    }

    private void Refresh()
    {
        if (vertexRefresh <= loop.Now) IssueVertex();
        foreach (var held in own.Values.ToArray())
        {
            if (held.ForgetAt <= loop.Now) own.Remove(held.Identity.Id);
            else if (held.RefreshAt <= loop.Now) IssueService(held);
        }
        SetRefresh();
    }

    private void Jump()
    {
        jumped = loop.Now;
        LogJump(logger, vertex.Id, Incarnation);
        Save();
        IssueVertex();
        foreach (var held in own.Values) IssueService(held);
    }

    private void OnRenewed(HeldIdentity renewed) => loop.Post(() =>
    {
        if (renewed == vertex) IssueVertex();
        else if (own.TryGetValue(renewed.Id, out var held) && !held.IsWithdrawn && held.Identity == renewed) IssueService(held);
    });

    private void Save()
    {
        try
        {
            cache?.SaveVertex(new VertexState(Incarnation, SegmentIndex));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The clock alone makes the next incarnation greater then; a full disk must not stop the network.
            LogCannotSave(logger, e);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Directory: the incarnation cannot be saved; free the disk or correct the folder's owner. The directory goes on.")]
    private static partial void LogCannotSave(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Directory: {Service} is not announced: {Refusal}")]
    private static partial void LogNotAllowed(ILogger logger, SpiffeId service, string refusal);

    [LoggerMessage(Level = LogLevel.Error, Message = "Directory: cannot sign as {Identity}; its SVID needs an ECDSA P-256 key.")]
    private static partial void LogCannotSign(ILogger logger, SpiffeId identity, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Directory: a newer record of {Vertex} is about (lost state, or two machines with one identity); now incarnation {Incarnation}.")]
    private static partial void LogJump(ILogger logger, SpiffeId vertex, ulong incarnation);

    [LoggerMessage(Level = LogLevel.Information, Message = "Directory: another vertex holds the node segment; now claiming candidate {Index}, label {Label}.")]
    private static partial void LogMoved(ILogger logger, ushort index, uint label);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Directory: {Count} adjacencies; the {Max} with the lowest metric are advertised.")]
    private static partial void LogTooManyAdjacencies(ILogger logger, int count, int max);

    private sealed class Own(HeldIdentity identity)
    {
        public HeldIdentity Identity { get; } = identity;

        public bool IsWithdrawn { get; set; }

        public Instant RefreshAt { get; set; } = Instant.Never;

        public Instant ForgetAt { get; set; } = Instant.Never;
    }
}
