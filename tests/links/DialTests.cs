using Florete.Portals;
using Florete.Simulation;

namespace Florete.Links.Tests;

/// <summary>Both ends keep dialling, as two connection managers do, while their programs start, stall and lose packets.</summary>
public class DialTests
{
    [Fact]
    public void Two_that_start_slowly_and_dial_each_other_get_one_link_that_stays()
    {
        var worst = new List<string>();
        for (var seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            using var meeting = new Meeting(seed);
            meeting.Network.SetAll(new PathProperties { Delay = TimeSpan.FromMilliseconds(random.Next(1, 20)), Jitter = TimeSpan.FromMilliseconds(random.Next(0, 20)), Loss = random.Next(2) * 0.03 });
            var first = random.Next(2) == 0 ? "a" : "b";
            var one = Begin(meeting, first);
            Stall(meeting, one, random);
            meeting.Clock.Run(TimeSpan.FromMilliseconds(random.Next(0, 2500)));
            var other = Begin(meeting, first == "a" ? "b" : "a");
            for (var i = 0; i < 3; i++)
            {
                Stall(meeting, one, random);
                Stall(meeting, other, random);
                meeting.Clock.Run(TimeSpan.FromMilliseconds(random.Next(0, 300)));
            }
            meeting.Clock.Run(TimeSpan.FromSeconds(15));
            foreach (var member in new[] { one, other })
            {
                Assert.Empty(member.Faults);
                Assert.Single(meeting.Wait(member.Portal.StatusAsync()).Links);
                if (member.Notes.Count > 1) worst.Add($"seed {seed}, {member.Identity.Id.Name}:\n  {string.Join("\n  ", member.Notes)}");
            }
        }
        Assert.True(worst.Count == 0, $"{worst.Count}\n" + string.Join('\n', worst.Take(8)));
    }

    private static Member Begin(Meeting meeting, string name)
    {
        var other = name == "a" ? "b" : "a";
        var member = meeting.Join(name, Address(name), neighbours: (other, Address(other)));
        member.Loop.Post(() => _ = KeepAsync(member, other));
        return member;
    }

    private static string Address(string name) => name == "a" ? "10.0.0.1:7000" : "10.0.0.2:7000";

    private static void Stall(Meeting meeting, Member member, Random random) =>
        member.Loop.StalledUntil = meeting.Clock.Now + TimeSpan.FromMilliseconds(random.Next(0, 250));

    // What a connection manager does: dials while there is no link.
    private static async Task KeepAsync(Member member, string other)
    {
        for (var pause = 50; ; pause = Math.Min(2 * pause, 1000))
        {
            while (member.Accepted.Exists(static l => !l.Closed.IsCancellationRequested)) await Pause(member, 10);
            try
            {
                var link = await member.Connect(other, 5);
                link.Datagrams!.Sink = member.Sink;
                while (!link.Closed.IsCancellationRequested) await Pause(member, 10);
            }
            catch (PortalException)
            {
                await Pause(member, pause);
            }
        }
    }

    private static Task Pause(Member member, int milliseconds)
    {
        var over = new TaskCompletionSource();
        member.Loop.CreateTimer(over.SetResult).Set(member.Loop.Now + TimeSpan.FromMilliseconds(milliseconds));
        return over.Task;
    }
}
