namespace Florete.Tests;

/// <summary>Waits for what must come, with a deadline that only a hang can miss.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Asks again until the answer is yes.</summary>
    public static Task TrueAsync(Func<bool> ask) => TrueAsync(() => Task.FromResult(ask()));

    /// <summary>Asks again until the answer is yes.</summary>
    public static async Task TrueAsync(Func<Task<bool>> ask)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (!await ask()) await Task.Delay(10, patience.Token);
    }
}
