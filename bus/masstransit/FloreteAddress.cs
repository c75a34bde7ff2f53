using Florete.Identities;

namespace Florete.Bus.MassTransit;

/// <summary>
/// Addresses of the bus: <c>florete://bus/orders</c> is the queue <c>orders</c>, whoever receives there; <c>florete://shop.home.rete/orders</c> the same, of that identity alone.
/// A temporary queue, to which answers go, has <c>?temporary=true</c>. Short forms: <c>queue:orders</c>, <c>topic:…</c>.
/// </summary>
internal readonly record struct FloreteAddress(string Host, string Name, bool IsTopic, bool IsTemporary = false)
{
    public const string Scheme = "florete";

    /// <summary>The host that stands for every member.</summary>
    public const string Anyone = "bus";

    public static readonly Uri HostAddress = new($"{Scheme}://{Anyone}/");

    private const string TopicQuery = "?type=topic";
    private const string TemporaryQuery = "?temporary=true";

    public static FloreteAddress Queue(string name, bool isTemporary = false) => new(Anyone, name, false, isTemporary);

    public static FloreteAddress Topic(string name) => new(Anyone, name, true);

    /// <exception cref="ArgumentException">No address of this bus; says what to write.</exception>
    public static FloreteAddress Parse(Uri address)
    {
        const string Advice = "write queue:orders, florete://bus/orders or florete://shop.home.rete/orders";
        if (!address.IsAbsoluteUri) throw new ArgumentException($"'{address}' is no address; {Advice}.", nameof(address));
        var path = Uri.UnescapeDataString(address.AbsolutePath);
        FloreteAddress parsed = address.Scheme switch
        {
            "queue" => Queue(path),
            "topic" or "exchange" => Topic(path),
            Scheme => new FloreteAddress(address.Host, path.TrimStart('/'), address.Query == TopicQuery, address.Query == TemporaryQuery),
            _ => throw new ArgumentException($"'{address}' has the scheme of another transport; {Advice}.", nameof(address)),
        };
        if (parsed.Name.Length == 0) throw new ArgumentException($"'{address}' names no queue; {Advice}.", nameof(address));
        if (parsed.Host != Anyone && !MeshName.TryParse(parsed.Host, null, out _, out var error)) throw new ArgumentException($"'{address}': {error}", nameof(address));
        return parsed;
    }

    public BusDestination ToDestination() => new(Name, Host == Anyone ? null : MeshName.Parse(Host, null));

    public Uri ToUri() => new($"{Scheme}://{Host}/{Uri.EscapeDataString(Name)}{(IsTopic ? TopicQuery : IsTemporary ? TemporaryQuery : "")}");

    /// <summary>The same queue of that identity alone, if it is a temporary one of whoever; else as it is.</summary>
    public FloreteAddress BoundTo(SpiffeId identity) => IsTemporary && Host == Anyone ? this with { Host = MeshName.ToSni(identity) } : this;
}
