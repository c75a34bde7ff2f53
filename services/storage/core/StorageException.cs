namespace Florete.Storage;

/// <summary>The store cannot do what it must; the message names the file and the remedy. What was acknowledged before is untouched.</summary>
public sealed class StorageException(string message, Exception? inner = null) : Exception(message, inner)
{
    internal static StorageException Damaged(string file, string what) => new(
        $"{file}: damaged ({what}). Nothing in it was changed. Check the disk; move the file away together with those ending in -wal and -shm, or restore all three from a copy, "
        + "and start again: an empty replica is filled from the others. What only this replica had is in the file alone, so keep it.");
}
