// Two vertices, one link between them:
//   dotnet run -c Release --project bench/links -- [SECONDS]                       both in one process, on loopback
//   … -- serve FOLDER ADDRESS:PORT   and   … -- dial FOLDER ADDRESS:PORT SECONDS   two processes (in two namespaces, say); FOLDER holds a throw-away authority
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Florete.Identities;
using Florete.Links;
using Florete.Links.Bench;
using Florete.Simulation;

const string Heading = "SDU bytes  Gbit/s  CPU s/GB  lost %  ";
switch (args)
{
    case ["serve", var folder, var address]:
        await ServeAsync(folder, IPEndPoint.Parse(address));
        break;
    case ["dial", var folder, var address, var time]:
        await DialAsync(folder, IPEndPoint.Parse(address), Seconds(time));
        break;
    default:
        await BothAsync(Seconds(args.FirstOrDefault("3")));
        break;
}

static TimeSpan Seconds(string text) => TimeSpan.FromSeconds(double.Parse(text, CultureInfo.InvariantCulture));

static LinkTrust Trust(CertificateAuthority authority) => new(authority.ClusterIdentity, new PeerVerifier(TrustBundle.Of(authority.Root)), new OpenBounds());

static async Task BothAsync(TimeSpan time)
{
    using var authority = CertificateAuthority.Create("bench", DateTimeOffset.UtcNow);
    await using var b = new Vertex("b", new IPEndPoint(IPAddress.Loopback, 0), authority, Trust(authority), null);
    await using var a = new Vertex("a", new IPEndPoint(IPAddress.Loopback, 0), authority, Trust(authority), b.Portal.Local.ToEndPoint());
    await using var publication = await b.PublishAsync();
    Console.WriteLine(Heading + "(both ends, kernel included)");
    await MeasureAsync(a, time);
}

static async Task ServeAsync(string folder, IPEndPoint address)
{
    Directory.CreateDirectory(folder);
    using var authority = CertificateAuthority.Create("bench", DateTimeOffset.UtcNow);
    await using var b = new Vertex("b", address, authority, Trust(authority), null);
    b.Portal.Noted += Console.WriteLine;
    await using var publication = await b.PublishAsync();
    authority.Save(Path.Combine(folder, "ca.pem"), Path.Combine(folder, "ca.key"));
    var stop = new TaskCompletionSource();
    using var signal = System.Runtime.InteropServices.PosixSignalRegistration.Create(System.Runtime.InteropServices.PosixSignal.SIGTERM, context =>
    {
        context.Cancel = true;
        stop.TrySetResult();
    });
    await stop.Task;
    var used = Process.GetCurrentProcess().TotalProcessorTime;
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"received {b.Sink.Bytes / 1e9:0.00} GB, {used.TotalSeconds / (b.Sink.Bytes / 1e9):0.00} CPU s/GB here"));
}

static async Task DialAsync(string folder, IPEndPoint address, TimeSpan time)
{
    using var authority = CertificateAuthority.Load(Path.Combine(folder, "ca.pem"), Path.Combine(folder, "ca.key"));
    await using var a = new Vertex("a", new IPEndPoint(IPAddress.IPv6Any, 0), authority, Trust(authority), address);
    a.Portal.Noted += Console.WriteLine;
    Console.WriteLine(Heading + "(this end, kernel included)");
    await MeasureAsync(a, time);
}

static async Task MeasureAsync(Vertex a, TimeSpan time)
{
    var link = await a.ConnectAsync();
    foreach (var bytes in new[] { 17_144, 17_131, 1376 })
    {
        await a.BlastAsync(link, bytes, TimeSpan.FromSeconds(1));
        var (sent, got, cpu, clock) = (a.SentBytes, a.ArrivedBytes, Process.GetCurrentProcess().TotalProcessorTime, Stopwatch.StartNew());
        await a.BlastAsync(link, bytes, time);
        var (elapsed, used) = (clock.Elapsed, Process.GetCurrentProcess().TotalProcessorTime - cpu);
        var arrived = a.ArrivedBytes - got;
        var lost = 100.0 * (1 - ((double)arrived / (a.SentBytes - sent)));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{bytes,9}  {arrived * 8 / elapsed.TotalSeconds / 1e9,6:0.00}  {used.TotalSeconds / (arrived / 1e9),8:0.00}  {lost,6:0.00}"));
    }
    foreach (var status in (await a.Portal.StatusAsync()).Links) Console.WriteLine(status);
}
