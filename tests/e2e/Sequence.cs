using Xunit.Abstractions;

// Every test has the whole machine: processes, namespaces and its two cores.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
[assembly: TestCollectionOrderer("Florete.EndToEnd.Tests.HarnessFirst", "Florete.EndToEnd.Tests")]

namespace Florete.EndToEnd.Tests;

/// <summary>Runs the harness's own tests before those that rely on it, and the rest by name.</summary>
public sealed class HarnessFirst : ITestCollectionOrderer
{
    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) =>
        testCollections
            .OrderBy(collection => collection.DisplayName.Contains(nameof(HarnessTests), StringComparison.Ordinal) ? 0 : 1)
            .ThenBy(collection => collection.DisplayName, StringComparer.Ordinal);
}
