using Florete.Identities;
using Florete.Portals;
using Florete.Simulation;

namespace Florete.Layers.Tests.Transport;

/// <summary>A path that is lost under a full flight of packets: what the transport adds to the time that it takes to find the loss out.</summary>
[Collection(nameof(WholeVertices))]
public class PathLossTests
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(0.2);

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(14)]
    [InlineData(21)]
    [InlineData(28)]
    public void A_download_goes_on_as_soon_as_a_silent_link_is_found_out(int phase)
    {
        using var mesh = new Mesh(4, isRing: true, path: new PathProperties { Delay = TimeSpan.FromMilliseconds(0.5), BitsPerSecond = 100_000_000, QueueBytes = 32 * 1024 });
        var service = mesh.Hold(IdentityKind.Service, "source");
        mesh[2].Publish(service, SendAsync);
        mesh[0].Discover(service.Id);
        // The links have left their youth.
        mesh.Clock.Run(TimeSpan.FromSeconds(8));
        var connection = mesh[0].Connect(mesh.Hold(IdentityKind.User, "alice"), service.Id);
        var lastCame = mesh.Clock.Now;
        var reading = mesh[0].Loop.RunAsync(() => ReadAsync(connection, () => lastCame = mesh.Clock.Now));
        mesh.Clock.Run(TimeSpan.FromMilliseconds(400 + phase));
        // Its own queue makes a path look longer: by now the connection may have gone over to the other half of the ring.
        var (by1, by3) = (Forwarded(mesh, 1), Forwarded(mesh, 3));
        mesh.Clock.Run(TimeSpan.FromMilliseconds(5));
        var transit = Forwarded(mesh, 1) - by1 > Forwarded(mesh, 3) - by3 ? 1 : 3;
        Assert.InRange(by1 + by3, 1000, long.MaxValue);

        mesh.Cut(0, transit);
        var cutAt = mesh.Clock.Now;
        mesh.Clock.Run(TimeSpan.FromMilliseconds(50));
        Assert.True(lastCame < cutAt + TimeSpan.FromMilliseconds(5));
        while (Links(mesh, 0) == 2 && Links(mesh, transit) == 2) mesh.Clock.Run(Step);
        var foundOut = mesh.Clock.Now;
        // The news floods, a probe goes round the other half (3 ms there and back), what was lost follows it.
        Assert.True(mesh.Clock.RunUntil(() => lastCame > foundOut, TimeSpan.FromMilliseconds(10)));
        var goesOn = lastCame;
        mesh.Clock.Run(TimeSpan.FromMilliseconds(100));
        Assert.True(lastCame > goesOn + TimeSpan.FromMilliseconds(90));
        connection.Abort(new PortalException(PortalError.Closed, "Enough."));
        mesh.WaitFor(() => reading.IsCompleted);
    }

    private static int Links(Mesh mesh, int vertex) => mesh[vertex].Run(async () => (await mesh[vertex].Vertex.StatusAsync()).Neighbours.Sum(static n => n.Links));

    private static long Forwarded(Mesh mesh, int transit) => mesh[transit].Run(async () => (await mesh[transit].Vertex.StatusAsync()).Packets.Forwarded);

    private static async Task SendAsync(PortalConnection connection)
    {
        var bytes = new byte[50_000];
        while (!(await connection.Stream!.Output.WriteAsync(bytes)).IsCompleted)
        {
        }
    }

    private static async Task ReadAsync(PortalConnection connection, Action came)
    {
        try
        {
            while (true)
            {
                var read = await connection.Stream!.Input.ReadAsync();
                came();
                connection.Stream.Input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return;
            }
        }
        catch (PortalException)
        {
        }
    }
}
