using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;
using Florete.Simulation;

namespace Florete.Layers.Tests.Transport;

/// <summary>One identity published at several vertices: which of them gets a connection, and what happens when one is dead.</summary>
[Collection(nameof(WholeVertices))]
public class InstancesTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Fact]
    public void Equal_instances_get_equal_shares_of_what_is_open()
    {
        using var mesh = new Mesh(3);
        var service = PublishAt(mesh, 1, 0, 2);
        var open = Connect(mesh, 1, service, 10);
        Assert.Equal([5, 5], SharesOf(mesh, open, 0, 2));
    }

    [Fact]
    public void The_near_one_is_taken_until_it_has_more_than_the_longer_path_costs()
    {
        using var mesh = new Mesh(4, path: new PathProperties { Delay = TimeSpan.FromMilliseconds(2) });
        var service = PublishAt(mesh, 0, 1, 3);
        // One after another, each closed before the next: all are near.
        for (var i = 0; i < 5; i++)
        {
            var connection = mesh[0].Connect(mesh.Hold(IdentityKind.User, "alice"), service.Id);
            Assert.Equal(mesh[1].Vertex.Id, connection.RemoteVertex);
            connection.Abort(new PortalException(PortalError.Closed, "done"));
            mesh.Clock.Run(TimeSpan.FromMilliseconds(100));
        }
        var shares = SharesOf(mesh, Connect(mesh, 0, service, 12), 1, 3);
        Assert.True(shares[0] > shares[1] && shares[1] > 0, string.Join(", ", shares));
    }

    [Fact]
    public void Connections_asked_for_at_the_same_moment_are_spread()
    {
        using var mesh = new Mesh(3);
        var service = PublishAt(mesh, 1, 0, 2);
        var alice = mesh.Hold(IdentityKind.User, "alice");
        var open = mesh[1].Run(() => Task.WhenAll(Enumerable.Range(0, 20).Select(
            async _ => await mesh[1].Vertex.ConnectAsync(alice, service.Id, ConnectOptions.Default))));
        Assert.Equal([10, 10], SharesOf(mesh, open, 0, 2));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_dead_instance_is_left_within_a_second_and_avoided(bool isKnownBefore)
    {
        using var mesh = new Mesh(3);
        var service = PublishAt(mesh, 1, 0, 2);
        var alice = mesh.Hold(IdentityKind.User, "alice");
        if (isKnownBefore) Connect(mesh, 1, service, 4);
        // Its packets are lost from now on; that the link is down is not known yet.
        mesh.Cut(1, 2);
        for (var i = 0; i < 6; i++)
        {
            var began = mesh.Clock.Now;
            var connection = mesh[1].Connect(alice, service.Id);
            Assert.Equal(mesh[0].Vertex.Id, connection.RemoteVertex);
            Assert.True(mesh.Clock.Now - began < Second, $"{i}: {mesh.Clock.Now - began}");
        }
    }

    [Fact]
    public void Connections_to_an_instance_that_is_gone_end_within_a_second_when_another_can_be_reached()
    {
        using var mesh = new Mesh(3);
        var service = PublishAt(mesh, 1, 0, 2);
        var open = Connect(mesh, 1, service, 4);
        var wanted = mesh[1].Connect(mesh.Hold(IdentityKind.User, "alice"), service.Id, options: new ConnectOptions(Instance: mesh[2].Vertex.Id));
        // The links have left their youth.
        mesh.Clock.Run(TimeSpan.FromSeconds(8));
        mesh.Cut(1, 2);
        var began = mesh.Clock.Now;
        mesh.WaitFor(() => open.Count(static c => c.CloseReason is { Error: PortalError.Unreachable }) == 2);
        Assert.InRange((mesh.Clock.Now - began).TotalSeconds, 0.8, 1);
        Assert.All(open, c => Assert.Equal(c.RemoteVertex == mesh[2].Vertex.Id, c.CloseReason is not null));
        // Who wants that very instance waits for it a little.
        Assert.Null(wanted.CloseReason);
        mesh.WaitFor(() => wanted.CloseReason is { Error: PortalError.Unreachable });
        Assert.InRange((mesh.Clock.Now - began).TotalSeconds, 5, 7);
    }

    [Theory]
    // Back before the caller looks elsewhere; no other instance; no way to anybody.
    [InlineData(0.7, 1, new[] { 0, 2 }, 2)]
    [InlineData(30, 1, new[] { 2 }, 2)]
    [InlineData(30, 0, new[] { 1, 2 }, 1)]
    public void Connections_survive_an_absence_that_is_short_or_that_no_other_instance_could_mend(double seconds, int caller, int[] vertices, int cutFrom)
    {
        using var mesh = new Mesh(3);
        var open = Connect(mesh, caller, PublishAt(mesh, caller, vertices), 4);
        mesh.Cut(caller, cutFrom);
        mesh.Clock.Run(TimeSpan.FromSeconds(seconds));
        mesh.Cut(caller, cutFrom, isCut: false);
        mesh.Clock.Run(TimeSpan.FromSeconds(90));
        Assert.All(open, static c => Assert.False(c.Closed.IsCancellationRequested, c.CloseReason?.Message));
    }

    [Fact]
    public void A_program_that_hangs_is_left_within_a_second_and_avoided_though_its_vertex_lives()
    {
        using var mesh = new Mesh(3);
        var service = PublishAt(mesh, 1, 0);
        mesh[2].Run(async () => await mesh[2].Vertex.PublishAsync(service, new Hanging()));
        WaitForInstances(mesh, 1, service, 2);
        var alice = mesh.Hold(IdentityKind.User, "alice");
        var slow = 0;
        for (var i = 0; i < 10; i++)
        {
            var began = mesh.Clock.Now;
            Assert.Equal(mesh[0].Vertex.Id, mesh[1].Connect(alice, service.Id).RemoteVertex);
            Assert.True(mesh.Clock.Now - began < Second);
            if (mesh.Clock.Now - began > TimeSpan.FromMilliseconds(300)) slow++;
        }
        // It was asked once, and then avoided for seconds.
        Assert.Equal(1, slow);
    }

    [Fact]
    public void An_instance_whose_program_fails_is_passed_over_and_if_all_do_the_caller_learns_why()
    {
        using var mesh = new Mesh(3);
        var service = mesh.Hold(IdentityKind.Service, "web");
        mesh[0].Run(async () => await mesh[0].Vertex.PublishAsync(service, new Failing()));
        WaitForInstances(mesh, 1, service, 1);
        var alice = mesh.Hold(IdentityKind.User, "alice");
        Assert.Equal("broken", Assert.Throws<PortalException>(() => mesh[1].Connect(alice, service.Id)).Message);
        mesh[2].Publish(service, static _ => Task.CompletedTask);
        WaitForInstances(mesh, 1, service, 2);
        Assert.Equal(mesh[2].Vertex.Id, mesh[1].Connect(alice, service.Id).RemoteVertex);
    }

    [Fact]
    public void Instances_that_are_slow_to_answer_are_not_given_up()
    {
        // A round trip of 0.4 s: no connection is made within the second after which the other instance is asked.
        using var mesh = new Mesh(3, path: new PathProperties { Delay = TimeSpan.FromMilliseconds(200) });
        var service = PublishAt(mesh, 1, 0, 2);
        Assert.Contains(mesh[1].Connect(mesh.Hold(IdentityKind.User, "alice"), service.Id).RemoteVertex, new[] { mesh[0].Vertex.Id, mesh[2].Vertex.Id });
    }

    [Fact]
    public void The_loser_of_a_race_is_closed()
    {
        using var mesh = new Mesh(3, path: new PathProperties { Delay = TimeSpan.FromMilliseconds(200) });
        List<PortalConnection> accepted = [];
        var service = PublishAt(mesh, 1, accepted.Add, 0, 2);
        mesh[1].Connect(mesh.Hold(IdentityKind.User, "alice"), service.Id);
        mesh.Clock.Run(TimeSpan.FromSeconds(10));
        Assert.InRange(accepted.Count, 1, 2);
        Assert.Single(accepted, static c => !c.Closed.IsCancellationRequested);
    }

    [Fact]
    public void Callers_at_different_vertices_begin_at_different_instances_of_equal_cost()
    {
        var target = SpiffeId.Of("home", IdentityKind.Service, "web");
        Instance[] instances = [.. new[] { "x", "y", "z" }.Select(static n => new Instance(Member.Id(n), 250, 0))];
        var first = Enumerable.Range(0, 300).Select(i => new InstanceChoice(Member.Id($"caller{i}")).Order(target, instances, default)[0]).CountBy(static v => v);
        Assert.All(first, static v => Assert.InRange(v.Value, 60, 140));
    }

    [Fact]
    public void An_instance_that_fails_again_is_avoided_for_longer_until_it_answers()
    {
        var target = SpiffeId.Of("home", IdentityKind.Service, "web");
        var (near, far) = (Member.Id("near"), Member.Id("far"));
        Instance[] instances = [new(near, 250, 0), new(far, 50_000, 0)];
        var choice = new InstanceChoice(Member.Id("self"));
        var now = new Instant(1_000_000_000_000);
        Assert.Equal([near, far], choice.Order(target, instances, now));
        foreach (var seconds in new[] { 5, 10, 20, 40, 60, 60 })
        {
            choice.Asked(target, near);
            choice.Failed(target, near, now);
            choice.Settled(target, near, now);
            Assert.Equal([far, near], choice.Order(target, instances, now + TimeSpan.FromSeconds(seconds - 0.1)));
            now += TimeSpan.FromSeconds(seconds + 0.1);
            Assert.Equal([near, far], choice.Order(target, instances, now));
        }
        choice.Asked(target, near);
        choice.Failed(target, near, now);
        choice.Answered(target, near);
        choice.Settled(target, near, now);
        Assert.Equal([near, far], choice.Order(target, instances, now));
    }

    private static HeldIdentity PublishAt(Mesh mesh, int caller, params int[] vertices) => PublishAt(mesh, caller, static _ => { }, vertices);

    private static HeldIdentity PublishAt(Mesh mesh, int caller, Action<PortalConnection> accept, params int[] vertices)
    {
        var service = mesh.Hold(IdentityKind.Service, "web");
        foreach (var vertex in vertices)
        {
            mesh[vertex].Publish(service, connection =>
            {
                accept(connection);
                return Task.CompletedTask;
            });
        }
        WaitForInstances(mesh, caller, service, vertices.Length);
        return service;
    }

    private static void WaitForInstances(Mesh mesh, int caller, HeldIdentity service, int count)
    {
        for (var tries = 0; tries < 1000; tries++)
        {
            if (mesh[caller].Run(async () => await mesh[caller].Vertex.StatusAsync()).Services.Count(s => s.Service == service.Id) == count) return;
            mesh.Clock.Run(TimeSpan.FromMilliseconds(20));
        }
        Assert.Fail("Not all instances are known.");
    }

    private static PortalConnection[] Connect(Mesh mesh, int caller, HeldIdentity service, int count)
    {
        var alice = mesh.Hold(IdentityKind.User, "alice");
        return [.. Enumerable.Range(0, count).Select(_ => mesh[caller].Connect(alice, service.Id))];
    }

    private static int[] SharesOf(Mesh mesh, PortalConnection[] connections, params int[] vertices) =>
        [.. vertices.Select(v => connections.Count(c => c.RemoteVertex == mesh[v].Vertex.Id))];

    private sealed class Hanging : IAcceptor
    {
        public async ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken)
        {
            var never = new TaskCompletionSource();
            await using var registration = cancellationToken.UnsafeRegister(state => ((TaskCompletionSource)state!).TrySetCanceled(), never);
            await never.Task;
        }
    }

    private sealed class Failing : IAcceptor
    {
        public ValueTask AcceptAsync(PortalConnection connection, CancellationToken cancellationToken) =>
            throw new PortalException(PortalError.TargetFailed, "broken");
    }
}
