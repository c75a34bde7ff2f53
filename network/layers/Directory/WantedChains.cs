using Florete.Runtime;

namespace Florete.Layers;

/// <summary>Certificate chains that records name and this vertex lacks: asked for at one neighbour after the other that sent such a record.</summary>
internal sealed class WantedChains(EventLoop loop)
{
    // With answers of about 1 KB that is as much in flight as records have.
    private const int MaxAskedPerPeer = 32;
    private const int MaxTries = 16;
    private static readonly TimeSpan RetryAfter = TimeSpan.FromMilliseconds(400);

    private readonly Dictionary<CertificateHash, WantedChain> wants = [];
    private readonly HashSet<ulong> byShort = [];
    private readonly Queue<CertificateHash> unasked = new();

    public int Count => wants.Count;

    public void Want(CertificateHash hash, DirectoryPeer peer)
    {
        if (!wants.TryGetValue(hash, out var want)) Add(want = new WantedChain(hash));
        if (!want.Sources.Contains(peer)) want.Sources.Add(peer);
        if (want.AskedOf is null && !TryAsk(want)) Queue(want);
    }

    /// <summary>True if a chain whose hash begins so is wanted.</summary>
    public bool IsWanted(ulong shortHash) => byShort.Contains(shortHash);

    /// <summary>True if the chain was wanted; it is not from now on.</summary>
    public bool TryTake(CertificateHash hash)
    {
        if (!wants.Remove(hash, out var want)) return false;
        byShort.Remove(hash.Short);
        Release(want);
        return true;
    }

    public void Forget(DirectoryPeer peer)
    {
        foreach (var want in wants.Values.ToArray())
        {
            want.Sources.Remove(peer);
            if (want.AskedOf == peer) want.AskedOf = null;
            if (want.Sources.Count > 0) continue;
            wants.Remove(want.Hash);
            byShort.Remove(want.Hash.Short);
        }
    }

    /// <summary>Asks again where no answer came, elsewhere if possible; gives up what nothing waits for any more.</summary>
    public void Sweep(Func<CertificateHash, bool> isNeeded)
    {
        foreach (var want in wants.Values.ToArray())
        {
            if (want.AskedOf is not null && loop.Now - want.AskedAt < RetryAfter) continue;
            if (want.Tries >= MaxTries || !isNeeded(want.Hash))
            {
                TryTake(want.Hash);
                continue;
            }
            Release(want);
            if (want.AskedOf is null && !TryAsk(want)) Queue(want);
        }
    }

    private void Add(WantedChain want)
    {
        wants.Add(want.Hash, want);
        byShort.Add(want.Hash.Short);
    }

    private bool TryAsk(WantedChain want)
    {
        for (var i = 0; i < want.Sources.Count; i++)
        {
            var peer = want.Sources[(want.Tries + i) % want.Sources.Count];
            if (peer.AskedChains >= MaxAskedPerPeer) continue;
            want.AskedOf = peer;
            want.AskedAt = loop.Now;
            want.Tries++;
            peer.AskedChains++;
            peer.RequestChain(want.Hash);
            return true;
        }
        return false;
    }

    private void Queue(WantedChain want)
    {
        if (want.IsQueued) return;
        want.IsQueued = true;
        unasked.Enqueue(want.Hash);
    }

    private void Release(WantedChain want)
    {
        if (want.AskedOf is not { } peer) return;
        peer.AskedChains--;
        want.AskedOf = null;
        // A place is free: the next that could not ask takes it.
        while (unasked.TryDequeue(out var hash))
        {
            if (!wants.TryGetValue(hash, out var next)) continue;
            next.IsQueued = false;
            if (next.AskedOf is not null || TryAsk(next)) continue;
            Queue(next);
            return;
        }
    }

    internal sealed class WantedChain(CertificateHash hash)
    {
        public CertificateHash Hash { get; } = hash;

        public List<DirectoryPeer> Sources { get; } = new(1);

        public DirectoryPeer? AskedOf { get; set; }

        public Instant AskedAt { get; set; }

        public int Tries { get; set; }

        public bool IsQueued { get; set; }
    }
}
