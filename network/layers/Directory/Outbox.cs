using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// The records that a neighbour is to get: keys that wait, and what is on its way until acknowledged. A newer version takes the place of the
/// one that waits or is on its way, so the size is bounded by the number of records.
/// </summary>
internal sealed class Outbox(RecordStore store, int windowBytes)
{
    // After this many tries a record is no longer "on its way": the neighbour has it wait for a rate or for what it lacks.
    private const int TriesInWindow = 4;
    private const int MaxTries = 12;
    private static readonly TimeSpan FirstTimeout = TimeSpan.FromMilliseconds(300), LeastTimeout = TimeSpan.FromMilliseconds(50),
        LongestTimeout = TimeSpan.FromSeconds(5);

    private readonly Dictionary<ulong, Item> items = [];
    private readonly Dictionary<ulong, Item> sentByHash = [];
    private readonly Queue<Item> ready = new();
    // Services wait for the record of their vertex, so these go first; and with revocations every moment counts.
    private readonly Queue<Item> readyFirst = new();
    private int bytesInFlight;
    private TimeSpan smoothed, variation;

    public int Count => items.Count;

    public long Repeated { get; private set; }

    /// <summary>Smoothed round trip, zero until measured.</summary>
    public TimeSpan RoundTrip => smoothed;

    public bool HasReady => (ready.Count > 0 || readyFirst.Count > 0) && bytesInFlight < windowBytes;

    /// <summary>When the next unacknowledged record is due again.</summary>
    public Instant NextRetry
    {
        get
        {
            var next = Instant.Never;
            foreach (var item in sentByHash.Values) next = Instant.Min(next, item.RetryAt);
            return next;
        }
    }

    /// <summary>Queues the newest version of a record.</summary>
    public void Push(ulong key)
    {
        if (items.TryGetValue(key, out var item))
        {
            if (item.IsReady || (store.Find(key) is { } held && held.Version.Hash == item.SentHash)) return;
            Recall(item);
            item.Tries = 0;
        }
        else
        {
            items.Add(key, item = new Item(key));
        }
        Ready(item);
    }

    /// <summary>The neighbour has decided about what has this hash.</summary>
    public void Acknowledged(ulong hash, Instant now)
    {
        if (!sentByHash.TryGetValue(hash, out var item)) return;
        // Only what was sent once tells which sending was answered (RFC 6298 §3).
        if (item.Tries == 1) Measure(now - item.SentAt);
        Recall(item);
        items.Remove(item.Key);
        item.IsReady = false;
    }

    /// <summary>The neighbour holds this version: nothing older or equal needs to go there.</summary>
    public void Remove(ulong key)
    {
        if (!items.Remove(key, out var item)) return;
        Recall(item);
        item.IsReady = false;
    }

    /// <summary>Makes what was not acknowledged in time ready again.</summary>
    public void Retry(Instant now)
    {
        foreach (var item in sentByHash.Values.Where(i => i.RetryAt <= now).OrderBy(static i => i.Key).ToArray())
        {
            Recall(item);
            if (item.Tries >= MaxTries)
            {
                // The comparison of digests brings it back if it is still missing there.
                items.Remove(item.Key);
                continue;
            }
            Repeated++;
            Ready(item);
        }
    }

    /// <summary>Writes what is ready, as far as the window allows.</summary>
    public void Write(MessageWriter writer, Instant now)
    {
        while (HasReady && (readyFirst.TryDequeue(out var item) || ready.TryDequeue(out item)))
        {
            if (!item.IsReady) continue;
            item.IsReady = false;
            var record = store.Find(item.Key);
            var age = record is null ? (ushort)0 : RemainingAge(record, now);
            if (age == 0)
            {
                items.Remove(item.Key);
                continue;
            }
            item.Tries++;
            item.SentHash = record!.Version.Hash;
            item.SentAt = now;
            item.RetryAt = now + Timeout(item.Tries);
            item.BytesInFlight = item.Tries <= TriesInWindow ? record.Bytes.Length : 0;
            bytesInFlight += item.BytesInFlight;
            sentByHash[item.SentHash] = item;
            writer.Object(Fragment.OfRecord, age, item.SentHash, record.Bytes);
        }
    }

    public static ushort RemainingAge(DirectoryRecord record, Instant now) => record.Deadline == Instant.Never
        ? DirectoryLimits.LastingAge
        : (ushort)Math.Clamp((record.Deadline - now).TotalSeconds, 0, DirectoryLimits.LastingAge - 1);

    private void Ready(Item item)
    {
        item.IsReady = true;
        (store.Find(item.Key)?.Kind is RecordKind.Vertex or RecordKind.Revocation ? readyFirst : ready).Enqueue(item);
    }

    private void Recall(Item item)
    {
        if (item.SentHash == 0 || !sentByHash.Remove(item.SentHash)) return;
        bytesInFlight -= item.BytesInFlight;
        item.SentHash = 0;
    }

    private void Measure(TimeSpan sample)
    {
        (smoothed, variation) = smoothed == TimeSpan.Zero
            ? (sample, sample / 2)
            : ((smoothed * 0.875) + (sample * 0.125), (variation * 0.75) + ((smoothed - sample).Duration() * 0.25));
    }

    private TimeSpan Timeout(int tries)
    {
        var timeout = smoothed == TimeSpan.Zero ? FirstTimeout : smoothed + (variation * 4);
        if (timeout < LeastTimeout) timeout = LeastTimeout;
        for (var i = 1; i < tries && timeout < LongestTimeout; i++) timeout *= 2;
        return timeout < LongestTimeout ? timeout : LongestTimeout;
    }

    private sealed class Item(ulong key)
    {
        public ulong Key { get; } = key;

        public bool IsReady { get; set; }

        public ulong SentHash { get; set; }

        public Instant SentAt { get; set; }

        public Instant RetryAt { get; set; }

        public int Tries { get; set; }

        public int BytesInFlight { get; set; }
    }
}
