using System.Net;
using System.Net.Sockets;
using Florete.Portals;
using Florete.Proxy.Configuration;
using Florete.Proxy.Inbounds;
using Florete.Proxy.Local;
using Florete.Runtime;
using Microsoft.Extensions.Logging;

namespace Florete.Proxy;

/// <summary>
/// The listening inbounds of a node. A changed configuration is first prepared (sockets bound, passwords read), then applied: what is
/// unchanged is not touched, and a port whose settings change goes on listening. Not from two threads at once.
/// </summary>
internal sealed partial class NodeInbounds(NodeMaterials materials, EdgeConnections connections, HandshakeGate gate, ILoggerFactory logs) : IAsyncDisposable
{
    private const int MaxPasswordFileBytes = 4096;

    private readonly ILogger logger = logs.CreateLogger("Florete.Inbounds");
    private readonly CancellationTokenSource stopping = new();
    private Dictionary<string, Slot> slots = [];
    private HttpGateway? gateway;

    /// <summary>Where each listens now, in no order.</summary>
    public IEnumerable<(InboundConfiguration Configuration, EndPoint Local)> Listening =>
        slots.Values.Select(slot => (slot.Configuration, slot.Listener!.LocalEndPoint));

    /// <summary>Takes what applying needs; problems are added, and then nothing may be applied.</summary>
    public Prepared Prepare(FlorConfiguration configuration, List<string> problems)
    {
        var wanted = new Dictionary<string, Wanted>();
        foreach (var inbound in configuration.Inbounds)
        {
            var field = $"{configuration.File}:{inbound.Line}: inbound {inbound.Listen}";
            if (materials.Find(inbound.As) is null)
            {
                problems.Add($"{field}: {inbound.As.Path} is not among the identities in {configuration.IdentitiesFolder}; issue it (florctl identity issue), or correct as.");
            }
            var credentials = inbound.Credentials is { } given ? ReadCredentials(given, field, problems) : null;
            // Several may ask for any port (port 0).
            var key = inbound.Listen.ToString();
            for (var i = 1; wanted.ContainsKey(key); i++) key = $"{inbound.Listen}#{i}";
            var bound = slots.ContainsKey(key) ? null : TryBind(inbound.Listen, field, problems);
            wanted.Add(key, new Wanted(inbound, credentials, bound));
        }
        return new Prepared(wanted);
    }

    /// <summary>Serves what was prepared, and ends what is no longer wanted. Clients that are connected go on.</summary>
    /// <param name="prepared">All of it.</param>
    /// <param name="portal">Of the node's vertex.</param>
    /// <param name="loop">Of the portal, if it has one of this process: clients are served in its turns.</param>
    public async Task ApplyAsync(Prepared prepared, IPortal portal, ThreadLoop? loop)
    {
        var next = new Dictionary<string, Slot>();
        // A node without a proxy does not pay for a web server.
        if (prepared.Wanted.Values.Any(wanted => wanted.Inbound.Forward is null)) gateway ??= await HttpGateway.StartAsync(logs, stopping.Token).ConfigureAwait(false);
        foreach (var (key, wanted) in prepared.Wanted)
        {
            if (!slots.TryGetValue(key, out var slot))
            {
                slot = new Slot(wanted.Inbound, wanted.Credentials, Serve(wanted, portal));
                slot.Listener = new Listener($"inbound {wanted.Inbound.Listen}", wanted.Bound!, slot.ServeAsync, logger, loop);
                Listens(slot.Listener.LocalEndPoint, wanted.Inbound.As.Path, wanted.Inbound.Forward is { } to ? $"forward to {to.Target.Path}" : "proxy");
            }
            else if (slot.Configuration with { Line = 0 } != wanted.Inbound with { Line = 0 } || !SameCredentials(slot.Credentials, wanted.Credentials))
            {
                slot.Change(wanted.Inbound, wanted.Credentials, Serve(wanted, portal));
                Changed(wanted.Inbound.Listen);
            }
            next.Add(key, slot);
        }
        foreach (var (key, slot) in slots)
        {
            if (next.ContainsKey(key)) continue;
            await slot.DisposeAsync().ConfigureAwait(false);
            Ended(slot.Configuration.Listen);
        }
        slots = next;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var slot in slots.Values) await slot.DisposeAsync().ConfigureAwait(false);
        await stopping.CancelAsync().ConfigureAwait(false);
        if (gateway is not null) await gateway.DisposeAsync().ConfigureAwait(false);
        stopping.Dispose();
    }

    private Service Serve(Wanted wanted, IPortal portal)
    {
        var inbound = wanted.Inbound;
        var dialer = new Dialer(portal, materials.Find(inbound.As)!, connections);
        if (inbound.Forward is { } forward)
        {
            var options = new ConnectOptions(Class: forward.Class, Instance: forward.Instance);
            return new Service(new ForwardInbound(dialer, forward.Target, options, logger, stopping.Token).ServeAsync, null);
        }
        var scope = new HttpScope(dialer, wanted.Credentials);
        return new Service(new ProxyInbound(scope, gateway!, gate, logger, stopping.Token).ServeAsync, scope);
    }

    private static bool SameCredentials(Credentials? a, Credentials? b) => a is null ? b is null : a.SameAs(b);

    private static Socket? TryBind(IPEndPoint endPoint, string field, List<string> problems)
    {
        try
        {
            return Listener.Bind(endPoint);
        }
        catch (SocketException e)
        {
            problems.Add($"{field}: {e.Message}; use an address of this machine and a port that nobody uses.");
            return null;
        }
    }

    private static Credentials? ReadCredentials(CredentialsConfiguration given, string field, List<string> problems)
    {
        try
        {
            using var reader = new StreamReader(given.PasswordFile);
            if (reader.BaseStream.Length > MaxPasswordFileBytes)
            {
                problems.Add($"{field}: {given.PasswordFile} has more than {MaxPasswordFileBytes} bytes; put only the password into it.");
                return null;
            }
            if (reader.ReadLine() is { Length: > 0 } password && System.Text.Encoding.UTF8.GetBytes(password) is { Length: <= 255 } bytes) return new Credentials(given.User, bytes);
            problems.Add($"{field}: the first line of {given.PasswordFile} must be a password of 1 to 255 bytes (RFC 1929); write one.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            problems.Add($"{field}: {e.Message} Write the password's file, readable by this user.");
        }
        return null;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Inbound {Local} acts as {Caller}: {What}")]
    private partial void Listens(EndPoint local, string caller, string what);

    [LoggerMessage(Level = LogLevel.Information, Message = "Inbound {Listen} is changed; clients that are connected go on as before")]
    private partial void Changed(EndPoint listen);

    [LoggerMessage(Level = LogLevel.Information, Message = "Inbound {Listen} has ended; clients that are connected go on")]
    private partial void Ended(EndPoint listen);

    /// <summary>Prepared inbounds; dispose when they are not applied.</summary>
    internal sealed class Prepared(IReadOnlyDictionary<string, Wanted> wanted)
    {
        public IReadOnlyDictionary<string, Wanted> Wanted => wanted;

        /// <summary>They will not be applied.</summary>
        public void Discard()
        {
            foreach (var entry in wanted.Values) entry.Bound?.Dispose();
        }
    }

    /// <param name="Inbound">As configured.</param>
    /// <param name="Credentials">Read from their file.</param>
    /// <param name="Bound">Null: the port is listened on already.</param>
    internal sealed record Wanted(InboundConfiguration Inbound, Credentials? Credentials, Socket? Bound);

    /// <param name="ServeAsync">Serves one client.</param>
    /// <param name="Scope">Of a proxy; disposed when no new client is sent to it.</param>
    private sealed record Service(Func<LocalSocket, Task> ServeAsync, HttpScope? Scope);

    private sealed class Slot(InboundConfiguration configuration, Credentials? credentials, Service service) : IAsyncDisposable
    {
        private volatile Service service = service;

        public InboundConfiguration Configuration { get; private set; } = configuration;

        public Credentials? Credentials { get; private set; } = credentials;

        public Listener? Listener { get; set; }

        public Task ServeAsync(LocalSocket socket) => service.ServeAsync(socket);

        public void Change(InboundConfiguration configuration, Credentials? credentials, Service newer)
        {
            (Configuration, Credentials) = (configuration, credentials);
            var older = service;
            service = newer;
            older.Scope?.Dispose();
        }

        public async ValueTask DisposeAsync()
        {
            await Listener!.DisposeAsync().ConfigureAwait(false);
            service.Scope?.Dispose();
        }
    }
}
