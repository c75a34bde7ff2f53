using Florete.Identities;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Layers;

/// <summary>
/// The revocations that the directory has accepted, the newest of each operator and identity: saved first, then in force. Kept here also when the record
/// itself has gone because its operator was revoked. Loop-affine.
/// </summary>
internal sealed partial class RevocationRecords
{
    private readonly EventLoop loop;
    private readonly LayerSecurity security;
    private readonly ILogger logger;
    private readonly Dictionary<ulong, SignedRevocation> held = [];
    private readonly HashSet<ulong> applied = [];
    private readonly List<(ulong Key, Action Applied)> waiting = [];
    private bool isSaving, isChanged;

    public RevocationRecords(EventLoop loop, LayerSecurity security, ILogger logger)
    {
        (this.loop, this.security, this.logger) = (loop, security, logger);
        foreach (var kept in security.File?.Loaded ?? [])
        {
            held[kept.Key] = kept;
            applied.Add(kept.Version.Hash);
        }
        security.Revocations.Add(held.Values.Select(static r => r.Content));
    }

    /// <summary>Why the last save failed; null: it did not.</summary>
    public string? SaveProblem { get; private set; }

    /// <summary>May one with this key be taken?</summary>
    public bool HasRoom(ulong key, int most) => held.Count < most || held.ContainsKey(key);

    private bool Has(SignedRevocation revocation) => held.TryGetValue(revocation.Key, out var mine) && mine.Version >= revocation.Version;

    /// <summary>Takes one whose record has passed every check.</summary>
    public void Add(SignedRevocation revocation)
    {
        if (Has(revocation)) return;
        held[revocation.Key] = revocation;
        isChanged = true;
        Save();
    }

    /// <summary>Calls back, in a turn, when what is held under the key is saved and in force; at once if it is.</summary>
    public void WhenApplied(ulong key, Action callback)
    {
        if (!held.TryGetValue(key, out var mine) || applied.Contains(mine.Version.Hash)) callback();
        else waiting.Add((key, callback));
    }

    /// <summary>Lets go of what is no longer needed.</summary>
    public void Prune(DateTimeOffset now)
    {
        foreach (var (key, old) in held.Where(r => r.Value.Content.NeededUntil < now).ToArray())
        {
            held.Remove(key);
            applied.Remove(old.Version.Hash);
            // The file may keep it until the next is written: it is left out of use by its date.
        }
        security.Revocations.Prune(now);
    }

    private void Save()
    {
        if (isSaving) return;
        (isSaving, isChanged) = (true, false);
        SignedRevocation[] all = [.. held.Values];
        if (security.File is { } file) file.Save(all, problem => loop.Post(() => OnSaved(all, problem)));
        else loop.Post(() => OnSaved(all, null));
    }

    private void OnSaved(SignedRevocation[] all, Exception? problem)
    {
        isSaving = false;
        SaveProblem = problem?.Message;
        // In force all the same: what a restart forgets, the neighbours say again.
        if (problem is not null) CannotSave(logger, problem);
        SignedRevocation[] news = [.. all.Where(r => applied.Add(r.Version.Hash))];
        security.Revocations.Add(news.Select(static r => r.Content));
        foreach (var one in news.Select(static r => r.Content))
        {
            var what = one.IsOfNode ? $"Node {one.Subject.Name}, with all that it issued," : one.Subject.ToString();
            InForce(logger, one.Describe(what), one.Before);
            security.Events?.Add(SecurityEventKind.Revocation, one.Subject.Path, "", one.Describe(what));
        }
        foreach (var (key, callback) in waiting.ToArray())
        {
            if (held.TryGetValue(key, out var mine) && !applied.Contains(mine.Version.Hash)) continue;
            waiting.Remove((key, callback));
            callback();
        }
        applied.IntersectWith(held.Values.Select(static r => r.Version.Hash));
        if (isChanged) Save();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Revocation in force: {What}; SVIDs that begin before {Before:u} are refused.")]
    private static partial void InForce(ILogger logger, string what, DateTimeOffset before);

    [LoggerMessage(Level = LogLevel.Error, Message = "Revocations cannot be saved; they are in force, but a restart would forget them until a neighbour says them again. Free the disk or correct the folder's owner.")]
    private static partial void CannotSave(ILogger logger, Exception exception);
}
