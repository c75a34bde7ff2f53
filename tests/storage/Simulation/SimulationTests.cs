using Xunit.Abstractions;

namespace Florete.Storage.Tests;

public class SimulationTests(ITestOutputHelper output)
{
    // The whole is in virtual time: about 10 ms a schedule.
    private const int Schedules = 2000;

    [Fact]
    public void Replicas_lose_nothing_acknowledged_and_end_equal_whatever_happens_between()
    {
        var failures = new List<int>();
        Parallel.For(0, Schedules, new ParallelOptions { MaxDegreeOfParallelism = 2 }, seed =>
        {
            if (Outcome(new Simulation(seed)) is not null)
            {
                lock (failures) failures.Add(seed);
            }
        });
        if (failures.Count == 0) return;
        // The same once more, and told.
        var first = failures.Min();
        var simulation = new Simulation(first, traced: true);
        var outcome = Outcome(simulation);
        output.WriteLine(simulation.TraceText());
        Assert.Fail($"{failures.Count} of {Schedules} schedules fail. Seed {first}: {outcome}\nIts trace is in the output.");
    }

    [Fact]
    public void A_schedule_is_the_same_whenever_its_seed_is_played()
    {
        var (first, second) = (new Simulation(7, traced: true), new Simulation(7, traced: true));
        Assert.Equal(Outcome(first), Outcome(second));
        Assert.NotEmpty(first.TraceText());
        Assert.Equal(first.TraceText(), second.TraceText());
    }

    private static string? Outcome(Simulation simulation)
    {
        try
        {
            return simulation.Run();
        }
#pragma warning disable CA1031 // Whatever goes wrong in a schedule is its outcome.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return e.ToString();
        }
    }
}
