using Florete.Runtime;

namespace Florete.Links;

/// <summary>Which datagram size the path carries (RFC 8899, with a short list of sizes instead of a binary search). Pure.</summary>
internal sealed class MtuSearch
{
    private const int Attempts = 3;
    private static readonly TimeSpan AttemptInterval = TimeSpan.FromMilliseconds(150);

    // RFC 8899 §5.1.1 PMTU_RAISE_TIMER is 600 s; links of ours change their path more often. The size in use is confirmed as often.
    private static readonly TimeSpan Repeat = TimeSpan.FromSeconds(60);

    // 1472 and 1452 are Ethernet over IPv4 and IPv6; 1392 leaves room for a tunnel, 1252 is IPv6's least MTU of 1280 over IPv4 and less.
    private readonly int[] sizes;
    private int candidate;
    private int attempts;
    private Instant nextAt;

    public MtuSearch(bool isIPv4, Instant now)
    {
        sizes = isIPv4
            ? [LinkSizes.DatagramBytesIPv4, LinkSizes.DatagramBytesIPv6, 1392, 1252]
            : [LinkSizes.DatagramBytesIPv6, 1392, 1232];
        Restart(now);
    }

    /// <summary>The size to use now.</summary>
    public int DatagramBytes { get; private set; } = LinkSizes.BaseDatagramBytes;

    /// <summary>When <see cref="NextProbe"/> has something to say.</summary>
    public Instant NextAt => nextAt;

    /// <summary>The path is another one, or carries less than before.</summary>
    public void Restart(Instant now)
    {
        DatagramBytes = LinkSizes.BaseDatagramBytes;
        (candidate, attempts, nextAt) = (0, 0, now);
    }

    /// <summary>Size of a probe to send now; 0: none.</summary>
    public int NextProbe(Instant now)
    {
        if (now < nextAt) return 0;
        if (attempts == Attempts)
        {
            attempts = 0;
            // The size in use went unanswered three times: a black hole.
            if (sizes[candidate] <= DatagramBytes) DatagramBytes = LinkSizes.BaseDatagramBytes;
            candidate++;
        }
        if (candidate >= sizes.Length)
        {
            (candidate, attempts, nextAt) = (0, 0, now + Repeat);
            return 0;
        }
        attempts++;
        nextAt = now + AttemptInterval;
        return sizes[candidate];
    }

    /// <summary>True when the size in use has changed.</summary>
    public bool OnAnswer(int size, Instant now)
    {
        if (candidate >= sizes.Length || sizes[candidate] != size || attempts == 0) return false;
        var before = DatagramBytes;
        DatagramBytes = size;
        (candidate, attempts, nextAt) = (0, 0, now + Repeat);
        return before != size;
    }

    /// <summary>The kernel refused a size.</summary>
    public void OnTooLarge(int size, Instant now)
    {
        if (size <= DatagramBytes && DatagramBytes > LinkSizes.BaseDatagramBytes) Restart(now);
        else if (attempts > 0 && sizes[Math.Min(candidate, sizes.Length - 1)] == size) (attempts, nextAt) = (Attempts, now);
    }
}
