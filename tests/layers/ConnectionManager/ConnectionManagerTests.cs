using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;

namespace Florete.Layers.Tests;

public class ConnectionManagerTests
{
    private readonly VirtualClock clock = new();
    private readonly FakeUnderlay underlay = new();
    private readonly FakeBounds bounds = new();

    [Fact]
    public void A_dialled_neighbour_becomes_an_adjacency_at_both_ends()
    {
        var (a, b) = (Make("a", dials: ["b"]), Make("b"));
        Start(b, a);
        Assert.Equal(b.Id, Assert.Single(a.Up).Neighbour);
        Assert.Equal(a.Id, Assert.Single(b.Up).Neighbour);
        Assert.Equal(1_024u, a.Up[0].MetricMicroseconds);
        Assert.True(Label.Adjacencies.Contains(a.Up[0].Segment));
        Assert.Equal(new NeighbourStatus(b.Id, "test", 1, true, 0, null), Assert.Single(a.Manager.Status()));
    }

    [Fact]
    public void A_link_that_drops_goes_down_and_is_redialled_at_once()
    {
        var (a, b) = (Make("a", dials: ["b"]), Make("b"));
        Start(b, a);
        Run(20);
        underlay.Connections[0].Abort(new PortalException(PortalError.Unreachable, "silence for 120 ms"));
        Run(0);
        Assert.Equal("silence for 120 ms", Assert.Single(a.Down).Reason);
        Assert.Equal(2, underlay.Dials.Count);
        Assert.Equal(2, a.Up.Count);
        Assert.Single(a.Manager.Adjacencies);
        Assert.Single(b.Manager.Adjacencies);
    }

    [Fact]
    public void Dials_back_off_with_jitter_to_the_longest_wait_and_no_further()
    {
        var (a, b) = (Make("a", dials: ["b"]), Make("b"));
        underlay.Unreachable.Add(b.Id);
        Start(b, a);
        Run(60);
        var waits = underlay.Dials.Zip(underlay.Dials.Skip(1), (x, y) => (y.At - x.At).TotalMilliseconds).ToArray();
        Assert.InRange(waits[0], 50, 63);
        for (var i = 1; i < waits.Length; i++) Assert.InRange(waits[i], Math.Max(50, 0.75 * Math.Min(5000, 50 * (1 << Math.Min(i, 10)))), 5000);
        Assert.InRange(waits.Length, 15, 25);
        Assert.Contains("does not answer", Assert.Single(a.Manager.Status()).LastError);
        underlay.Unreachable.Clear();
        Run(5);
        Assert.Single(a.Manager.Adjacencies);
    }

    [Fact]
    public void Neighbours_to_dial_can_be_changed_while_links_stand()
    {
        var (a, b, c) = (Make("a", dials: ["b"]), Make("b"), Make("c"));
        Start(c, b, a);
        // Inside a turn, as the manager asks: from outside, its continuations would leave virtual time.
        a.Loop.Post(() => a.Manager.SetNeighboursToDial("test", [c.Id]));
        Run(1);
        Assert.Equal([b.Id, c.Id], a.Manager.Adjacencies.Select(x => x.Neighbour).Order());
        underlay.Connections[0].Abort(new PortalException(PortalError.Unreachable, "silence"));
        Run(30);
        Assert.Equal(c.Id, Assert.Single(a.Manager.Adjacencies).Neighbour);
        Assert.Throws<ArgumentException>(() => a.Manager.SetNeighboursToDial("test", [a.Id]));
    }

    [Fact]
    public void A_link_that_flaps_is_not_redialled_in_a_tight_loop()
    {
        var (a, b) = (Make("a", dials: ["b"]), Make("b"));
        a.Manager.AdjacencyUp += adjacency => adjacency.Connection!.Abort(new PortalException(PortalError.Closed, "flap"));
        Start(b, a);
        Run(30);
        Assert.InRange(underlay.Dials.Count, 5, 25);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void When_both_ends_dial_one_link_remains_and_a_link_stands_all_the_time(int seed)
    {
        var (a, b) = (Make("a", dials: ["b"], seed: seed), Make("b", dials: ["a"], seed: seed + 10));
        Start(a, b);
        Assert.NotEmpty(a.Manager.Adjacencies);
        Assert.NotEmpty(b.Manager.Adjacencies);
        var gaps = 0;
        a.Manager.AdjacencyDown += (_, _) => gaps += a.Manager.Adjacencies.Any() ? 0 : 1;
        b.Manager.AdjacencyDown += (_, _) => gaps += b.Manager.Adjacencies.Any() ? 0 : 1;
        Run(30);
        Assert.Equal(0, gaps);
        Assert.Single(a.Manager.Adjacencies);
        Assert.Single(b.Manager.Adjacencies);
        Assert.Same(a.Manager.Adjacencies.Single().Connection, ((FakeConnection)b.Manager.Adjacencies.Single().Connection!).Peer);
    }

    [Fact]
    public void A_neighbour_that_returns_replaces_its_former_link()
    {
        var (a, b) = (Make("a"), Make("b"));
        Start(a);
        void Connect() => b.Loop.Post(() => _ = b.Portal.ConnectAsync(b.Identity, a.Id, new ConnectOptions(ConnectionMode.Datagram)).AsTask());
        Connect();
        Run(20);
        // A second life of b, before a has noticed the end of the first.
        Connect();
        Run(0.5);
        Assert.Equal(2, a.Manager.Adjacencies.Count());
        Run(1);
        Assert.Same(a.Up[1], Assert.Single(a.Manager.Adjacencies));
        Assert.Same(a.Up[0], a.Down[0].Adjacency);
        Assert.Equal("a newer link replaces it", a.Down[0].Reason);
        Assert.True(underlay.Connections[0].IsClosed);
        Assert.NotEqual(a.Up[0].Segment, a.Up[1].Segment);
    }

    [Fact]
    public void What_the_bounds_forbid_is_neither_dialled_nor_accepted()
    {
        var (a, b, c) = (Make("a", dials: ["b"]), Make("b"), Make("c", dials: ["a"]));
        bounds.Forbidden.Add(b.Id);
        Start(b, a, c);
        Run(2);
        Assert.Equal(c.Id, Assert.Single(a.Up).Neighbour);
        Assert.DoesNotContain(underlay.Dials, d => d.Target == b.Id);
        Assert.Contains("no rule", a.Manager.Status().Single(s => s.Neighbour == b.Id).LastError);
        b.Loop.Post(() => _ = b.Portal.ConnectAsync(b.Identity, a.Id, new ConnectOptions(ConnectionMode.Datagram)).AsTask());
        Run(1);
        Assert.Single(a.Up);
    }

    [Fact]
    public void Narrower_bounds_end_a_link_and_wider_ones_bring_it_back_at_once()
    {
        var (a, b) = (Make("a", dials: ["b"]), Make("b"));
        Start(b, a);
        bounds.Forbidden.Add(b.Id);
        bounds.Change();
        Run(0);
        Assert.Empty(a.Manager.Adjacencies);
        Assert.Empty(b.Manager.Adjacencies);
        Run(60);
        bounds.Forbidden.Clear();
        bounds.Change();
        Run(0);
        Assert.Single(a.Manager.Adjacencies);
    }

    [Fact]
    public void Only_vertices_form_links()
    {
        var a = Make("a");
        Start(a);
        var workload = TestIdentity.Of(SpiffeId.Of("home", IdentityKind.Workload, "w"));
        Task? refused = null;
        a.Loop.Post(() => refused = a.Portal.ConnectAsync(workload, a.Id, new ConnectOptions(ConnectionMode.Datagram)).AsTask());
        Run(0);
        Assert.Equal(PortalError.Refused, Assert.IsType<PortalException>(refused!.Exception!.InnerException).Error);
        Assert.Throws<ArgumentException>(() => new ConnectionManager(a.Loop, workload, [], bounds));
    }

    [Fact]
    public void Links_are_bounded_in_number()
    {
        var a = Make("a", options: new ConnectionManagerOptions { MaxAdjacencies = 3 });
        var others = Enumerable.Range(0, 5).Select(i => Make($"n{i}", dials: ["a"])).ToArray();
        Start([a, .. others]);
        Run(10);
        Assert.Equal(3, a.Manager.Adjacencies.Count());
        Assert.Equal(3, a.Manager.Adjacencies.Select(x => x.Segment).Distinct().Count());
    }

    [Fact]
    public void The_metric_follows_the_measured_quality_damped()
    {
        var (a, b) = (Make("a", dials: ["b"]), Make("b"));
        Start(b, a);
        var flow = underlay.Connections[0].Flow;
        void Measure(double milliseconds, double loss = 0)
        {
            flow.Measured = new FlowQuality(TimeSpan.FromMilliseconds(milliseconds), loss, null);
            a.Loop.Post(() => flow.Sink!.OnQualityChanged());
            Run(0);
        }
        Measure(2.2);
        Run(10);
        Assert.Equal(0, a.Changes);
        Measure(20);
        Assert.Equal(1, a.Changes);
        Assert.Equal(10_240u, a.Up[0].MetricMicroseconds);
        Measure(2);
        Measure(40);
        Measure(60);
        Assert.Equal(1, a.Changes);
        Run(5);
        Assert.Equal(2, a.Changes);
        Assert.Equal(32_768u, a.Up[0].MetricMicroseconds);
        Run(10);
        Measure(60, loss: 0.05);
        Assert.Equal(50_000u, a.Up[0].LossPartsPerMillion);
        Assert.Equal(40_960u, a.Up[0].MetricMicroseconds);
    }

    [Fact]
    public void A_stop_withdraws_the_vertex_ends_every_link_and_dials_no_more()
    {
        var (a, b) = (Make("a", dials: ["b"]), Make("b", dials: ["a"]));
        Start(b, a);
        Run(5);
        var stopped = a.Manager.DisposeAsync().AsTask();
        Run(1);
        Assert.True(stopped.IsCompletedSuccessfully);
        Assert.Empty(a.Manager.Adjacencies);
        Assert.Empty(b.Manager.Adjacencies);
        Assert.All(underlay.Connections, c => Assert.True(c.IsClosed));
        var dials = underlay.Dials.Count(d => d.Caller == a.Id);
        Run(30);
        Assert.Equal(dials, underlay.Dials.Count(d => d.Caller == a.Id));
        Assert.Contains("does not answer", Assert.Single(b.Manager.Status()).LastError);
    }

    private Node Make(string name, string[]? dials = null, ConnectionManagerOptions? options = null, int seed = 1) =>
        new(clock, underlay, bounds, name, dials ?? [], options, seed);

    private void Start(params Node[] nodes)
    {
        // One after the other, so that who is to be dialled is there.
        foreach (var node in nodes)
        {
            var start = node.Manager.StartAsync();
            Run(0);
            Assert.True(start.IsCompletedSuccessfully);
        }
    }

    // At least a moment, in which what is posted settles.
    private void Run(double seconds) => clock.Run(TimeSpan.FromSeconds(seconds) + TimeSpan.FromMicroseconds(1));

    private sealed class Node
    {
        public Node(VirtualClock clock, FakeUnderlay underlay, FakeBounds bounds, string name, string[] dials, ConnectionManagerOptions? options, int seed)
        {
            Loop = new VirtualLoop(clock);
            Portal = underlay.Portal(Loop, new PacketPool());
            Identity = TestIdentity.Vertex(name);
            var neighbours = dials.Select(d => SpiffeId.Of("home", IdentityKind.Vertex, d)).ToArray();
            Manager = new ConnectionManager(Loop, Identity, [new Underlay("test", Portal, neighbours)], bounds, options, new Random(seed));
            Manager.AdjacencyUp += Up.Add;
            Manager.AdjacencyDown += (adjacency, reason) => Down.Add((adjacency, reason));
            Manager.AdjacencyChanged += _ => Changes++;
        }

        public VirtualLoop Loop { get; }

        public FakeUnderlay.FakePortal Portal { get; }

        public HeldIdentity Identity { get; }

        public SpiffeId Id => Identity.Id;

        public ConnectionManager Manager { get; }

        public List<Adjacency> Up { get; } = [];

        public List<(Adjacency Adjacency, string Reason)> Down { get; } = [];

        public int Changes { get; private set; }
    }
}
