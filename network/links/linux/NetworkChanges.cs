// Linux only: netlink(7), rtnetlink(7).
using Florete.Runtime;
using static Florete.Links.Linux.SocketCalls;

namespace Florete.Links.Linux;

/// <summary>
/// Tells when a network device of this namespace comes, goes, or gains or loses its carrier: packets into a device that is down need not fail
/// until somebody sends one. Not read further: it is a hint to try the links.
/// </summary>
internal sealed unsafe class NetworkChanges : IDisposable
{
    private const int MessageBytes = 4096, MaxMessagesPerTurn = 64;

    private readonly int descriptor;
    private readonly byte[] message = GC.AllocateUninitializedArray<byte>(MessageBytes, pinned: true);
    private IDisposable? watch;

    private NetworkChanges(int descriptor) => this.descriptor = descriptor;

    /// <summary>Null: the system does not let us listen; links find out by themselves then, a little later.</summary>
    public static NetworkChanges? TryOpen()
    {
        var descriptor = socket(Netlink, RawNonBlockCloexec, NetlinkRoute);
        if (descriptor < 0) return null;
        // sockaddr_nl: family, padding, port (0: the kernel chooses), groups.
        Span<uint> address = [Netlink, 0, GroupOfDevices];
        fixed (uint* first = address)
        {
            if (bind(descriptor, first, address.Length * sizeof(uint)) == 0) return new NetworkChanges(descriptor);
        }
        _ = close(descriptor);
        return null;
    }

    /// <summary>Calls back in turns of the loop, once for all that has changed since the last.</summary>
    public void Start(ThreadLoop loop, Action onChange) => watch = loop.Watch(descriptor, () =>
    {
        fixed (byte* first = message)
        {
            // Too much news for the socket's buffer is news too (ENOBUFS), and takes no more than this one call.
            for (var i = 0; i < MaxMessagesPerTurn && recv(descriptor, first, MessageBytes, DontWait) > 0; i++)
            {
            }
        }
        onChange();
    });

    public void Dispose()
    {
        watch?.Dispose();
        _ = close(descriptor);
    }
}
