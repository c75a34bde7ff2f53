namespace Florete.Layers;

/// <summary>
/// Picks the size of a connection's packets. Large ones cost a fifth of the CPU of small ones, but one lost segment loses all of a
/// large packet, and on a slow link it delays everything behind it. So: large only where the path is clean and fast, with some
/// hysteresis so that a connection at the limit does not alternate.
/// </summary>
internal sealed class PacketSizer(TransportOptions options)
{
    private const double Hysteresis = 2;

    public bool IsLarge { get; private set; }

    /// <summary>The size to use now, in bytes.</summary>
    /// <param name="smallPayloadBytes">The small size on this path.</param>
    /// <param name="largestPayloadBytes">What every link on the path can carry.</param>
    /// <param name="pathLoss">Worst loss of a link on the path, 0 to 1.</param>
    /// <param name="ownLoss">Loss that the connection itself sees, 0 to 1.</param>
    /// <param name="bitsPerSecond">The connection's rate: congestion window over round trip.</param>
    public int Choose(int smallPayloadBytes, int largestPayloadBytes, double pathLoss, double ownLoss, double bitsPerSecond)
    {
        var lossLimit = options.LargePacketLossLimit * (IsLarge ? Hysteresis : 1);
        var rateLimit = options.LargePacketBitsPerSecond / (IsLarge ? Hysteresis : 1);
        IsLarge = pathLoss <= lossLimit && ownLoss <= lossLimit && bitsPerSecond >= rateLimit;
        return IsLarge ? Math.Min(LayerSizes.LargePayloadBytes, largestPayloadBytes) : Math.Min(smallPayloadBytes, largestPayloadBytes);
    }
}
