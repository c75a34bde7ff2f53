// Writes as fast as it can until it is killed, and prints a line for each write that was acknowledged: name, stamp, id.
// storage-writer FOLDER FIRST: documents are numbered from FIRST on; every fourth write goes to one of a few that are written again and again.
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Florete.Identities;
using Florete.Storage;
using Florete.Storage.Contracts;
using Florete.Storage.TestWriter;
using Microsoft.Extensions.Logging.Abstractions;

const int Writers = 16;

var number = long.Parse(args[1], CultureInfo.InvariantCulture);
using var authority = CertificateAuthority.Create("home", DateTimeOffset.UtcNow);
var svid = authority.Issue(SpiffeId.Of("home", IdentityKind.User, "alice"), TimeSpan.FromDays(1), DateTimeOffset.UtcNow);
var chain = EncodedChain.Encode(svid);
await using var replica = await StorageReplica.OpenAsync(args[0], ReplicaName.Parse("a"), new AnybodyMay(), new Trusting(svid.Id), new StorageLimits(), TimeProvider.System, NullLogger.Instance);
var output = Console.OpenStandardOutput();
await Task.WhenAll(Enumerable.Range(0, Writers).Select(writer => Task.Run(async () =>
{
    for (var i = 0; ; i++)
    {
        var name = i % 4 == 0 ? $"again/{writer}" : $"once/{Interlocked.Increment(ref number)}";
        var key = new DocumentKey(CollectionName.Parse("load"), DocumentName.Parse(name));
        var prepared = replica.Prepare(key);
        var draft = new VersionDraft
        {
            Key = key,
            Replica = prepared.Replica,
            Stamp = prepared.Clock,
            Seen = prepared.Seen,
            Author = svid.Id,
            Chain = ChainHash.Of(chain),
            // Some are larger than a page of the database.
            Body = Encoding.ASCII.GetBytes($"\"{new string('x', i % 16 == 0 ? 20_000 : 200)}\""),
        };
        var version = draft.WithSignature(ProgramSignature.Sign(svid, StorageProtocol.SigningPurpose, SHA256.HashData(draft.Content.Span)));
        var result = await replica.WriteAsync(version, chain, svid.Id);
        if (!result.IsAccepted) throw new InvalidOperationException(result.Problem);
        var line = Encoding.ASCII.GetBytes($"{name} {version.Stamp} {version.Id}\n");
        lock (output) output.Write(line);
    }
})));
