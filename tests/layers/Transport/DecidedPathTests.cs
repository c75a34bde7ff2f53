using Florete.Identities;
using Florete.Portals;
using Florete.Runtime;
using Florete.Simulation;

namespace Florete.Layers.Tests.Transport;

/// <summary>Connections of whole vertices over paths that the control plane wants.</summary>
[Collection(nameof(WholeVertices))]
public class DecidedPathTests
{
    [Theory]
    [InlineData(ConnectionMode.Stream)]
    [InlineData(ConnectionMode.Datagram)]
    public void A_connection_takes_the_decided_path_falls_back_when_it_is_cut_and_returns(ConnectionMode mode)
    {
        using var mesh = new Mesh(4, isRing: true, path: new PathProperties { Delay = TimeSpan.FromMilliseconds(1) });
        var service = mesh.Hold(IdentityKind.Service, "sink");
        long read = 0;
        mesh[1].Publish(service, connection => ReadAsync(connection, bytes => read += bytes));
        mesh[0].Discover(service.Id);
        // The metrics of young links wander; here it is the links that matter.
        mesh.Clock.Run(TimeSpan.FromSeconds(8));
        Assert.Equal(["b"], Trace(mesh));

        Decide(mesh, PathStep.Through(mesh[3].Vertex.Id), PathStep.Over(mesh[3].Vertex.Id, mesh[2].Vertex.Id), PathStep.Over(mesh[2].Vertex.Id, mesh[1].Vertex.Id));
        Assert.Equal(["d", "c", "b"], Trace(mesh));
        var caller = mesh.Hold(IdentityKind.User, "alice");
        var connection = mesh[0].Run(async () => await mesh[0].Vertex.ConnectAsync(caller, service.Id, ConnectOptions.Default with { Mode = mode }));
        var sending = mesh[0].Loop.RunAsync(() => SendAsync(mesh, connection));
        Passes(through: true);

        mesh.Cut(2, 3);
        mesh.WaitFor(() => Path().Problem is not null);
        Assert.Equal("there is no link from d to c now.", Path().Problem);
        Passes(through: false);

        mesh.Cut(2, 3, isCut: false);
        mesh.WaitFor(() => Path().Problem is null);
        Passes(through: true);
        Assert.Equal(["d", "c", "b"], Trace(mesh));
        connection.Abort(new PortalException(PortalError.Closed, "Enough."));
        mesh.WaitFor(() => sending.IsCompleted);

        DecidedPathStatus Path() => Assert.Single(mesh[0].Run(() => mesh[0].Vertex.StatusAsync()).Forwarding.Paths);

        void Passes(bool through)
        {
            // What is under way still takes the path before.
            mesh.Clock.Run(TimeSpan.FromMilliseconds(500));
            var (before, forwarded) = (read, Forwarded());
            mesh.WaitFor(() => read > before + 200_000);
            if (through) Assert.InRange(Forwarded() - forwarded, 10, long.MaxValue);
            else Assert.InRange(Forwarded() - forwarded, 0, 5);
        }

        long Forwarded() => mesh[2].Run(() => mesh[2].Vertex.StatusAsync()).Packets.Forwarded;
    }

    private static void Decide(Mesh mesh, params PathStep[] via) => mesh[0].Run(async () =>
    {
        await mesh[0].Vertex.SetPathsAsync([new DecidedPath(mesh[1].Vertex.Id, via)]);
        return true;
    });

    private static string[] Trace(Mesh mesh) => [.. mesh[0].Run(() => mesh[0].Vertex.TraceAsync(mesh[1].Vertex.Id)).Select(static h => h.Vertex!.Name)];

    private static async Task SendAsync(Mesh mesh, PortalConnection connection)
    {
        var bytes = new byte[1000];
        try
        {
            while (!connection.Closed.IsCancellationRequested)
            {
                if (connection.Stream is { } stream) await stream.Output.WriteAsync(bytes);
                if (connection.Datagrams is { } datagrams)
                {
                    var packet = datagrams.Pool.Rent();
                    bytes.CopyTo(packet.Append(bytes.Length));
                    datagrams.Send(packet, TrafficClass.Bulk);
                }
                var pause = new LoopPromise<bool>(mesh[0].Loop);
                mesh[0].Loop.CreateTimer(() => pause.Set(true)).Set(mesh[0].Loop.Now + TimeSpan.FromMilliseconds(1));
                await pause.Task;
            }
        }
        catch (PortalException)
        {
        }
    }

    private static async Task ReadAsync(PortalConnection connection, Action<int> came)
    {
        if (connection.Datagrams is { } datagrams) datagrams.Sink = new Sink(came);
        if (connection.Stream is not { } stream) return;
        try
        {
            while (true)
            {
                var read = await stream.Input.ReadAsync();
                came((int)read.Buffer.Length);
                stream.Input.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted) return;
            }
        }
        catch (PortalException)
        {
        }
    }

    private sealed class Sink(Action<int> came) : IDatagramSink
    {
        public void OnDatagram(PacketBuffer packet)
        {
            came(packet.Length);
            packet.Return();
        }

        public void OnQualityChanged()
        {
        }
    }
}
