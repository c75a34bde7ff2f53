using Florete.Coordination.Contracts;
using Florete.Portals;
using Florete.Storage.Client;
using Florete.Storage.Contracts;
using Microsoft.Extensions.Logging;

namespace Florete.Coordination.Program;

/// <summary>Watches the paths that are wanted, in the storage, and tells them. While no replica answers, none are told.</summary>
internal sealed partial class WishWatch(IProgramPortal service, Arrivals arrivals, ILogger logger)
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(5);
    private static readonly CollectionName Paths = CollectionName.Parse(PathWish.Collection);

    private HashSet<string> told = new(StringComparer.Ordinal);

    /// <summary>Why the wishes are not known; null: they are.</summary>
    public string? Problem { get; private set; } = "paths: no replica of the storage has told yet which are wanted.";

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            using var storage = new StorageClient(service);
            try
            {
                await WatchAsync(storage, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (!cancellationToken.IsCancellationRequested)
            {
                // A refusal, or what a replica said and the client cannot read: either way it is asked again.
                var now = $"paths: {e.Message}";
                if (Problem != now) NotRead(now);
                Problem = now;
            }
            await Task.Delay(Pause, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task WatchAsync(StorageClient storage, CancellationToken cancellationToken)
    {
        var (before, isCaughtUp) = (told, false);
        told = new HashSet<string>(before, StringComparer.Ordinal);
        await foreach (var change in storage.WatchAsync(Paths, cancellationToken: cancellationToken).ConfigureAwait(false))
        {
            var name = change.Key.Name.ToString();
            switch (change.Kind)
            {
                case StorageChangeKind.CaughtUp:
                    isCaughtUp = true;
                    // What another watch has told, and this one has not, is gone.
                    foreach (var gone in before) await RemoveAsync(gone, cancellationToken).ConfigureAwait(false);
                    Problem = null;
                    await arrivals.TellAsync(static (c, _) => c.KnowsAllWanted(), cancellationToken).ConfigureAwait(false);
                    break;
                // Of a document with several units the plain one counts.
                case StorageChangeKind.Put when change.Key.Unit == UnitName.Plain && change.Document is { } document:
                    if (!isCaughtUp) before.Remove(name);
                    told.Add(name);
                    var isRead = PathWish.TryParse(document.Body.Span, out var wish, out var problem);
                    await arrivals.TellAsync((c, now) => c.Want(name, isRead ? wish : null, problem, now), cancellationToken).ConfigureAwait(false);
                    break;
                case StorageChangeKind.Delete when change.Key.Unit == UnitName.Plain:
                    await RemoveAsync(name, cancellationToken).ConfigureAwait(false);
                    break;
                default:
                    break;
            }
        }
    }

    private ValueTask RemoveAsync(string name, CancellationToken cancellationToken)
    {
        told.Remove(name);
        return arrivals.TellAsync((c, now) => c.WantNoMore(name, now), cancellationToken);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The paths that are wanted cannot be read from the storage, trying again: {Problem}")]
    private partial void NotRead(string problem);
}
