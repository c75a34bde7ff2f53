using Florete.Identities;
using Florete.Proxy.Commands;
using Florete.Proxy.Control;

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

    [Fact]
    public void What_is_revoked_is_shown_and_a_node_that_holds_it_is_not_healthy()
    {
        var now = DateTimeOffset.UnixEpoch;
        var status = new StatusReport(
            "vertex/a", "home", 1, now, 1, [new("user/alice", now.AddHours(1), "It was revoked | yes.")], [], [], [], [], [], new ConnectionsReport(0, 0, 0, 0),
            new Dictionary<string, long>(), [new("user/alice", now, "superseded", "a | b", "operator/root", now, now)], "The disk is full.",
            [new("vertex/b", ["d", "d>c"], false, "there is no link | now.")]);
        var table = Tables.Status(status);
        Assert.Contains("REVOKED: It was revoked / yes.", table, StringComparison.Ordinal);
        Assert.Contains("superseded  a / b", table, StringComparison.Ordinal);
        Assert.Contains("d, d>c  not used: there is no link / now.", table, StringComparison.Ordinal);
        var problems = Metrics.Health.ProblemsOf(status, now);
        Assert.Equal(2, problems.Count);
        Assert.Contains("florctl identity issue", problems[0], StringComparison.Ordinal);
        Assert.Contains("The disk is full.", problems[1], StringComparison.Ordinal);
    }
}
