namespace Florete.Layers;

public sealed partial class LayerVertex
{
    /// <summary>The whole layer as this vertex's directory knows it; from any thread.</summary>
    public Task<IReadOnlyList<DirectoryMember>> MembersAsync() => loop.RunAsync(() => Task.FromResult(directory.Members()));
}
