using MassTransit;

namespace Florete.Bus.Tests.Specification;

/// <summary>The specification holds for MassTransit's own transport: it asks for nothing peculiar.</summary>
public class InMemoryTests : BusSpecification
{
    protected override async Task<IReadOnlyList<IBusControl>> StartAsync(params BusProgram[] programs)
    {
        var bus = await StartBusAsync(x => x.UsingInMemory((_, cfg) =>
        {
            foreach (var program in programs) program.Configure(cfg);
        }));
        return [.. programs.Select(_ => bus)];
    }
}
