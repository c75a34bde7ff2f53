namespace Florete.Configuration;

/// <summary>Reads a configuration file as text, with problems that say what to do.</summary>
internal static class ConfigurationText
{
    /// <summary>A hand-written file is a few kilobytes.</summary>
    public const int MaxBytes = 1024 * 1024;

    /// <summary>The text, or null and why not.</summary>
    /// <param name="file">The file.</param>
    /// <param name="remedy">What to do when there is none.</param>
    /// <param name="problem">Why it cannot be read.</param>
    public static string? Read(string file, string remedy, out ConfigurationProblem? problem)
    {
        try
        {
            if (new FileInfo(file) is { Exists: true, Length: > MaxBytes } info)
            {
                problem = new(file, 1, "", $"it has {info.Length} bytes; at most {MaxBytes} are read");
                return null;
            }
            problem = null;
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            problem = new(file, 1, "", e is FileNotFoundException or DirectoryNotFoundException
                ? $"there is no such file; {remedy}"
                : $"it cannot be read: {e.Message}");
            return null;
        }
    }
}
