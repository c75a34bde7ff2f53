using Florete.Identities;
using Florete.Portals;
using Florete.Simulation;

namespace Florete.Links.Tests;

/// <summary>Who gets no link, and what they are told.</summary>
public class RefusalTests
{
    private static PortalException Refused(Meeting meeting, Member caller, string target = "b")
    {
        async Task<PortalException?> Try()
        {
            try
            {
                await caller.Connect(target);
                return null;
            }
            catch (PortalException e)
            {
                return e;
            }
        }
        var error = meeting.Wait(Try());
        Assert.Empty(caller.Faults);
        return Assert.IsType<PortalException>(error);
    }

    private static HeldIdentity Identity(Meeting meeting, CertificateAuthority authority, IdentityKind kind, string name, TimeSpan life) =>
        new(authority.Issue(SpiffeId.Of("home", kind, name), life, meeting.Clock.WallClock.GetUtcNow()));

    [Fact]
    public void An_unknown_authority_is_refused_on_both_sides()
    {
        using var meeting = new Meeting();
        using var other = CertificateAuthority.Create("home", meeting.Clock.WallClock.GetUtcNow());
        var b = meeting.Join("b", "10.0.0.2:7000");
        var stranger = meeting.Join("a", "10.0.0.1:7000", authority: other, neighbours: ("b", "10.0.0.2:7000"));
        var error = Refused(meeting, stranger);
        Assert.Equal(PortalError.Refused, error.Error);
        Assert.Contains("unknown authority", error.Message, StringComparison.Ordinal);
        Assert.Empty(b.Accepted);
    }

    [Fact]
    public void A_caller_of_an_unknown_authority_is_refused_by_the_one_it_calls()
    {
        using var meeting = new Meeting();
        using var other = CertificateAuthority.Create("home", meeting.Clock.WallClock.GetUtcNow());
        var b = meeting.Join("b", "10.0.0.2:7000");
        // It believes in our authority, but holds an SVID of another.
        var stranger = meeting.Join("a", "10.0.0.1:7000", identity: Identity(meeting, other, IdentityKind.Vertex, "a", TimeSpan.FromHours(1)), neighbours: ("b", "10.0.0.2:7000"));
        var error = Refused(meeting, stranger);
        Assert.Equal(PortalError.Refused, error.Error);
        Assert.Contains("alert", error.Message, StringComparison.Ordinal);
        Assert.Empty(b.Accepted);
        Assert.Contains(b.Notes, static n => n.Contains("unknown authority", StringComparison.Ordinal));
    }

    [Fact]
    public void An_expired_svid_is_refused()
    {
        using var meeting = new Meeting();
        meeting.Join("b", "10.0.0.2:7000", identity: Identity(meeting, meeting.Authority, IdentityKind.Vertex, "b", TimeSpan.FromMinutes(1)));
        meeting.Clock.Run(TimeSpan.FromMinutes(10));
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        Assert.Contains("expired", Refused(meeting, a).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_vertex_that_is_another_than_expected_is_refused()
    {
        using var meeting = new Meeting();
        meeting.Join("c", "10.0.0.2:7000");
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        Assert.Equal(PortalError.Refused, Refused(meeting, a).Error);
    }

    [Fact]
    public void Only_vertices_publish_and_connect()
    {
        using var meeting = new Meeting();
        var a = meeting.Join("a", "10.0.0.1:7000");
        var workload = Identity(meeting, meeting.Authority, IdentityKind.Workload, "w", TimeSpan.FromHours(1));
        Assert.Throws<PortalException>(() => meeting.Wait(a.Portal.PublishAsync(workload, a)));
        Assert.Throws<PortalException>(() => meeting.Wait(a.Portal.ConnectAsync(workload, Meeting.Id("b"), new ConnectOptions(ConnectionMode.Datagram))));
    }

    [Fact]
    public void A_workloads_svid_forms_no_link()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        // A thief puts a workload's key and certificate under the vertex's name.
        var workload = meeting.Authority.Issue(SpiffeId.Of("home", IdentityKind.Workload, "a"), TimeSpan.FromHours(1), meeting.Clock.WallClock.GetUtcNow());
        a.Identity.Renew(workload with { Id = a.Identity.Id });
        Assert.Equal(PortalError.Refused, Refused(meeting, a).Error);
        Assert.Contains(b.Notes, static n => n.Contains("not a vertex", StringComparison.Ordinal));
    }

    [Fact]
    public void A_node_proves_its_own_vertex_and_no_other()
    {
        using var meeting = new Meeting();
        using var node = meeting.Authority.IssueNodeAuthority("a", TimeSpan.FromDays(30), meeting.Clock.WallClock.GetUtcNow());
        var b = meeting.Join("b", "10.0.0.2:7000");
        var own = new HeldIdentity(node.Issue(Meeting.Id("a"), TimeSpan.FromHours(1), meeting.Clock.WallClock.GetUtcNow()));
        var a = meeting.Join("a", "10.0.0.1:7000", identity: own, neighbours: ("b", "10.0.0.2:7000"));
        meeting.Wait(a.Portal.ConnectAsync(own, Meeting.Id("b"), new ConnectOptions(ConnectionMode.Datagram)));

        var thief = meeting.Join("c", "10.0.0.3:7000", identity: new HeldIdentity(Forgery.Leaf(node, Meeting.Id("c"))), neighbours: ("b", "10.0.0.2:7000"));
        Assert.Equal(PortalError.Refused, Refused(meeting, thief).Error);
        Assert.Contains(b.Notes, static n => n.Contains("Node a cannot issue vertex/c of another node", StringComparison.Ordinal));
    }

    [Fact]
    public void What_the_bounds_forbid_is_refused_with_the_missing_rule()
    {
        using var meeting = new Meeting();
        meeting.Join("b", "10.0.0.2:7000");
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        meeting.Bounds.Allow = static (_, _) => false;
        var error = Refused(meeting, a);
        Assert.Equal(PortalError.Refused, error.Error);
        Assert.Contains("No rule lets spiffe://home/vertex/a", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_acceptor_may_refuse()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        b.Refuses = new PortalException(PortalError.LimitReached, "enough neighbours");
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        var error = Refused(meeting, a);
        Assert.Equal(PortalError.Refused, error.Error);
        Assert.Contains("enough neighbours", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_neighbour_without_address_and_one_that_is_silent_are_told_apart()
    {
        using var meeting = new Meeting();
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        Assert.Equal(PortalError.NotFound, Refused(meeting, a, "c").Error);
        var error = Refused(meeting, a);
        Assert.Equal(PortalError.TimedOut, error.Error);
        Assert.Contains("10.0.0.2:7000", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_neighbour_that_comes_up_later_is_reached_within_the_timeout()
    {
        using var meeting = new Meeting();
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        var connecting = a.Connect("b").AsTask();
        meeting.Clock.Run(TimeSpan.FromSeconds(3));
        meeting.Join("b", "10.0.0.2:7000");
        Assert.Equal(Meeting.Id("b"), meeting.Wait(connecting).Remote);
    }

    [Fact]
    public void An_acceptor_that_never_answers_leaves_no_link_behind_when_the_caller_gives_up()
    {
        using var meeting = new Meeting();
        var b = meeting.Join("b", "10.0.0.2:7000");
        b.Delay = new TaskCompletionSource().Task;
        var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
        Assert.Equal(PortalError.TimedOut, Refused(meeting, a).Error);
        meeting.Clock.Run(TimeSpan.FromSeconds(1));
        Assert.Empty(meeting.Wait(a.Portal.StatusAsync()).Links);
        Assert.Empty(meeting.Wait(b.Portal.StatusAsync()).Links);
    }

    [Fact]
    public void A_neighbour_that_falls_silent_in_the_handshake_leaves_no_link_behind()
    {
        for (var packets = 1; packets < 12; packets++)
        {
            using var meeting = new Meeting();
            var b = meeting.Join("b", "10.0.0.2:7000");
            var a = meeting.Join("a", "10.0.0.1:7000", neighbours: ("b", "10.0.0.2:7000"));
            var left = packets;
            meeting.Network.Tap = (from, _, _) => from != a.Socket.Local || left-- > 0;
            var connecting = a.Connect("b").AsTask();
            meeting.Clock.Run(TimeSpan.FromSeconds(25));
            var status = meeting.Wait(b.Portal.StatusAsync());
            Assert.True(connecting.IsCompleted);
            _ = connecting.Exception;
            Assert.Empty(status.Links);
            Assert.Equal(0, status.HalfOpenHandshakes);
            Assert.Empty(a.Faults);
            Assert.Empty(b.Faults);
        }
    }
}
