using System.Text;
using Florete.Identities;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>A record or chain that arrived and has not been decided about.</summary>
internal sealed class Arrival
{
    /// <summary>Who sent it; null: the cache.</summary>
    public required DirectoryPeer? Peer { get; init; }

    public required byte[] Bytes { get; init; }

    /// <summary>Hash of a record; unused for a chain.</summary>
    public ulong Hash { get; init; }

    /// <summary>When the record's age has run out.</summary>
    public Instant Deadline { get; init; }

    public bool IsChain { get; init; }

    public bool WaitsForVertex { get; set; }

    /// <summary>When it began to wait for something else.</summary>
    public Instant WaitsSince { get; set; }
}

/// <summary>
/// The way in: queues what arrives, decides about a few per turn (data packets share the turn), and keeps what lacks its chain or its vertex's
/// record until that has come.
/// </summary>
internal sealed class Intake
{
    // A record costs about 0.1 ms and a chain about 0.5 ms of a turn that data packets wait for.
    private const int UnitsPerTurn = 8, RecordUnits = 1, ChainUnits = 4;
    private const int MaxRemembered = 4096;
    // Half of what may be in progress, so that services which came first leave room for the vertex records that they wait for.
    private const int MaxWaitingForVertex = 256;
    private static readonly TimeSpan RememberFor = TimeSpan.FromSeconds(60), WaitAtMost = TimeSpan.FromSeconds(15);

    private readonly DirectoryOptions options;
    private readonly EventLoop loop;
    private readonly RecordStore store;
    private readonly Admission admission;
    private readonly IPeerVerifier verifier;
    private readonly DirectoryCounters counters;
    private readonly Queue<Arrival> queue = new();
    private readonly HashSet<ulong> inProgress = [];
    private readonly Dictionary<ulong, List<Arrival>> waiting = [];
    private readonly Dictionary<ulong, Instant> refused = [];
    private readonly Action decide;
    private bool isScheduled;

    public Intake(
        DirectoryOptions options, EventLoop loop, RecordStore store, Admission admission, IPeerVerifier verifier, DirectoryCounters counters)
    {
        this.options = options;
        this.loop = loop;
        this.store = store;
        this.admission = admission;
        this.verifier = verifier;
        this.counters = counters;
        Wanted = new WantedChains(loop);
        decide = Decide;
    }

    public WantedChains Wanted { get; }

    public IPeerVerifier Verifier => verifier;

    /// <summary>Records queued or waiting.</summary>
    public int InProgress => inProgress.Count;

    /// <summary>A record passed every check and is newer than the one held.</summary>
    public required Action<DirectoryRecord, DirectoryPeer?> Accepted { get; init; }

    /// <summary>Takes a record from a neighbour or, with no peer, from the cache.</summary>
    public void OfferRecord(DirectoryPeer? peer, ReadOnlySpan<byte> bytes, ushort ageSeconds)
    {
        if (!RecordView.TryParse(bytes, out var view))
        {
            counters.Refuse(DirectoryRefusal.Malformed, peer, null);
            return;
        }
        var version = view.Version();
        var key = view.Key();
        if (store.Find(key) is { } held && held.Version >= version)
        {
            peer?.Acknowledge(version.Hash);
            if (held.Version.Hash == version.Hash) peer?.HasVersion(held);
            else TellNewer(peer, held);
            return;
        }
        if (refused.ContainsKey(version.Hash))
        {
            peer?.Acknowledge(version.Hash);
            counters.Count(DirectoryRefusal.Repeated);
            return;
        }
        // One hop costs a second: ages fall even where messages take no time.
        var age = Math.Min(ageSeconds, options.MaxAge.TotalSeconds) - (peer is null ? 0 : 1);
        if (age <= 0 && (view.Flags & RecordFlags.Lasting) == 0)
        {
            peer?.Acknowledge(version.Hash);
            counters.Refuse(DirectoryRefusal.Expired, peer, null);
            return;
        }
        if (inProgress.Contains(version.Hash))
        {
            // Who sent it first may never send the chain, or be gone.
            if (peer is not null && waiting.ContainsKey(view.Certificate.Short)) Wanted.Want(view.Certificate, peer);
            return;
        }
        if (peer is not null && !peer.MayOffer(loop.Now))
        {
            counters.Refuse(DirectoryRefusal.PeerLimit, peer, null);
            return;
        }
        if (peer is not null) peer.InProgress++;
        inProgress.Add(version.Hash);
        Enqueue(new Arrival { Peer = peer, Bytes = bytes.ToArray(), Hash = version.Hash, Deadline = loop.Now + TimeSpan.FromSeconds(age) });
    }

    /// <summary>Takes a certificate chain, wanted if from a neighbour.</summary>
    public void OfferChain(DirectoryPeer? peer, ReadOnlySpan<byte> encoded)
    {
        // Before the chain counts as come: who may have no more checked must not keep it from coming from elsewhere.
        if (peer?.MayFail(loop.Now) == false)
        {
            counters.Refuse(DirectoryRefusal.PeerLimit, peer, null);
            return;
        }
        if (encoded.Length > DirectoryLimits.MaxEncodedChainBytes || (peer is not null && !Wanted.TryTake(CertificateHash.Of(encoded))))
        {
            counters.Refuse(DirectoryRefusal.Unwanted, peer, null);
            return;
        }
        Enqueue(new Arrival { Peer = peer, Bytes = encoded.ToArray(), IsChain = true });
    }

    /// <summary>Forgets refusals: other bounds, another bundle, another answer.</summary>
    public void ForgetRefusals() => refused.Clear();

    /// <summary>Drops what has waited too long and asks again for chains; called about once a second.</summary>
    public void Sweep()
    {
        foreach (var (key, list) in waiting.ToArray())
        {
            foreach (var arrival in list.Where(a => loop.Now - a.WaitsSince > WaitAtMost).ToArray())
            {
                list.Remove(arrival);
                // A neighbour that went away meanwhile could not send what lacks.
                if (arrival.Peer is { IsRemoved: false }) Refused(DirectoryRefusal.Unproved, arrival, null);
                Done(arrival);
            }
            if (list.Count == 0) waiting.Remove(key);
        }
        foreach (var (hash, since) in refused)
        {
            if (loop.Now - since > RememberFor) refused.Remove(hash);
        }
        Wanted.Sweep(hash => waiting.ContainsKey(hash.Short));
    }

    /// <summary>Takes up again what waited for this key of a record or hash of a chain.</summary>
    public void Release(ulong waitedFor)
    {
        if (!waiting.Remove(waitedFor, out var list)) return;
        foreach (var arrival in list)
        {
            StopsWaiting(arrival);
            Enqueue(arrival);
        }
    }

    private void TellNewer(DirectoryPeer? peer, DirectoryRecord held)
    {
        counters.Refuse(DirectoryRefusal.Stale, peer, null);
        peer?.Push(held.Key);
    }

    private void Enqueue(Arrival arrival)
    {
        queue.Enqueue(arrival);
        Schedule();
    }

    private void Schedule()
    {
        if (isScheduled) return;
        isScheduled = true;
        loop.Post(decide);
    }

    private void Decide()
    {
        isScheduled = false;
        for (var units = UnitsPerTurn; units > 0 && queue.TryDequeue(out var arrival);)
        {
            if (arrival.IsChain)
            {
                DecideChain(arrival);
                units -= ChainUnits;
            }
            else
            {
                DecideRecord(arrival);
                units -= RecordUnits;
            }
        }
        if (queue.Count > 0) Schedule();
    }

    private void DecideChain(Arrival arrival)
    {
        var hash = CertificateHash.Of(arrival.Bytes);
        if (store.TryGetChain(hash, out _)) return;
        if (arrival.Peer?.MayFail(loop.Now) == false)
        {
            counters.Refuse(DirectoryRefusal.PeerLimit, arrival.Peer, null);
            if (!waiting.Remove(hash.Short, out var unread)) return;
            foreach (var record in unread) DropUnread(record);
            return;
        }
        counters.ChainsVerified++;
        var chain = CertificateChain.Verify(arrival.Bytes, verifier, loop.WallClock.GetUtcNow(), out var refusal);
        if (chain is null || (store.Bytes + arrival.Bytes.Length > options.MaxBytes && chain.Id.Kind != IdentityKind.Operator))
        {
            arrival.Peer?.Failed(loop.Now);
            var reason = chain is null ? DirectoryRefusal.Certificate : DirectoryRefusal.Quota;
            counters.Refuse(reason, arrival.Peer, refusal);
            if (!waiting.Remove(hash.Short, out var lost)) return;
            foreach (var record in lost)
            {
                Refused(reason, record, refusal);
                Refuse(record);
            }
            return;
        }
        store.AddChain(chain, loop.Now);
        Release(hash.Short);
    }

    private void DecideRecord(Arrival arrival)
    {
        if (!RecordView.TryParse(arrival.Bytes, out var view)) return;
        var held = store.Find(view.Key());
        if (held is not null && held.Version >= view.Version())
        {
            // A newer one, or the same from another neighbour, was faster.
            Done(arrival);
            arrival.Peer?.Acknowledge(arrival.Hash);
            if (held.Version.Hash != arrival.Hash) TellNewer(arrival.Peer, held);
            return;
        }
        // Others that came with it may have failed since it was queued.
        if (arrival.Peer?.MayFail(loop.Now) == false)
        {
            DropUnread(arrival);
            return;
        }
        counters.RecordsChecked++;
        switch (admission.Check(arrival.Bytes, loop.Now, loop.WallClock.GetUtcNow(), arrival.Deadline, out var record, out var refusal, out var detail))
        {
            case AdmissionResult.Accepted:
                Done(arrival);
                arrival.Peer?.Acknowledge(arrival.Hash);
                Accepted(record!, arrival.Peer);
                Release(record!.Key);
                break;
            case AdmissionResult.Refused:
                if (refusal is DirectoryRefusal.Signature or DirectoryRefusal.WrongIdentity) arrival.Peer?.Failed(loop.Now);
                Refused(refusal, arrival, detail);
                Refuse(arrival);
                break;
            case AdmissionResult.Later:
                counters.Refuse(refusal, arrival.Peer, detail);
                Done(arrival);
                break;
            case AdmissionResult.NeedsChain:
                Wait(arrival, view.Certificate.Short);
                if (arrival.Peer is not null) Wanted.Want(view.Certificate, arrival.Peer);
                break;
            default:
                if (arrival.Peer?.WaitingForVertex >= MaxWaitingForVertex)
                {
                    DropUnread(arrival);
                    break;
                }
                arrival.WaitsForVertex = true;
                if (arrival.Peer is not null) arrival.Peer.WaitingForVertex++;
                Wait(arrival, RecordView.KeyOf(RecordKind.Vertex, view.Subject, default));
                break;
        }
    }

    private void Wait(Arrival arrival, ulong waitedFor)
    {
        arrival.WaitsSince = loop.Now;
        if (!waiting.TryGetValue(waitedFor, out var list)) waiting.Add(waitedFor, list = new List<Arrival>(1));
        list.Add(arrival);
    }

    private static void StopsWaiting(Arrival arrival)
    {
        if (arrival.WaitsForVertex && arrival.Peer is not null) arrival.Peer.WaitingForVertex--;
        arrival.WaitsForVertex = false;
    }

    /// <summary>Not acknowledged, so an honest neighbour sends it again.</summary>
    private void DropUnread(Arrival arrival)
    {
        counters.Refuse(DirectoryRefusal.PeerLimit, arrival.Peer, null);
        Done(arrival);
    }

    // Names the record as it names itself, which proves nothing.
    private void Refused(DirectoryRefusal reason, Arrival arrival, string? detail)
    {
        if (!RecordView.TryParse(arrival.Bytes, out var view))
        {
            counters.Refuse(reason, arrival.Peer, detail);
            return;
        }
        var isPublication = view.Kind == RecordKind.Service;
        var signer = Printable(view.Signer);
        var which = isPublication ? $"a record that {signer} is at {Printable(view.Subject)}" : $"a record of {signer}";
        counters.Refuse(reason, arrival.Peer, detail is null || detail == signer ? which : $"{which}: {detail}", isPublication);
    }

    private static string Printable(ReadOnlySpan<byte> word)
    {
        var text = Encoding.Latin1.GetString(word);
        return text.Any(char.IsControl) ? string.Concat(text.Select(static c => char.IsControl(c) ? '?' : c)) : text;
    }

    private void Refuse(Arrival arrival)
    {
        if (refused.Count >= MaxRemembered) refused.Clear();
        refused[arrival.Hash] = loop.Now;
        arrival.Peer?.Acknowledge(arrival.Hash);
        Done(arrival);
    }

    private void Done(Arrival arrival)
    {
        StopsWaiting(arrival);
        inProgress.Remove(arrival.Hash);
        if (arrival.Peer is not null) arrival.Peer.InProgress--;
    }
}
