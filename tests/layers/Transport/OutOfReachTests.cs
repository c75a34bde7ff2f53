using Florete.Identities;
using Florete.Portals;

namespace Florete.Layers.Tests.Transport;

/// <summary>What callers are told about services that are known and cut off, and about those that nobody knows.</summary>
[Collection(nameof(WholeVertices))]
public class OutOfReachTests
{
    private static readonly SpiffeId Nowhere = SpiffeId.Of("home", IdentityKind.Service, "nowhere");

    [Theory]
    [InlineData(2, 0)]
    [InlineData(3, 1)]
    public void A_service_that_is_cut_off_is_unreachable_and_an_unknown_one_is_not_found(int count, int cutAfter)
    {
        using var mesh = new Mesh(count);
        var (service, alice) = Publish(mesh, mesh[count - 1]);
        var (far, other) = (mesh[count - 1].Vertex.Id, mesh[0].Vertex.Id);
        CutOff(mesh, cutAfter);
        Assert.Equal(PortalError.Unreachable, Refusal(mesh, alice, service, null).Error);
        Assert.Equal(PortalError.Unreachable, Refusal(mesh, alice, service, far).Error);
        Assert.Equal(PortalError.NotFound, Refusal(mesh, alice, service, other).Error);
        Assert.Equal(PortalError.NotFound, Refusal(mesh, alice, Nowhere, null).Error);
        Assert.Contains(far.ToString(), Refusal(mesh, alice, service, null).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_path_that_is_lost_while_the_answer_is_awaited_makes_it_unreachable()
    {
        using var mesh = new Mesh(2);
        var (service, alice) = Publish(mesh, mesh[1]);
        // Nobody has noticed yet when the connection is asked for.
        mesh.Cut(0, 1);
        Assert.Equal(PortalError.Unreachable, Refusal(mesh, alice, service, null).Error);
    }

    [Fact]
    public void Another_instance_than_the_wanted_one_makes_it_not_found_there()
    {
        using var mesh = new Mesh(2);
        var (service, alice) = Publish(mesh, mesh[1]);
        var refusal = Refusal(mesh, alice, service, mesh[0].Vertex.Id);
        Assert.Equal(PortalError.NotFound, refusal.Error);
        Assert.Contains(mesh[0].Vertex.Id.ToString(), refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_service_that_was_withdrawn_is_not_found()
    {
        using var mesh = new Mesh(2);
        var service = mesh.Hold(IdentityKind.Service, "echo");
        var publication = mesh[1].Publish(service, StreamConnectionTests.EchoAsync);
        mesh[0].Discover(service.Id);
        mesh[1].Run(async () =>
        {
            await publication.DisposeAsync();
            return true;
        });
        mesh.Clock.Run(TimeSpan.FromSeconds(2));
        Assert.Equal(PortalError.NotFound, Refusal(mesh, mesh.Hold(IdentityKind.User, "alice"), service.Id, null).Error);
    }

    [Fact]
    public void A_trace_tells_what_is_cut_off_from_what_is_unknown()
    {
        using var mesh = new Mesh(2);
        var (service, _) = Publish(mesh, mesh[1]);
        Assert.Equal(ProbeOutcome.Reached, mesh.Wait(mesh[0].Vertex.TraceAsync(service))[^1].Outcome);
        CutOff(mesh, 0);
        Assert.Equal(PortalError.Unreachable, TraceRefusal(mesh, service).Error);
        Assert.Equal(PortalError.Unreachable, TraceRefusal(mesh, mesh[1].Vertex.Id).Error);
        Assert.Equal(PortalError.NotFound, TraceRefusal(mesh, Nowhere).Error);
        Assert.Equal(PortalError.NotFound, TraceRefusal(mesh, Member.Id("z")).Error);
    }

    [Fact]
    public void The_status_lists_what_is_cut_off_until_it_is_back()
    {
        using var mesh = new Mesh(3);
        var (service, _) = Publish(mesh, mesh[2]);
        Assert.Empty(mesh.Wait(mesh[0].Vertex.StatusAsync()).OutOfReach);
        CutOff(mesh, 1);
        var status = mesh.Wait(mesh[0].Vertex.StatusAsync());
        Assert.Equal([new ServiceInstance(service, mesh[2].Vertex.Id)], status.OutOfReach);
        Assert.DoesNotContain(status.Services, i => i.Service == service);
        mesh.Cut(1, 2, isCut: false);
        mesh[0].Discover(service);
        Assert.Empty(mesh.Wait(mesh[0].Vertex.StatusAsync()).OutOfReach);
    }

    private static (SpiffeId Service, HeldIdentity Caller) Publish(Mesh mesh, Member at)
    {
        var service = mesh.Hold(IdentityKind.Service, "echo");
        at.Publish(service, StreamConnectionTests.EchoAsync);
        mesh[0].Discover(service.Id);
        return (service.Id, mesh.Hold(IdentityKind.User, "alice"));
    }

    // Long enough for the link to be down on both sides and for that to be known.
    private static void CutOff(Mesh mesh, int after)
    {
        mesh.Cut(after, after + 1);
        mesh.Clock.Run(TimeSpan.FromSeconds(5));
    }

    private static PortalException Refusal(Mesh mesh, HeldIdentity caller, SpiffeId target, SpiffeId? instance) => Assert.Throws<PortalException>(() =>
        mesh[0].Run(async () => await mesh[0].Vertex.ConnectAsync(caller, target, new ConnectOptions(Instance: instance))));

    private static PortalException TraceRefusal(Mesh mesh, SpiffeId target) =>
        Assert.Throws<PortalException>(() => mesh.Wait(mesh[0].Vertex.TraceAsync(target)));
}
