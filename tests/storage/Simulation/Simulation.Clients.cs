using Florete.Identities;
using Florete.Storage.Contracts;

namespace Florete.Storage.Tests;

// What clients and replicas say to each other; the order of messages is that of docs/protocols/storage.md.
internal sealed partial class Simulation
{
    private DocumentVersion Make(DocumentKey key, PreparedWrite prepared, SpiffeId author, bool isDeletion, bool compareAndSwap) => new VersionDraft
    {
        Key = key,
        Replica = prepared.Replica,
        Stamp = prepared.Clock,
        Seen = prepared.Seen,
        Author = author,
        Chain = ChainHash.Of(System.Text.Encoding.ASCII.GetBytes(author.ToString())),
        Body = isDeletion ? null : (ReadOnlyMemory<byte>?)System.Text.Encoding.ASCII.GetBytes($"{++serial}"),
        CompareAndSwap = compareAndSwap,
    }.WithSignature(new byte[DocumentVersion.SignatureBytes]);

    private static VerifiedVersion Proved(DocumentVersion version) => new(version, [1]);

    private void Write(SimulatedNode node, DocumentKey key, bool isDeletion, int tries)
    {
        if (!node.IsUp) return;
        var author = Authors[Random.Next(Authors.Length)];
        var version = Make(key, node.Replica.Prepare(node.Store.ReadUnit(key)), author, isDeletion, false);
        After(Random.Next(50), () => node.Do(
            r => r.Write(Proved(version), author),
            result =>
            {
                Trace(() => $"{node.Name}: {version} {Short(version.Id)} by {author.Name}: {result.Status}");
                if (result.IsAccepted) Accepted(node, version);
                else if (result.Status == WriteStatus.Conflict && tries > 0) Write(node, key, isDeletion, tries - 1);
            }));
    }

    private void CompareAndSwap(SimulatedNode caller, DocumentKey key)
    {
        if (!caller.IsUp) return;
        var group = nodes.Where(n => n.IsUp && n.Group == caller.Group).ToArray();
        // Now and then a view of the group is old.
        var hasRightView = Random.Next(5) > 0;
        var arbiter = hasRightView ? group.MinBy(n => n.Name)! : group[Random.Next(group.Length)];
        var author = Authors[Random.Next(Authors.Length)];
        var began = hasRightView ? epoch : -1;
        Send(caller, arbiter, _ => Hand(caller, arbiter, key, () =>
        {
            var prepared = arbiter.Replica.Prepare(arbiter.Store.ReadUnit(key));
            var version = Make(key, prepared, author, Random.Next(5) == 0, true);
            // The answer to prepare reaches the caller, and the version the arbiter, some time later.
            Send(arbiter, caller, _ => Send(caller, arbiter, _ => Hand(caller, arbiter, key, () => Swap(caller, arbiter, version, prepared.Version, began))));
        }));
    }

    // The caller's replica passes on what it holds of the unit.
    private static void Hand(SimulatedNode caller, SimulatedNode arbiter, DocumentKey key, Action then)
    {
        var held = caller.IsUp && caller != arbiter ? caller.Store.ReadUnit(key) : [];
        arbiter.Do(
            r =>
            {
                foreach (var item in held) r.Merge(Proved(item.Version), item.State == VersionState.Superseded);
                return true;
            },
            _ => then());
    }

    private void Swap(SimulatedNode caller, SimulatedNode arbiter, DocumentVersion version, VersionId? expected, int began)
    {
        var isHeld = false;
        arbiter.Do(
            r =>
            {
                isHeld = ((IVersionStore)arbiter.Store).Holds(version.Id);
                return r.CompareAndSwap(Proved(version), expected, null);
            },
            result =>
            {
                Trace(() => $"{arbiter.Name} for {caller.Name}: {version} {Short(version.Id)} instead of {(expected is { } id ? Short(id) : "none")}: {result.Status}{(isHeld ? ", again" : "")}");
                if (!result.IsAccepted) return;
                if (!isHeld)
                {
                    Accepted(arbiter, version);
                    var won = (epoch, arbiter.Group, version.Key, expected);
                    if (began == epoch && !winners.TryAdd(won, version.Id))
                    {
                        throw new InvalidOperationException($"two compare-and-swaps of {version.Key} instead of {expected} in one group: {Short(version.Id)} and {Short(winners[won])}");
                    }
                }
                Send(arbiter, caller, c => c.Do(r => r.Merge(Proved(version), false), static _ => { }));
            });
    }

    private void Accepted(SimulatedNode at, DocumentVersion version)
    {
        if (!accepted.Contains(version)) accepted.Add(version);
        // The bus, for speed.
        foreach (var node in nodes.Where(n => n != at))
        {
            Send(at, node, n => n.Do(r => r.Merge(Proved(version), false), status => Trace(() => $"{n.Name} hears of {Short(version.Id)}: {status}")));
        }
    }

    private void Pull(SimulatedNode node, SimulatedNode from)
    {
        if (!node.IsUp || node == from) return;
        var summary = node.Replica.Accounts.Summary();
        Send(node, from, f =>
        {
            var told = f.Replica.DifferencesFrom(summary, f.Store);
            Send(f, node, n =>
            {
                var lacking = n.Store.Lacking(told.Select(t => t.Id)).ToHashSet();
                var wanted = told.Where(t => lacking.Contains(t.Id)).ToArray();
                if (wanted.Length == 0) return;
                Send(n, f, g =>
                {
                    // Each under the mark that was told: it may have been replaced meanwhile.
                    var offered = wanted.Select(w => (Held: g.Store.Find(w.Id), w.IsSuperseded)).Where(o => o.Held is not null).ToArray();
                    Send(g, n, m => m.Do(
                        r => offered.Select(o => r.Merge(Proved(o.Held!.Version), o.IsSuperseded)).ToArray(),
                        statuses => Trace(() => $"{m.Name} pulls from {from.Name}: {string.Join(", ", offered.Zip(statuses, (o, s) => $"{Short(o.Held!.Version.Id)} {s}"))}")));
                });
            });
        });
    }
}
