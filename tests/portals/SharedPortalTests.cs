using FsCheck;
using FsCheck.Fluent;

namespace Florete.Portals.Tests;

/// <summary>Several protocols under one identity.</summary>
public class SharedPortalTests
{
    private readonly LabPortal portal = new();
    private readonly Taker alpha = new();
    private readonly Taker beta = new();

    [Fact]
    public async Task Each_protocol_gets_its_callers_with_every_byte_that_they_sent()
    {
        var shared = await ShareAsync();
        Assert.Same(shared.For(Lab.Alpha), shared.For(Lab.Alpha));
        var (one, two) = (await portal.CallAsync(Lab.Bytes("ALPHA and more")), await portal.CallAsync(Lab.Bytes("BETA")));
        await one.DisposeAsync();
        await two.DisposeAsync();
        Assert.Equal(Lab.Bytes("ALPHA and more"), await alpha.NextWordsAsync());
        Assert.Equal(Lab.Bytes("BETA"), await beta.NextWordsAsync());
    }

    [Fact]
    public void However_the_bytes_come_in_pieces_they_arrive_whole() => Check.QuickThrowOnFailure(Prop.ForAll<byte[], int>((rest, seed) =>
    {
        return Task.Run(async () =>
        {
            var (lab, taker) = (new LabPortal(), new Taker());
            var shared = new SharedPortal(lab);
            await using var publication = await shared.For(Lab.Alpha).PublishAsync(taker);
            shared.For(Lab.Beta);
            var caller = await lab.CallAsync();
            var random = new Random(seed);
            byte[] words = [.. Lab.Bytes("ALPHA"), .. rest];
            for (var sent = 0; sent < words.Length;)
            {
                var count = Math.Min(random.Next(1, 4), words.Length - sent);
                await caller.Stream!.Output.WriteAsync(words.AsMemory(sent, count));
                sent += count;
                if (random.Next(3) == 0) await Task.Yield();
            }
            await caller.DisposeAsync();
            return (await taker.NextWordsAsync()).AsSpan().SequenceEqual(words);
        }).GetAwaiter().GetResult();
    }));

    [Fact]
    public async Task Callers_that_nobody_takes_are_told_why()
    {
        await ShareAsync();
        var nonsense = await Lab.ReasonAsync(await portal.CallAsync([0, 1, 2, 3]));
        Assert.Equal((PortalError.ProtocolViolation, true), (nonsense.Error, nonsense.Message.Contains("alpha and beta", StringComparison.Ordinal)));
        var unfinished = await portal.CallAsync(Lab.Bytes("ALP"));
        await unfinished.Stream!.Output.CompleteAsync();
        Assert.Equal(PortalError.ProtocolViolation, (await Lab.ReasonAsync(unfinished)).Error);
        alpha.Refusal = new PortalException(PortalError.LimitReached, "too many");
        Assert.Equal("too many", (await Lab.ReasonAsync(await portal.CallAsync(Lab.Bytes("ALPHA")))).Message);
    }

    [Fact]
    public async Task The_identity_is_published_from_the_first_taker_to_the_last()
    {
        var shared = new SharedPortal(portal);
        Assert.Equal(0, portal.Publications);
        var first = await shared.For(Lab.Alpha).PublishAsync(alpha);
        var second = await shared.For(Lab.Beta).PublishAsync(beta);
        Assert.Equal((1, 1), (portal.Published, portal.Publications));
        Assert.Equal(LabPortal.Target, second.Identity);
        var twice = await Assert.ThrowsAsync<PortalException>(() => shared.For(Lab.Beta).PublishAsync(beta));
        Assert.Equal(PortalError.Refused, twice.Error);
        await first.DisposeAsync();
        await first.DisposeAsync();
        Assert.Null(await first.Ended);
        Assert.False(second.Ended.IsCompleted);
        Assert.Equal(1, portal.Published);
        var gone = await Lab.ReasonAsync(await portal.CallAsync(Lab.Bytes("ALPHA")));
        Assert.Equal(PortalError.TargetFailed, gone.Error);
        Assert.Contains("does not speak alpha now", gone.Message, StringComparison.Ordinal);
        await second.DisposeAsync();
        Assert.Equal(0, portal.Published);
        await using var again = await shared.For(Lab.Alpha).PublishAsync(alpha);
        Assert.Equal((1, 2), (portal.Published, portal.Publications));
    }

    [Fact]
    public async Task A_caller_of_a_part_that_is_about_to_start_waits_for_it()
    {
        var shared = new SharedPortal(portal);
        var second = shared.For(Lab.Beta);
        await using var first = await shared.For(Lab.Alpha).PublishAsync(alpha);
        var early = await portal.CallAsync(Lab.Bytes("BETA early"));
        await early.Stream!.Output.CompleteAsync();
        await portal.CallAsync(Lab.Bytes("ALPHA"));
        await alpha.NextAsync();
        Assert.Equal(0, beta.Waiting);
        await using var later = await second.PublishAsync(beta);
        Assert.Equal(Lab.Bytes("BETA early"), await beta.NextWordsAsync());
    }

    [Fact]
    public async Task When_the_publication_ends_each_taker_is_told_and_publishes_again()
    {
        var shared = new SharedPortal(portal);
        var publications = new[] { await shared.For(Lab.Alpha).PublishAsync(alpha), await shared.For(Lab.Beta).PublishAsync(beta) };
        portal.End("flor ended");
        foreach (var publication in publications) Assert.Equal("flor ended", (await publication.Ended.WaitAsync(Lab.Prompt))!.Message);
        foreach (var publication in publications) await publication.DisposeAsync();
        portal.Refusal = new PortalException(PortalError.Unreachable, "flor does not run");
        await Assert.ThrowsAsync<PortalException>(() => shared.For(Lab.Alpha).PublishAsync(alpha));
        portal.Refusal = null;
        await using var one = await shared.For(Lab.Alpha).PublishAsync(alpha);
        // Who comes before the second is back waits for it.
        await portal.CallAsync(Lab.Bytes("BETA"));
        await using var two = await shared.For(Lab.Beta).PublishAsync(beta);
        Assert.Equal((1, 2), (portal.Published, portal.Publications));
        await beta.NextAsync();
    }

    [Fact]
    public async Task Callers_that_say_nothing_are_bounded_and_given_up()
    {
        var shared = new SharedPortal(portal, new SortingLimits { MaxWaiting = 5, MaxWaitingOfOneCaller = 3, Patience = TimeSpan.FromSeconds(1) });
        await using var publication = await shared.For(Lab.Alpha).PublishAsync(alpha);
        List<PortalConnection> silent = [];
        for (var i = 0; i < 3; i++) silent.Add(await portal.CallAsync());
        await AssertFullAsync(() => portal.CallAsync());
        for (var i = 0; i < 2; i++) silent.Add(await portal.CallAsync("other"));
        await AssertFullAsync(() => portal.CallAsync("third"));
        await silent[4].Stream!.Output.WriteAsync(Lab.Bytes("ALPHA"));
        await alpha.NextAsync();
        foreach (var connection in silent.Take(4)) Assert.Equal(PortalError.TimedOut, (await Lab.ReasonAsync(connection)).Error);
        // There is room again, as soon as they have left.
        await Eventually.TrueAsync(async () =>
        {
            try
            {
                await portal.CallAsync(Lab.Bytes("ALPHA"));
                return true;
            }
            catch (PortalException)
            {
                return false;
            }
        });
        await alpha.NextAsync();
        Assert.Throws<ArgumentException>(() => new SortingLimits { MaxWaiting = 0 }.Validate());
        Assert.Throws<ArgumentException>(() => new SortingLimits { Patience = TimeSpan.Zero }.Validate());
    }

    [Fact]
    public async Task A_sorter_that_is_disposed_aborts_whom_it_does_not_know()
    {
        var sorter = new FirstBytesSorter(static () => [Lab.Alpha], (connection, _, cancellationToken) => alpha.AcceptAsync(connection, cancellationToken));
        await portal.PublishAsync(sorter, default);
        var silent = await portal.CallAsync();
        Assert.Equal(1, sorter.Waiting);
        await sorter.DisposeAsync();
        Assert.Equal(0, sorter.Waiting);
        Assert.Equal(PortalError.TargetFailed, (await Lab.ReasonAsync(silent)).Error);
        await Assert.ThrowsAsync<PortalException>(() => portal.CallAsync());
    }

    [Fact]
    public async Task Connecting_discovering_and_signing_are_the_shared_portals()
    {
        var view = new SharedPortal(portal).For(Lab.Alpha);
        Assert.Equal("lab (alpha)", view.ToString());
        Assert.Equal("somebody", (await Assert.ThrowsAsync<PortalException>(() => view.ConnectAsync("somebody"))).Message);
        await foreach (var change in view.DiscoverAsync(ServiceQuery.All, watch: false)) Assert.Equal(LabPortal.Target, change.Service);
        Assert.Equal(Lab.Bytes("content"), (await view.SignAsync("purpose", Lab.Bytes("content"))).Bytes.ToArray());
    }

    private static async Task AssertFullAsync(Func<Task<PortalConnection>> call) =>
        Assert.Equal(PortalError.LimitReached, (await Assert.ThrowsAsync<PortalException>(call)).Error);

    private async Task<SharedPortal> ShareAsync()
    {
        var shared = new SharedPortal(portal);
        await shared.For(Lab.Alpha).PublishAsync(alpha);
        await shared.For(Lab.Beta).PublishAsync(beta);
        return shared;
    }
}
