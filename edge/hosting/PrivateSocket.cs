using System.Buffers.Binary;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Florete.Hosting;

/// <summary>
/// A Unix stream socket that one user may open, and root: mode 0600, and the kernel says who connects (SO_PEERCRED, unix(7)). Linux only.
/// </summary>
public static partial class PrivateSocket
{
    private const int SolSocket = 1;
    private const int SoPeerCred = 17;

    /// <summary>Binds at the path, replacing what an earlier run left there. Nobody else can open it at any moment.</summary>
    /// <param name="path">Its folder is made if needed.</param>
    /// <param name="ownerId">The user's number; null: of this process.</param>
    /// <exception cref="IOException">It cannot be made there; the message names path and remedy.</exception>
    public static Socket Bind(string path, uint? ownerId)
    {
        if (OperatingSystem.IsWindows()) throw new PlatformNotSupportedException("Private sockets need a Unix system.");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        if (File.Exists(path) && IsServed(path)) throw new IOException($"{path}: another program listens there; stop it, or configure another path.");
        if (Directory.Exists(path) || (File.Exists(path) && new FileInfo(path).Length > 0)) throw new IOException($"{path} is a file and no socket; remove it, or correct the path.");
        // Bound under another name until mode and owner are right, then renamed over whatever is there.
        var temporary = $"{path}~";
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            File.Delete(temporary);
            socket.Bind(new UnixDomainSocketEndPoint(temporary));
            File.SetUnixFileMode(temporary, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            if (ownerId is { } owner && owner != GetEffectiveUser() && ChangeOwner(temporary, owner, uint.MaxValue) != 0)
            {
                throw new IOException($"{path}: it cannot be given to user {owner} ({Marshal.GetLastPInvokeErrorMessage()}); run the program as root, or make its own user the owner.");
            }
            socket.Listen(512);
            File.Move(temporary, path, overwrite: true);
            return socket;
        }
        catch (Exception e) when (e is SocketException or UnauthorizedAccessException)
        {
            socket.Dispose();
            throw new IOException($"{path}: the socket cannot be made: {e.Message}; correct the path, or the rights of its folder.", e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Is the process at the other end the owner's, or root's?</summary>
    public static bool IsAllowed(Socket client, uint ownerId)
    {
        var user = PeerUser(client);
        return user == ownerId || user == 0;
    }

    /// <summary>Number of the user whose process connected.</summary>
    public static uint PeerUser(Socket client)
    {
        // struct ucred: pid, uid, gid, 32 bits each.
        Span<byte> credentials = stackalloc byte[12];
        if (client.GetRawSocketOption(SolSocket, SoPeerCred, credentials) < 8) return uint.MaxValue;
        return BitConverter.IsLittleEndian
            ? BinaryPrimitives.ReadUInt32LittleEndian(credentials[4..])
            : BinaryPrimitives.ReadUInt32BigEndian(credentials[4..]);
    }

    /// <summary>Number of a user by name; null: there is none.</summary>
    public static uint? FindUser(string name)
    {
        // getpwnam(3) answers from one static buffer.
        lock (UserGate)
        {
            var entry = GetUserEntry(name);
            // struct passwd: char* name, char* password, uid_t.
            return entry == 0 ? null : (uint)Marshal.ReadInt32(entry, 2 * nint.Size);
        }
    }

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint GetEffectiveUser();

    private static readonly Lock UserGate = new();

    private static bool IsServed(string path)
    {
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    [LibraryImport("libc", EntryPoint = "chown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ChangeOwner(string path, uint user, uint group);

    [LibraryImport("libc", EntryPoint = "getpwnam", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint GetUserEntry(string name);
}
