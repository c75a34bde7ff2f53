namespace Florete.Proxy.Local;

/// <summary>Bytes between local programs and the mesh, of the whole node. Thread-safe.</summary>
internal sealed class EdgeBytes
{
    private long fromPrograms;
    private long toPrograms;

    public long FromPrograms => Interlocked.Read(ref fromPrograms);

    public long ToPrograms => Interlocked.Read(ref toPrograms);

    public void In(long bytes) => Interlocked.Add(ref fromPrograms, bytes);

    public void Out(long bytes) => Interlocked.Add(ref toPrograms, bytes);
}
