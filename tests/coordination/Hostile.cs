namespace Florete.Coordination.Tests;

/// <summary>What a hostile peer makes of good bytes.</summary>
internal static class Hostile
{
    public static byte[] Damaged(Random random, byte[] good)
    {
        switch (random.Next(5))
        {
            case 0:
                var noise = new byte[random.Next(300)];
                random.NextBytes(noise);
                return noise;
            case 1:
                return good[..random.Next(good.Length)];
            case 2:
                var flipped = good.ToArray();
                for (var i = random.Next(1, 4); i > 0; i--) flipped[random.Next(flipped.Length)] ^= (byte)(1 << random.Next(8));
                return flipped;
            case 3:
                // A part once more.
                var from = random.Next(good.Length);
                return [.. good[..from], .. good[random.Next(from + 1)..]];
            default:
                var at = random.Next(good.Length);
                string[] words = ["null", "{}", "[]", "-1", "1e99", "\"\"", "{", "[", "\\u0000", "true", "18446744073709551616", "\uFEFF", ",", "\""];
                return [.. good[..at], .. System.Text.Encoding.UTF8.GetBytes(words[random.Next(words.Length)]), .. good[at..]];
        }
    }
}
