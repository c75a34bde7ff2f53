using System.Text;
using Florete.Coordination.Contracts;
using Florete.Identities;
using FsCheck.Fluent;

namespace Florete.Coordination.Tests;

public class MessageTests
{
    private static readonly VertexView View = new("a", true, [new("a", StandState.Candidate, 4), new("c", StandState.Coordinator, 5)], ["a", "b", "c"], 3, new Epoch(5, "c"));

    private static readonly VertexRequest[] Requests =
    [
        VertexRequest.ToAttend, VertexRequest.ForTopology, VertexRequest.Of(new Stand(StandState.Coordinator, ulong.MaxValue)), VertexRequest.Of(new SignedDecision([1, 2], new byte[64], [3])),
    ];

    private static readonly VertexAnswer[] Answers =
    [
        VertexAnswer.Of(View), VertexAnswer.Of(View with { Newest = null, Candidates = [] }), VertexAnswer.Of(new Acceptance(17)), VertexAnswer.Of(new Refusal(RefusalReasons.StaleEpoch, "Old.", new Epoch(6, "b"))),
        VertexAnswer.Of(new Topology([new("a", [new("b", 410, 1_000_000, 0)]), new("b", [])])), VertexAnswer.OfError("No."),
    ];

    [Theory]
    [InlineData("""{"version":1,"attend":true}""")]
    [InlineData("""{"version":1,"stand":{"state":"candidate","counter":0}}""")]
    [InlineData("""{"version":1,"topology":true}""")]
    [InlineData("""{"version":1,"attend":true,"later":{"x":[1]}}""")]
    public void Requests_of_the_protocol_are_read(string line) => Assert.True(VertexRequest.TryRead(Encoding.UTF8.GetBytes(line), out _, out _));

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("""{"version":2,"attend":true}""")]
    [InlineData("""{"attend":true}""")]
    [InlineData("""{"version":1}""")]
    [InlineData("""{"version":1,"attend":false}""")]
    [InlineData("""{"version":1,"attend":true,"topology":true}""")]
    [InlineData("""{"version":1,"stand":{"state":"king","counter":0}}""")]
    [InlineData("""{"version":1,"stand":{"state":2,"counter":1}}""")]
    [InlineData("""{"version":1,"stand":{"state":"coordinator","counter":0}}""")]
    [InlineData("""{"version":1,"stand":{"state":"coordinator"}}""")]
    [InlineData("""{"version":1,"decide":{"document":"?","signature":"","chain":""}}""")]
    [InlineData("""{"version":1,"decide":{"document":null,"signature":"","chain":""}}""")]
    [InlineData("""{"version":1,"attend":true}x""")]
    public void What_is_no_request_is_refused_with_a_sentence(string line)
    {
        Assert.False(VertexRequest.TryRead(Encoding.UTF8.GetBytes(line), out var request, out var problem));
        Assert.Null(request);
        Assert.NotEmpty(problem);
    }

    [Theory]
    [InlineData("""{"version":1,"view":{"vertex":"a","named":true,"candidates":[null],"vertices":[],"boundsVersion":1}}""")]
    [InlineData("""{"version":1,"view":{"vertex":"a","named":true,"candidates":[],"vertices":[null],"boundsVersion":1}}""")]
    [InlineData("""{"version":1,"view":{"vertex":"A","named":true,"candidates":[],"vertices":[],"boundsVersion":1}}""")]
    [InlineData("""{"version":1,"view":{"vertex":"a","named":true,"candidates":[],"vertices":[],"boundsVersion":1,"newest":{"counter":0,"coordinator":"c"}}}""")]
    [InlineData("""{"version":1,"view":{"vertex":"a","named":true,"candidates":[],"vertices":[],"boundsVersion":1,"newest":{"counter":1,"coordinator":null}}}""")]
    [InlineData("""{"version":1,"view":{"vertex":"a","named":true,"candidates":[{"vertex":"b","state":"coordinator","counter":0}],"vertices":[],"boundsVersion":1}}""")]
    [InlineData("""{"version":1,"topology":{"vertices":[{"name":"a","links":[null]}]}}""")]
    [InlineData("""{"version":1,"topology":{"vertices":[{"name":"a","links":null}]}}""")]
    [InlineData("""{"version":1,"accepted":{"number":1},"error":"x"}""")]
    public void What_is_no_answer_is_refused_with_a_sentence(string line)
    {
        Assert.False(VertexAnswer.TryRead(Encoding.UTF8.GetBytes(line), out var answer, out var problem));
        Assert.Null(answer);
        Assert.NotEmpty(problem);
    }

    [Fact]
    public void Messages_read_as_they_were_written()
    {
        foreach (var request in Requests)
        {
            var line = CoordinationJson.Write(request);
            Assert.DoesNotContain((byte)'\n', line);
            Assert.True(VertexRequest.TryRead(line, out var read, out _));
            Assert.Equal(line, CoordinationJson.Write(read));
        }
        foreach (var answer in Answers)
        {
            var line = CoordinationJson.Write(answer);
            Assert.DoesNotContain((byte)'\n', line);
            Assert.True(VertexAnswer.TryRead(line, out var read, out var problem), problem);
            Assert.Equal(line, CoordinationJson.Write(read));
        }
        Assert.Equal("""{"version":1,"refused":{"reason":"staleEpoch","text":"Old.","newest":{"counter":6,"coordinator":"b"}}}""", Encoding.UTF8.GetString(CoordinationJson.Write(Answers[3])));
    }

    [Fact]
    public void Damage_never_throws()
    {
        FsCheck.Check.QuickThrowOnFailure(Prop.ForAll<int>(seed =>
        {
            var random = new Random(seed);
            var request = Hostile.Damaged(random, CoordinationJson.Write(Requests[random.Next(Requests.Length)]));
            var answer = Hostile.Damaged(random, CoordinationJson.Write(Answers[random.Next(Answers.Length)]));
            return (VertexRequest.TryRead(request, out var r, out var whyR) ? CoordinationJson.Write(r).Length : whyR.Length) > 0
                && (VertexAnswer.TryRead(answer, out var a, out var whyA) ? CoordinationJson.Write(a).Length : whyA.Length) > 0;
        }));
    }
}
