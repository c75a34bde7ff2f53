namespace Florete.EndToEnd.Tests.Harness;

/// <summary>What a test wants built: nodes, their links, and who offers and asks for what.</summary>
public sealed record Plan
{
    /// <summary>Where the callers' proxy listens, on the first node.</summary>
    public const int ProxyPort = 1080;

    public required IReadOnlyList<string> Nodes { get; init; }

    /// <summary>Pairs of nodes that share a cable and may form a link.</summary>
    public required IReadOnlyList<(string Left, string Right)> Links { get; init; }

    /// <summary>Nodes that flor does not run at: a test stands there itself, and dials the neighbours, who have no address of it.</summary>
    public IReadOnlyList<string> Guests { get; init; } = [];

    /// <summary>Services by name, the node that publishes each and the TCP port there.</summary>
    public IReadOnlyList<(string Name, string Node, int Port)> Services { get; init; } = [];

    /// <summary>Ports on the first node that lead to a service.</summary>
    public IReadOnlyList<(int Port, string Service)> Forwards { get; init; } = [];

    /// <summary>Cables that pass through a wire, and what it does; the others are plain veth pairs.</summary>
    public IReadOnlyDictionary<(string Left, string Right), Impairment> Wires { get; init; } = new Dictionary<(string, string), Impairment>();

    /// <summary>Nodes whose clock is off.</summary>
    public IReadOnlyDictionary<string, TimeSpan> Clocks { get; init; } = new Dictionary<string, TimeSpan>();

    /// <summary>Nodes and the identities that have a portal socket there, `run/NAME.portal`.</summary>
    public IReadOnlyList<(string Node, string Identity)> Portals { get; init; } = [];

    /// <summary>What `store` of the bounds says, in YAML. Null: nothing.</summary>
    public string? StoreRules { get; init; }

    /// <summary>What `connect` of the bounds says, in YAML. Null: user/alice may connect to every service.</summary>
    public string? ConnectRules { get; init; }

    /// <summary>Nodes that `coordinate` of the bounds names. None: there is no such key.</summary>
    public IReadOnlyList<string> Coordinators { get; init; } = [];

    /// <summary>How long ago the cluster was made: certificates and bounds are that old.</summary>
    public TimeSpan Age { get; init; }

    /// <summary>a–b–c: hello on c is two hops from a.</summary>
    public static Plan Line { get; } = new()
    {
        Nodes = ["a", "b", "c"],
        Links = [("a", "b"), ("b", "c")],
        Services = [("hello", "c", 8080)],
    };

    /// <summary>a–b–c–d–a: hello on c is two hops from a both ways round.</summary>
    public static Plan Ring { get; } = new()
    {
        Nodes = ["a", "b", "c", "d"],
        Links = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")],
        Services = [("hello", "c", 8080)],
    };
}
