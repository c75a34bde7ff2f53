using Florete.Storage.Contracts;

namespace Florete.Storage.Tests;

// What must hold once everybody has heard everything.
internal sealed partial class Simulation
{
    private string? Problem()
    {
        foreach (var node in nodes) node.Flush();
        foreach (var node in nodes)
        {
            if (node.AccountsProblem() is { } accounts) return accounts;
            if (node.WatchProblem() is { } watch) return watch;
            if (UnitsProblem(node) is { } units) return units;
        }
        return ConvergenceProblem() ?? LossProblem();
    }

    private string? ConvergenceProblem()
    {
        var first = nodes[0];
        foreach (var node in nodes.Skip(1))
        {
            var differing = first.Replica.Accounts.Summary().Differing(node.Replica.Accounts.Summary());
            if (differing.Count > 0) return $"{first.Name} and {node.Name} differ:\n{Content(first)}\n{Content(node)}";
            var (a, b) = (first.Replica.Accounts.Digest(), node.Replica.Accounts.Digest());
            if (a with { Sequence = 0 } != b with { Sequence = 0 }) return $"{first.Name} says {a}, {node.Name} says {b}";
        }
        return null;
    }

    // One current version, the greatest; not too many others; a replica accepts ascending stamps.
    private static string? UnitsProblem(SimulatedNode node)
    {
        foreach (var unit in node.Store.All.Where(v => !v.IsHidden).GroupBy(v => v.Version.Key))
        {
            var current = unit.Where(v => v.State == VersionState.Current).ToArray();
            if (current.Length != 1) return $"{node.Name} has {current.Length} current versions of {unit.Key}";
            if (unit.Any(v => v.Version.CompareTo(current[0].Version) > 0)) return $"{node.Name}: a superseded version of {unit.Key} is greater than the current one";
            if (unit.Count() > StorageLimits.MaxSuperseded + 1) return $"{node.Name} has {unit.Count()} versions of {unit.Key}";
        }
        return null;
    }

    /// <summary>Every acknowledged write is held, is past its time, or was known to the author of one of which the same can be said.</summary>
    private string? LossProblem()
    {
        var all = nodes.SelectMany(n => n.Store.All.Select(v => v.Version.Id)).ToHashSet();
        foreach (var group in accepted.GroupBy(v => v.Key))
        {
            var full = nodes.Any(n => n.Store.All.Count(v => v.State == VersionState.Superseded && v.Version.Key == group.Key) >= StorageLimits.MaxSuperseded);
            var accounted = new HashSet<DocumentVersion>();
            var stampsOfReplicas = new Dictionary<ReplicaName, Stamp>();
            foreach (var version in group.OrderByDescending(v => v.Stamp))
            {
                // By the clock that is furthest ahead.
                var isPast = Now - version.Stamp.Time > StorageLimits.SupersededLifetime - TimeSpan.FromMinutes(5);
                if (all.Contains(version.Id) || isPast || full || accounted.Any(later => later.Dominates(version))) accounted.Add(version);
                else return $"{version} {Short(version.Id)} was acknowledged and is lost; what is held:\n{string.Join('\n', nodes.Select(Content))}";
            }
            foreach (var version in group)
            {
                if (version.Stamp <= stampsOfReplicas.GetValueOrDefault(version.Replica)) return $"{version.Replica} accepted stamps of {group.Key} that do not ascend";
                stampsOfReplicas[version.Replica] = version.Stamp;
            }
        }
        return null;
    }

    private static string Content(SimulatedNode node) =>
        $"  {node.Name}: {string.Join("; ", node.Store.All.OrderBy(v => v.Version.Key).ThenByDescending(v => v.Version.Stamp).Select(v => $"{v.Version} {Short(v.Version.Id)} {v.State}"))}";
}
