using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Florete.EndToEnd.Tests.Harness;

/// <summary>
/// An attacker on the cable: it keeps datagrams that a node has received on a device, and sends them again, as they were or with bits
/// flipped, under the neighbour's address. It writes whole Ethernet frames from the other end of the cable.
/// </summary>
public sealed unsafe class Injector : IDisposable
{
    private const int EthernetHeader = 14;
    private const int UdpHeader = 8;
    private const int LargestFrame = 1514;
    private const int VirtioHeader = 10;
    private const int LargestBatch = VirtioHeader + 65_550;

    private readonly int listening;
    private readonly int sending;
    private readonly List<byte[]> captured = [];
    private readonly Random random = new(11);

    /// <summary>Listens where the victim's datagrams arrive, and will send from the neighbour's end.</summary>
    public Injector(Cable cable, NetworkNamespace victim)
    {
        ArgumentNullException.ThrowIfNull(cable);
        ArgumentNullException.ThrowIfNull(victim);
        var neighbour = ReferenceEquals(cable.Left, victim) ? cable.Right : cable.Left;
        listening = victim.Enter(() => Native.OpenPacketSocket(cable.Device, true));
        sending = neighbour.Enter(() => Native.OpenPacketSocket(cable.Device, false));
    }

    public int Captured => captured.Count;

    /// <summary>Frames that the kernel took from us.</summary>
    public long Sent { get; private set; }

    /// <summary>Keeps UDP datagrams to a port until there are so many.</summary>
    /// <exception cref="TimeoutException">too few come</exception>
    public void Capture(int count, int port)
    {
        var whole = new byte[LargestBatch];
        var end = DateTime.UtcNow + Eventually.Deadline;
        while (captured.Count < count)
        {
            if (DateTime.UtcNow > end)
            {
                throw new TimeoutException($"{captured.Count} datagrams came, {count} were wanted");
            }

            int length;
            fixed (byte* buffer = whole)
            {
                length = (int)Native.Recv(listening, buffer, LargestBatch, Native.MsgDontwait);
            }

            if (length < 0)
            {
                Thread.Sleep(1);
                continue;
            }

            Take(whole.AsSpan(0, length), port);
        }
    }

    /// <summary>Sends captured datagrams again, evenly at so many a second; with <paramref name="flip"/>, one bit of each is changed.</summary>
    public void Inject(long count, bool flip, int perSecond)
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        var frame = new byte[LargestFrame];
        for (long i = 0; i < count; i++)
        {
            while (i > watch.Elapsed.TotalSeconds * perSecond)
            {
                Thread.Sleep(1);
            }

            var original = captured[random.Next(captured.Count)];
            original.CopyTo(frame, 0);
            if (flip)
            {
                var payload = EthernetHeader + 20 + UdpHeader;
                var bit = random.Next((original.Length - payload) * 8);
                frame[payload + (bit / 8)] ^= (byte)(1 << (bit % 8));
            }

            fixed (byte* start = frame)
            {
                if (Native.Send(sending, start, (nuint)original.Length, 0) < 0)
                {
                    throw new InvalidOperationException($"injecting: {Marshal.GetLastPInvokeErrorMessage()}");
                }
            }

            Sent++;
        }
    }

    public void Dispose()
    {
        _ = Native.Close(listening);
        _ = Native.Close(sending);
    }

    /// <summary>Keeps a datagram, or each part of a batch that the kernel has not cut into frames (virtio_net_hdr: gso_size).</summary>
    private void Take(ReadOnlySpan<byte> whole, int port)
    {
        var frame = whole[VirtioHeader..];
        var ip = frame[EthernetHeader..];
        if (frame.Length < EthernetHeader + 20 + UdpHeader + 1 || frame[12] != 8 || frame[13] != 0 || ip[0] != 0x45 || ip[9] != 17
            || BinaryPrimitives.ReadUInt16BigEndian(ip[22..]) != port)
        {
            return;
        }

        var headers = frame[..(EthernetHeader + 20 + UdpHeader)];
        var payload = frame[headers.Length..];
        var size = whole[1] == 0 ? payload.Length : BinaryPrimitives.ReadUInt16LittleEndian(whole[4..]);
        for (var rest = payload; rest.Length > 0; rest = rest[Math.Min(size, rest.Length)..])
        {
            var part = rest[..Math.Min(size, rest.Length)];
            byte[] kept = [.. headers, .. part];
            var header = kept.AsSpan(EthernetHeader);
            BinaryPrimitives.WriteUInt16BigEndian(header[2..], (ushort)(20 + UdpHeader + part.Length));
            BinaryPrimitives.WriteUInt16BigEndian(header[10..], 0);
            BinaryPrimitives.WriteUInt16BigEndian(header[10..], Checksum(header[..20]));
            BinaryPrimitives.WriteUInt16BigEndian(header[24..], (ushort)(UdpHeader + part.Length));

            // No UDP checksum (RFC 768): a flipped bit is to reach the program.
            header.Slice(26, 2).Clear();
            captured.Add(kept);
        }
    }

    /// <summary>RFC 1071.</summary>
    private static ushort Checksum(ReadOnlySpan<byte> header)
    {
        uint sum = 0;
        for (var i = 0; i < header.Length; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(header[i..]);
        }

        sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~(sum + (sum >> 16));
    }
}
