namespace Florete.Identity.Tests;

public class EventFileTests
{
    [Fact]
    public void Events_are_numbered_on_over_restarts_and_a_cut_off_line_is_left_out()
    {
        using var home = new Home();
        home.Events.Add("join", "spiffe://home/node/d", "spiffe://home/node/b", "first\n\"quoted\"");
        home.Events.Add("refusal", "?", "spiffe://home/node/b", new string('x', 5000));
        home.Events.Dispose();
        var file = Path.Combine(home.Options.StateFolder, "events.jsonl");
        File.AppendAllText(file, "{\"number\":3,\"time\":\"2026");
        using var again = EventFile.Open(home.Options.StateFolder, home.Clock);
        again.Add("issue", "spiffe://home/vertex/a", "spiffe://home/node/a", "third");
        var all = again.After(0);
        Assert.Equal([1, 2, 3], all.Select(static e => e.Number));
        Assert.Equal("first\n\"quoted\"", all[0].Detail);
        Assert.True(all[1].Detail.Length < 1000);
        Assert.Equal("third", Assert.Single(again.After(2)).Detail);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
    }

    [Fact]
    public void The_newest_are_kept_in_bounded_room()
    {
        using var home = new Home();
        // As many as fill it three times, by files put in its place.
        home.Events.Dispose();
        var file = Path.Combine(home.Options.StateFolder, "events.jsonl");
        long number = 0;
        for (var round = 0; round < 3; round++)
        {
            using (var lines = new StreamWriter(file, append: true))
            {
                for (var i = 0; i < 9000; i++)
                    lines.Write($"{{\"number\":{++number},\"time\":\"2026-06-01T12:00:00+00:00\",\"kind\":\"issue\",\"subject\":\"s\",\"by\":\"b\",\"detail\":\"{new string('d', 370)}\"}}\n");
            }
            using var events = EventFile.Open(home.Options.StateFolder, home.Clock);
            events.Add("issue", "s", "b", $"round {round}");
            number++;
        }
        using var last = EventFile.Open(home.Options.StateFolder, home.Clock);
        Assert.Equal(number, last.After(number - 1)[0].Number);
        Assert.Equal(EventFile.MaxAnswer, last.After(number - 5000).Count);
        Assert.True(Directory.GetFiles(home.Options.StateFolder, "events.jsonl*").Sum(static f => new FileInfo(f).Length) <= 3 * EventFile.MaxFileBytes);
    }
}
