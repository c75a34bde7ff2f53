// Two vertices in one process, a thread each, one link between them: dotnet run -c Release --project bench/links [seconds] [address-a address-b]
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Florete.Identities;
using Florete.Links;
using Florete.Links.Bench;

var seconds = args.Length > 0 ? double.Parse(args[0], CultureInfo.InvariantCulture) : 3;
var addresses = args.Length > 2 ? (IPAddress.Parse(args[1]), IPAddress.Parse(args[2])) : (IPAddress.Loopback, IPAddress.Loopback);
using var authority = CertificateAuthority.Create("bench", DateTimeOffset.UtcNow);
var trust = new LinkTrust(authority.ClusterIdentity, new PeerVerifier(TrustBundle.Of(authority.Root)), new OpenBounds());
await using var b = new Vertex("b", addresses.Item2, authority, trust, null);
await using var a = new Vertex("a", addresses.Item1, authority, trust, b);
await b.PublishAsync();
var link = await a.ConnectAsync(b);
Console.WriteLine("SDU bytes  Gbit/s  CPU s/GB  lost %  (one process, both ends, kernel included)");
foreach (var bytes in new[] { 17_144, 17_131, 1376 })
{
    await a.BlastAsync(link, b.Sink, bytes, TimeSpan.FromSeconds(1));
    var (sent0, got0, cpu0, clock) = (a.SentBytes, b.Sink.Bytes, Process.GetCurrentProcess().TotalProcessorTime, Stopwatch.StartNew());
    await a.BlastAsync(link, b.Sink, bytes, TimeSpan.FromSeconds(seconds));
    var (elapsed, cpu) = (clock.Elapsed, Process.GetCurrentProcess().TotalProcessorTime - cpu0);
    var got = b.Sink.Bytes - got0;
    var lost = 100.0 * (1 - ((double)got / (a.SentBytes - sent0)));
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{bytes,9}  {got * 8 / elapsed.TotalSeconds / 1e9,6:0.00}  {cpu.TotalSeconds / (got / 1e9),8:0.00}  {lost,6:0.00}"));
}
foreach (var status in (await a.Portal.StatusAsync()).Links) Console.WriteLine(status);
