using Florete.Identities;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>A neighbour with which this directory exchanges records; made by <see cref="Directory.AddPeer"/>, one per link.</summary>
public sealed class DirectoryPeer : ITurnEnd
{
    // What fails costs its sender: above this rate nothing of it is even read.
    private const double FailuresAtOnce = 100, FailuresPerSecond = 20;
    private const double ChainsAtOnce = 128, ChainsPerSecond = 2000;
    private const int MaxInProgress = 512;

    private readonly EventLoop loop;
    private readonly LoopTimer retry;
    private readonly List<ulong> acknowledgements = [];
    private readonly List<CertificateHash> chainRequests = [];
    private Allowance failures = new(FailuresAtOnce, FailuresPerSecond);
    private Allowance chainReplies = new(ChainsAtOnce, ChainsPerSecond);

    internal DirectoryPeer(SpiffeId neighbour, EventLoop loop, RecordStore store, DirectoryOptions options, Action<ReadOnlySpan<byte>> send)
    {
        Neighbour = neighbour;
        NeighbourPath = neighbour.Path;
        this.loop = loop;
        Writer = new MessageWriter(options.MaxMessageBytes, send);
        Outbox = new Outbox(store, options.WindowBytes);
        retry = loop.CreateTimer(OnRetry);
    }

    public SpiffeId Neighbour { get; }

    /// <summary>Its path, made once: a flood of refusals needs it for each.</summary>
    internal string NeighbourPath { get; }

    /// <summary>The neighbour's digest was the same as this vertex's when it was last compared.</summary>
    public bool IsInStep { get; internal set; }

    public long SentMessages => Writer.SentMessages;

    public long SentBytes => Writer.SentBytes;

    public long ReceivedMessages { get; internal set; }

    public long ReceivedBytes { get; internal set; }

    /// <summary>Records sent again because no acknowledgement came.</summary>
    public long RepeatedRecords => Outbox.Repeated;

    /// <summary>Records that wait for this neighbour or for its acknowledgement.</summary>
    public int PendingRecords => Outbox.Count;

    /// <summary>What this neighbour sent and was not taken.</summary>
    public long Refused { get; internal set; }

    bool ITurnEnd.IsQueued { get; set; }

    internal MessageWriter Writer { get; }

    internal Outbox Outbox { get; }

    internal Reassembly Reassembly { get; } = new();

    internal Exchange? Exchange { get; set; }

    internal bool IsRemoved { get; private set; }

    /// <summary>Chains that this neighbour was asked for and has not sent.</summary>
    internal int AskedChains { get; set; }

    /// <summary>Records of this neighbour that are not decided about.</summary>
    internal int InProgress { get; set; }

    /// <summary>Of these, services that wait for the record of their vertex.</summary>
    internal int WaitingForVertex { get; set; }

    void ITurnEnd.OnTurnEnd()
    {
        if (IsRemoved) return;
        Writer.List(SectionType.Acknowledgement, acknowledgements);
        foreach (var hash in chainRequests) hash.Write(Writer.Section(SectionType.CertificateRequest, CertificateHash.Bytes));
        chainRequests.Clear();
        Outbox.Write(Writer, loop.Now);
        Writer.Flush();
        retry.Set(Outbox.NextRetry);
    }

    internal void Push(ulong key)
    {
        Outbox.Push(key);
        Flush();
    }

    internal void Acknowledge(ulong hash)
    {
        acknowledgements.Add(hash);
        Flush();
    }

    /// <summary>The neighbour sent this version itself.</summary>
    internal void HasVersion(DirectoryRecord record) => Outbox.Remove(record.Key);

    internal void RequestChain(CertificateHash hash)
    {
        chainRequests.Add(hash);
        Flush();
    }

    internal void SendChain(CertificateChain chain)
    {
        if (!chainReplies.TryTake(loop.Now)) return;
        Writer.Object(Fragment.OfCertificate, 0, chain.Hash.Short, chain.Encoded);
        Flush();
    }

    internal bool MayOffer(Instant now) => InProgress < MaxInProgress && MayFail(now);

    /// <summary>Too little of what it sent has failed lately to stop checking.</summary>
    internal bool MayFail(Instant now) => failures.Has(now);

    internal void Failed(Instant now) => failures.TryTake(now);

    /// <summary>Sends what was written when the turn ends.</summary>
    internal void Flush()
    {
        if (!IsRemoved) loop.AtEndOfTurn(this);
    }

    internal void Remove()
    {
        IsRemoved = true;
        retry.Cancel();
        Exchange?.Stop();
    }

    private void OnRetry()
    {
        Outbox.Retry(loop.Now);
        Flush();
    }
}
