using FsCheck.Fluent;

namespace Florete.Sealing.Tests;

public class ReplayWindowTests
{
    // The naive model keeps every sequence ever marked.
    private sealed class Model
    {
        private readonly HashSet<ulong> seen = [];
        private ulong highest;

        public ReplayCheck Check(ulong sequence)
        {
            if (sequence == 0 || sequence > highest + ReplayWindow.MaxAhead) return ReplayCheck.OutOfRange;
            if (sequence + ReplayWindow.Size <= highest) return ReplayCheck.Replayed;
            return seen.Contains(sequence) ? ReplayCheck.Replayed : ReplayCheck.Fresh;
        }

        public void Mark(ulong sequence)
        {
            seen.Add(sequence);
            highest = Math.Max(highest, sequence);
        }
    }

    [Fact]
    public void The_window_agrees_with_a_set_that_forgets_nothing()
    {
        var check = Prop.ForAll<(int Seed, int Spread)>(input =>
        {
            var random = new Random(input.Seed);
            var spread = 1 + (Math.Abs(input.Spread) % 20_000);
            var (window, model) = (new ReplayWindow(), new Model());
            ulong about = 1;
            for (var i = 0; i < 5_000; i++)
            {
                var sequence = (ulong)Math.Max(0, (long)about + random.Next(-spread, spread));
                if (random.Next(200) == 0) sequence += ReplayWindow.MaxAhead;
                if (window.Check(sequence) != model.Check(sequence)) return false;
                if (window.Check(sequence) != ReplayCheck.Fresh) continue;
                window.Mark(sequence);
                model.Mark(sequence);
                about = Math.Max(about, window.Highest);
            }
            return true;
        });
        FsCheck.Check.QuickThrowOnFailure(check);
    }

    [Theory]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(4095)]
    [InlineData(4096)]
    [InlineData(4160)]
    [InlineData(100_000)]
    public void A_jump_forgets_what_it_passes_and_nothing_else(int jump)
    {
        var (window, model) = (new ReplayWindow(), new Model());
        for (ulong s = 1; s <= 5000; s += 2)
        {
            window.Mark(s);
            model.Mark(s);
        }
        window.Mark(5000 + (ulong)jump);
        model.Mark(5000 + (ulong)jump);
        for (ulong s = 0; s < 5000 + (ulong)jump + 10; s++) Assert.Equal(model.Check(s), window.Check(s));
    }
}
