using System.Buffers.Binary;
using Florete.Runtime;

namespace Florete.Layers;

/// <summary>
/// Comparison of the databases of two neighbours: summaries per bucket, entries of the buckets that differ, then each side gets what it lacks.
/// At once on a new adjacency, then rarely, as certainty that nothing was lost.
/// </summary>
internal sealed class Exchange
{
    private const int BucketsPerSection = 128;
    // One answer to a summary; the rest follows at the next one, so that a large difference cannot flood a slow link.
    private const int MaxEntryBytesPerAnswer = 64 * 1024;
    private const int MaxPendingToAnswer = 256;
    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(250), Longest = TimeSpan.FromSeconds(8), BetweenAnswers = TimeSpan.FromMilliseconds(100);

    private readonly DirectoryPeer peer;
    private readonly EventLoop loop;
    private readonly RecordStore store;
    private readonly DirectoryOptions options;
    private readonly Random random;
    private readonly LoopTimer timer;
    private readonly bool[] differs = new bool[DirectoryLimits.Buckets];
    private readonly List<ulong> requests = [];
    private TimeSpan interval = First;
    private Instant answered;

    public Exchange(DirectoryPeer peer, EventLoop loop, RecordStore store, DirectoryOptions options, Random random)
    {
        this.peer = peer;
        this.loop = loop;
        this.store = store;
        this.options = options;
        this.random = random;
        Array.Fill(differs, true);
        timer = loop.CreateTimer(SendSummary);
        answered = loop.Now - BetweenAnswers;
        SendSummary();
    }

    public void Stop() => timer.Cancel();

    /// <summary>Takes a part of the neighbour's summary; false if malformed.</summary>
    public bool OnSummary(ReadOnlySpan<byte> content)
    {
        if (content.Length < 1 + 8 || (content.Length - 1) % 8 != 0) return false;
        var (first, count) = (content[0], (content.Length - 1) / 8);
        if (first + count > DirectoryLimits.Buckets) return false;
        for (var i = 0; i < count; i++)
        {
            var theirs = BinaryPrimitives.ReadUInt64BigEndian(content[(1 + (8 * i))..]);
            differs[first + i] = theirs != store.Summary(first + i);
        }
        var wasInStep = peer.IsInStep;
        peer.IsInStep = !Array.Exists(differs, static d => d);
        if (!peer.IsInStep && wasInStep)
        {
            interval = First;
            timer.Set(Instant.Min(timer.Deadline, loop.Now + First));
        }
        if (!differs.AsSpan(first, count).Contains(true)) return true;
        // While much is on its way a comparison would find what is already being mended.
        if (peer.Outbox.Count > MaxPendingToAnswer || loop.Now - answered < BetweenAnswers && first == 0) return true;
        answered = loop.Now;
        Answer(first, first + count - 1);
        return true;
    }

    /// <summary>Takes entries of the neighbour; false if malformed.</summary>
    public bool OnEntries(ReadOnlySpan<byte> content)
    {
        if (content.Length < 16 || (content.Length - 16) % DigestEntry.Bytes != 0) return false;
        var (from, to) = (BinaryPrimitives.ReadUInt64BigEndian(content), BinaryPrimitives.ReadUInt64BigEndian(content[8..]));
        if (from > to) return false;
        var entries = content[16..];
        using var mine = store.InBuckets((int)(from >> 56), (int)(to >> 56)).GetEnumerator();
        var hasMine = Skip(mine, from);
        var previous = from;
        for (; !entries.IsEmpty; entries = entries[DigestEntry.Bytes..])
        {
            var theirs = DigestEntry.Read(entries);
            if (theirs.Key < previous || theirs.Key > to) return false;
            previous = theirs.Key;
            for (; hasMine && mine.Current.Key < theirs.Key; hasMine = mine.MoveNext()) peer.Outbox.Push(mine.Current.Key);
            if (!hasMine || mine.Current.Key != theirs.Key)
            {
                requests.Add(theirs.Key);
                continue;
            }
            var order = mine.Current.Version.CompareTo(theirs.Version);
            if (order > 0) peer.Outbox.Push(theirs.Key);
            if (order < 0) requests.Add(theirs.Key);
            hasMine = mine.MoveNext();
        }
        for (; hasMine && mine.Current.Key <= to; hasMine = mine.MoveNext()) peer.Outbox.Push(mine.Current.Key);
        peer.Writer.List(SectionType.RecordRequest, requests);
        peer.Flush();
        return true;
    }

    /// <summary>Takes requests of the neighbour; false if malformed.</summary>
    public bool OnRequest(ReadOnlySpan<byte> content)
    {
        if (content.Length % 8 != 0) return false;
        for (; !content.IsEmpty; content = content[8..])
        {
            var key = BinaryPrimitives.ReadUInt64BigEndian(content);
            if (store.Find(key) is not null) peer.Outbox.Push(key);
        }
        peer.Flush();
        return true;
    }

    private static bool Skip(IEnumerator<DirectoryRecord> records, ulong to)
    {
        var has = records.MoveNext();
        while (has && records.Current.Key < to) has = records.MoveNext();
        return has;
    }

    private void SendSummary()
    {
        for (var first = 0; first < DirectoryLimits.Buckets; first += BucketsPerSection)
        {
            var content = peer.Writer.Section(SectionType.Summary, 1 + (8 * BucketsPerSection));
            content[0] = (byte)first;
            for (var i = 0; i < BucketsPerSection; i++) BinaryPrimitives.WriteUInt64BigEndian(content[(1 + (8 * i))..], store.Summary(first + i));
        }
        peer.Flush();
        interval = peer.IsInStep ? options.SummaryInterval : interval;
        timer.Set(loop.Now + (interval * (0.9 + (0.2 * random.NextDouble()))));
        if (!peer.IsInStep) interval = interval * 2 < Longest ? interval * 2 : Longest;
    }

    /// <summary>Sends the entries of the buckets that differ, each section covering one run of keys without a gap.</summary>
    private void Answer(int first, int last)
    {
        var sent = 0;
        for (var bucket = first; bucket <= last && sent < MaxEntryBytesPerAnswer; bucket++)
        {
            if (!differs[bucket]) continue;
            var end = bucket;
            while (end < last && differs[end + 1]) end++;
            sent += SendEntries(bucket, end, MaxEntryBytesPerAnswer - sent);
            bucket = end;
        }
        peer.Flush();
    }

    private int SendEntries(int first, int last, int maxBytes)
    {
        var from = (ulong)first << 56;
        var end = ((ulong)last << 56) | 0x00FF_FFFF_FFFF_FFFF;
        var entries = new List<DigestEntry>();
        var sent = 0;
        var fit = (peer.Writer.MaxContentBytes - 16) / DigestEntry.Bytes;
        foreach (var record in store.InBuckets(first, last))
        {
            if (entries.Count == fit)
            {
                sent += SendEntries(from, record.Key - 1, entries);
                from = record.Key;
                if (sent >= maxBytes) return sent;
            }
            entries.Add(new DigestEntry(record.Key, record.Version));
        }
        return sent + SendEntries(from, end, entries);
    }

    private int SendEntries(ulong from, ulong to, List<DigestEntry> entries)
    {
        var bytes = 16 + (entries.Count * DigestEntry.Bytes);
        var content = peer.Writer.Section(SectionType.Entries, bytes);
        BinaryPrimitives.WriteUInt64BigEndian(content, from);
        BinaryPrimitives.WriteUInt64BigEndian(content[8..], to);
        for (var i = 0; i < entries.Count; i++) entries[i].Write(content[(16 + (i * DigestEntry.Bytes))..]);
        entries.Clear();
        return bytes;
    }
}
