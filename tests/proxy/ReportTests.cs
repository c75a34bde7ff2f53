using Florete.Identities;
using Florete.Proxy.Commands;

namespace Florete.Proxy.Tests;

public class ReportTests
{
    private static readonly SpiffeId A = SpiffeId.Of("home", IdentityKind.Vertex, "a");
    private static readonly SpiffeId B = SpiffeId.Of("home", IdentityKind.Vertex, "b");
    private static readonly SpiffeId Db = SpiffeId.Of("home", IdentityKind.Service, "db");
    private static readonly SpiffeId Web = SpiffeId.Of("home", IdentityKind.Service, "web");

    [Fact]
    public void Services_that_are_cut_off_are_shown_as_such()
    {
        var reports = VertexReports.Services([new(Web, B), new(Web, A)], [new(Db, B)]);
        Assert.Equal(["service/db", "service/web"], reports.Select(static r => r.Name));
        Assert.Equal(["vertex/a", "vertex/b"], reports[1].Vertices);
        Assert.Null(reports[1].OutOfReach);
        Assert.Empty(reports[0].Vertices);
        Assert.Equal(["vertex/b"], reports[0].OutOfReach!);
        Assert.Contains("vertex/b (out of reach)", Tables.Services(reports), StringComparison.Ordinal);
    }
}
