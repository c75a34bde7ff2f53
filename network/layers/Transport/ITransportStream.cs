namespace Florete.Layers;

/// <summary>What a QUIC stream of a transport connection is, once its kind is known. Loop-affine.</summary>
internal interface ITransportStream
{
    /// <summary>Bytes of the peer, valid inside the call only.</summary>
    void OnData(ReadOnlySpan<byte> data, bool fin);

    /// <summary>End of a turn in which data came.</summary>
    void FlushInput();

    void OnAcknowledged(long bytes);

    void OnReset(ulong code);

    void OnStopSending();

    /// <summary>The stream is over, in order (null) or with its connection.</summary>
    void OnClosed(Portals.PortalException? reason);
}
