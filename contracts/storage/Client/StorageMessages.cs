using System.Text.Json;
using System.Text.Json.Serialization;
using Florete.Storage.Contracts;

namespace Florete.Storage.Client;

// The JSON of the storage's HTTP API (docs/protocols/storage.md). Stamps and sequences are text: JSON's numbers end at 2^53 for many readers.

/// <summary>What the author of a version must know before it signs.</summary>
/// <param name="Collection">Where it is to be written.</param>
/// <param name="Name">The document.</param>
/// <param name="Unit">Its unit; empty: the plain one.</param>
/// <param name="CompareAndSwap">True: the answer is the arbiter's.</param>
public sealed record PrepareRequest(string Collection, string Name, string Unit, bool CompareAndSwap);

/// <param name="Replica">Which accepts the version; it must be named in it.</param>
/// <param name="Clock">The stamp to give it; a stamp as <see cref="Stamp"/> writes it.</param>
/// <param name="Version">Id of the current version, a tombstone's too; null: there is none.</param>
/// <param name="Exists">The current version is no tombstone.</param>
/// <param name="Seen">To be put into the version.</param>
public sealed record PrepareAnswer(string Replica, string Clock, string? Version, bool Exists, IReadOnlyList<SeenItem> Seen);

/// <param name="Replica">Name of its vertex.</param>
/// <param name="Stamp">The newest that was accepted there.</param>
public sealed record SeenItem(string Replica, string Stamp);

/// <summary>A version as lists, watches and conflicts tell of it.</summary>
/// <param name="Collection">Where it is.</param>
/// <param name="Name">The document.</param>
/// <param name="Unit">Its unit; empty: the plain one.</param>
/// <param name="Version">Id of the version.</param>
/// <param name="Stamp">When it was accepted.</param>
/// <param name="Author">SPIFFE ID of who signed it.</param>
/// <param name="Replica">Where it was accepted.</param>
/// <param name="Deleted">It is a deletion, and has no body.</param>
/// <param name="Body">The JSON value, without line breaks.</param>
public sealed record VersionItem(
    string Collection, string Name, string Unit, string Version, string Stamp, string Author, string Replica, bool Deleted, JsonElement? Body);

/// <param name="Items">In the order of names, then units.</param>
/// <param name="Position">From where a watch misses nothing.</param>
/// <param name="Next">For <c>after</c> of the next page; null: this is the last.</param>
public sealed record ListPage(IReadOnlyList<VersionItem> Items, string Position, string? Next);

/// <summary>A line of a watch.</summary>
/// <param name="Type"><c>put</c>, <c>delete</c>, <c>superseded</c> or <c>position</c>.</param>
/// <param name="Position">From where a watch goes on after this line.</param>
/// <param name="Item">What has changed; null with <c>position</c>.</param>
public sealed record WatchLine(string Type, string Position, VersionItem? Item);

public sealed record CollectionItem(string Name, long Documents, long Bytes);

public sealed record CollectionList(IReadOnlyList<CollectionItem> Items);

/// <param name="Loser">A version that is kept although another is current.</param>
/// <param name="Winner">What is current.</param>
public sealed record ConflictItem(VersionItem Loser, VersionItem Winner);

public sealed record ConflictList(IReadOnlyList<ConflictItem> Items);

/// <summary>To compare replicas: equal digests are equal contents.</summary>
public sealed record DigestAnswer(string Replica, string Position, string Current, string Superseded, long Documents, long Bytes);

/// <param name="Ready">It reads and writes.</param>
/// <param name="Replica">Its name, once it is known.</param>
/// <param name="Missing">Why it is not ready, or not as it should be.</param>
/// <param name="Refused">Versions that were sent here and were not valid, since the start: forged, or not allowed.</param>
/// <param name="Peers">Other replicas, and how the exchange with each goes.</param>
public sealed record HealthAnswer(bool Ready, string? Replica, IReadOnlyList<string> Missing, long Refused, IReadOnlyList<PeerHealth> Peers);

/// <param name="Replica">Name of its vertex.</param>
/// <param name="Since">When both were last found equal; null: not yet.</param>
/// <param name="Problem">Why the last exchange failed; null: it did not.</param>
public sealed record PeerHealth(string Replica, DateTimeOffset? Since, string? Problem);

/// <summary>An error, RFC 9457.</summary>
/// <param name="Title">What is wrong.</param>
/// <param name="Status">As in the status line.</param>
/// <param name="Detail">The remedy.</param>
/// <param name="Prepare">With 412: what to sign instead.</param>
public sealed record Problem(string Title, int Status, string? Detail, PrepareAnswer? Prepare);

/// <summary>Serializers that are made by the compiler: a program that starts in a second cannot wait for reflection.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = StorageProtocol.MaxJsonDepth + 16)]
[JsonSerializable(typeof(PrepareRequest))]
[JsonSerializable(typeof(PrepareAnswer))]
[JsonSerializable(typeof(ListPage))]
[JsonSerializable(typeof(WatchLine))]
[JsonSerializable(typeof(CollectionList))]
[JsonSerializable(typeof(ConflictList))]
[JsonSerializable(typeof(DigestAnswer))]
[JsonSerializable(typeof(HealthAnswer))]
[JsonSerializable(typeof(Problem))]
public sealed partial class StorageJson : JsonSerializerContext;
