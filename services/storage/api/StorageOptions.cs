namespace Florete.Storage.Api;

/// <summary>Where a replica has its things, and how much it keeps. <see cref="Validate"/> checks all of it.</summary>
public sealed record StorageOptions
{
    /// <summary>The portal socket of <c>service/storage</c>.</summary>
    public required string Portal { get; init; }

    /// <summary>Folder of the database; made if needed. For one replica alone.</summary>
    public required string StateFolder { get; init; }

    /// <summary>The cluster's trust bundle, PEM.</summary>
    public required string BundleFile { get; init; }

    /// <summary>The signed bounds.</summary>
    public required string BoundsFile { get; init; }

    /// <summary>Documents that are kept; beyond it writes of new ones are refused.</summary>
    public int MaxDocuments { get; init; } = 1_000_000;

    /// <summary>Bytes on disk; beyond it writes are refused.</summary>
    public long MaxBytes { get; init; } = 4L << 30;

    /// <summary>How often each other replica is asked for what is missing, beside the times when it appears.</summary>
    public TimeSpan PullInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long an empty replica waits for others to be discovered before it takes itself for the first: links of a node that has just started take about a second.</summary>
    public TimeSpan Settling { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>All that is wrong, each with its remedy; empty: nothing.</summary>
    public IReadOnlyList<string> Validate()
    {
        var problems = new List<string>();
        foreach (var (option, file) in new[] { ("--portal", Portal), ("--state", StateFolder), ("--bundle", BundleFile), ("--bounds", BoundsFile) })
        {
            if (string.IsNullOrWhiteSpace(file)) problems.Add($"{option} is empty; name a path.");
        }
        foreach (var (option, file) in new[] { ("--bundle", BundleFile), ("--bounds", BoundsFile) })
        {
            if (!string.IsNullOrWhiteSpace(file) && !File.Exists(file)) problems.Add($"{option}: there is no file {file}; it is in the node's folder.");
        }
        if (File.Exists(StateFolder)) problems.Add($"--state: {StateFolder} is a file; name a folder.");
        if (MaxDocuments is < 1 or > 10_000_000) problems.Add($"--max-documents is {MaxDocuments}; it must be from 1 to 10000000.");
        if (MaxBytes < 1 << 20) problems.Add($"--max-bytes is {MaxBytes}; it must be at least {1 << 20}.");
        if (PullInterval < TimeSpan.FromMilliseconds(100) || PullInterval > TimeSpan.FromHours(1)) problems.Add($"The pull interval is {PullInterval}; it must be from 0.1 s to an hour.");
        return problems;
    }
}
