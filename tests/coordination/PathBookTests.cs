using Florete.Coordination.Contracts;
using Florete.Runtime;

namespace Florete.Coordination.Tests;

public class PathBookTests
{
    private static readonly Instant Start = new(1_000_000_000);

    private readonly PathBook book = new();

    [Fact]
    public void What_is_wanted_is_asked_and_what_is_computed_is_decided()
    {
        book.Set("one", new PathWish("a", "d"), null, Start);
        Assert.Empty(book.TakeDue(At(0.4)));
        var question = Assert.Single(book.TakeDue(At(0.5)));
        Assert.False(book.IsSettled);
        Assert.False(book.TakeEnd());
        book.Answer(question, Met("a", "e", "d"), At(0.6));
        Assert.True(book.TakeEnd());
        Assert.False(book.TakeEnd());
        Assert.True(book.IsSettled);
        Assert.Equal("d via e", Assert.Single(book.ByVertex()["a"]).ToString());
        Assert.Equal("met", Assert.Single(book.Status()).State);
        book.Remove("one", At(1));
        Assert.Empty(book.ByVertex());
    }

    [Fact]
    public void A_path_that_is_to_be_disjoint_is_asked_after_the_other()
    {
        book.Set("a-second", new PathWish("a", "d", DisjointFrom: "first"), null, Start);
        book.Set("first", new PathWish("a", "d"), null, Start);
        var first = Assert.Single(book.TakeDue(At(1)));
        Assert.Equal("first", first.Name);
        Assert.Empty(book.TakeDue(At(1.1)));
        book.Answer(first, Met("a", "b", "d"), At(1.2));
        var second = Assert.Single(book.TakeDue(At(1.2)));
        Assert.Equal(["a", "b", "d"], second.DisjointFrom);
        book.Answer(second, Met("a", "e", "d"), At(1.3));
        Assert.True(book.IsSettled);
    }

    [Fact]
    public void What_cannot_be_met_is_left_out_and_says_why()
    {
        book.Set("a", new PathWish("a", "b", DisjointFrom: "b"), null, Start);
        book.Set("b", new PathWish("a", "c", DisjointFrom: "a"), null, Start);
        book.Set("c", new PathWish("a", "d", DisjointFrom: "nothing"), null, Start);
        book.Set("d", new PathWish("a", "e", DisjointFrom: "c"), null, Start);
        book.Set("e", null, "It is no path.", Start);
        book.Set("f", new PathWish("a", "f"), null, Start);
        book.Set("g", new PathWish("a", "f", Avoid: ["x"]), null, Start);
        var questions = book.TakeDue(At(1));
        Assert.Equal(["f", "g"], questions.Select(static q => q.Name));
        foreach (var question in questions) book.Answer(question, Met("a", "x", "f"), At(1));
        Assert.Empty(book.TakeDue(At(1)));
        Assert.True(book.IsSettled);
        Assert.Single(book.ByVertex()["a"]);
        Assert.Equal(["unmet", "unmet", "unmet", "unmet", "malformed", "met", "unmet"], book.Status().Select(static w => w.State));
        Assert.All(book.Status(), static w => Assert.NotEmpty(w.Text!));
    }

    [Fact]
    public void What_could_not_be_computed_stays_as_it_was_and_is_asked_again()
    {
        book.Set("one", new PathWish("a", "d"), null, Start);
        book.Answer(Assert.Single(book.TakeDue(At(1))), Met("a", "e", "d"), At(1));
        book.Invalidate(At(2));
        book.Answer(Assert.Single(book.TakeDue(At(3))), PathOutcome.Failed("nobody answers"), At(4));
        Assert.Single(book.ByVertex()["a"]);
        Assert.Empty(book.TakeDue(At(8.9)));
        var again = Assert.Single(book.TakeDue(At(9)));
        book.Answer(again, new PathOutcome(false, true, "no path"), At(9));
        Assert.Empty(book.ByVertex());
    }

    [Fact]
    public void Whatever_happens_each_round_ends_when_all_its_questions_are_answered()
    {
        for (var seed = 0; seed < 2000; seed++)
        {
            var (random, now) = (new Random(seed), Start);
            var tested = new PathBook();
            var open = new List<PathQuestion>();
            void Ask() => open.AddRange(tested.TakeDue(now));
            for (var i = 0; i < 60; i++)
            {
                now += TimeSpan.FromMilliseconds(random.Next(400));
                var name = $"w{random.Next(5)}";
                if (random.Next(3) == 0) tested.Set(name, random.Next(6) == 0 ? null : new PathWish("a", $"t{random.Next(3)}", DisjointFrom: random.Next(2) == 0 ? $"w{random.Next(6)}" : null), "problem", now);
                else if (random.Next(6) == 0) tested.Remove(name, now);
                else if (random.Next(6) == 0) tested.Invalidate(now);
                else if (open.Count > 0) Answer(random.Next(open.Count));
                Ask();
            }
            // Until nothing changes any more.
            for (var i = 0; i < 100 && !(tested.IsSettled && open.Count == 0); i++)
            {
                now += TimeSpan.FromSeconds(1);
                Ask();
                while (open.Count > 0)
                {
                    Answer(0);
                    Ask();
                }
            }
            Assert.True(tested.IsSettled, $"seed {seed}");
            Assert.DoesNotContain(tested.Status(), static w => w.State == "asking");

            void Answer(int at)
            {
                var question = open[at];
                open.RemoveAt(at);
                tested.Answer(question, random.Next(3) switch { 0 => new PathOutcome(false, true, "none"), _ => Met("a", "m", question.Wish.To) }, now);
                _ = tested.ByVertex();
            }
        }
    }

    private static PathOutcome Met(params string[] vertices) => new(true, true, string.Join('-', vertices), vertices, [new Hop(vertices[1])]);

    private static Instant At(double seconds) => Start + TimeSpan.FromSeconds(seconds);
}
