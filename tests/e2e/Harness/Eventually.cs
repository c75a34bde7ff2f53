namespace Florete.EndToEnd.Tests.Harness;

/// <summary>Waits for what must come, with a deadline that only a hang can miss.</summary>
public static class Eventually
{
    /// <summary>How long anything may take that is only waited for. Generous on purpose: no test judges time.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>Asks until the answer is true. <paramref name="state"/> tells a failure what was there instead.</summary>
    public static async Task HoldsAsync(string what, Func<Task<bool>> condition, Func<string>? state = null, TimeSpan? deadline = null)
    {
        ArgumentNullException.ThrowIfNull(condition);
        var end = DateTime.UtcNow + (deadline ?? Deadline);
        Exception? last = null;
        while (DateTime.UtcNow < end)
        {
            try
            {
                if (await condition())
                {
                    return;
                }

                last = null;
            }
            catch (Exception e) when (e is not HopelessException)
            {
                last = e;
            }

            await Task.Delay(Pause);
        }

        throw new TimeoutException($"{what}: not so after {(deadline ?? Deadline).TotalSeconds:0} s. {state?.Invoke()} {last?.Message}");
    }

    /// <inheritdoc cref="HoldsAsync(string, Func{Task{bool}}, Func{string}?, TimeSpan?)"/>
    public static Task HoldsAsync(string what, Func<bool> condition, Func<string>? state = null, TimeSpan? deadline = null) =>
        HoldsAsync(what, () => Task.FromResult(condition()), state, deadline);
}

/// <summary>What is waited for cannot come any more.</summary>
public sealed class HopelessException(string why) : Exception(why);
