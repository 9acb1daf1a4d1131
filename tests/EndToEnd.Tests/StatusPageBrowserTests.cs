using System.Text.Json;
using Hecatonchire.Tests.Harness;
using Microsoft.Playwright;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>The status page in a real browser. HECA_SCREENSHOT=DIR keeps pictures of it.</summary>
public sealed class StatusPageBrowserTests
{
    /// <summary>Debian's; Playwright's own would have to be downloaded.</summary>
    private const string Chromium = "/usr/bin/chromium";

    /// <summary>Each piece of text against what is behind it, by WCAG's formula: those below 4.5 to 1.</summary>
    private const string LowContrast = """
        () => {
          const parse = text => text.match(/[\d.]+/g).map(Number);
          const light = ([r, g, b]) => { const f = [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
          const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
          const bad = [];
          for (const e of document.querySelectorAll('body *')) {
            if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility() || e.closest('script, style, noscript')) continue;
            const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
            if (ratio < 4.5) bad.push(`${e.className || e.tagName} "${e.textContent.slice(0, 20)}" ${ratio.toFixed(2)}`);
          }
          return bad;
        }
        """;

    [Fact]
    public async Task The_page_shows_a_program_and_its_segment_loads_nothing_else_and_is_usable_without_a_mouse()
    {
        Capability.Require("chromium", File.Exists(Chromium), $"no {Chromium}: apt-get install chromium");
        using var sponsor = new SponsorProcess("256MiB");
        using var other = new SponsorProcess("256MiB");
        using var run = new WatchedRun([sponsor, other], "--replicas", "2");
        run.WaitUntilFilled();
        using IPlaywright playwright = await Playwright.CreateAsync();

        // Its sandbox takes namespaces that root of a container may not make; the page is our own.
        await using IBrowser browser = await playwright.Chromium.LaunchAsync(new() { ExecutablePath = Chromium, Args = ["--no-sandbox"] });
        IPage page = await browser.NewPageAsync(new() { ColorScheme = ColorScheme.Light, ReducedMotion = ReducedMotion.Reduce, ViewportSize = new() { Width = 1360, Height = 900 } });
        List<string> said = [], asked = [];
        page.Console += (_, message) => said.Add(message.Text);
        page.PageError += (_, error) => said.Add(error);
        page.Request += (_, request) => asked.Add(request.Url);
        await page.GotoAsync(run.Page.ToString());

        await page.GetByText("All is well.").WaitForAsync();
        Assert.Equal($"heca run on {Environment.MachineName}", await page.TitleAsync());
        await page.Locator("#programs tbody th", new() { HasText = "heca-test-program" }).WaitForAsync();
        Assert.Equal(2, await page.Locator("#sponsors tbody .tag.good").CountAsync());
        ILocator map = page.GetByRole(AriaRole.Img).First;
        await map.WaitForAsync();
        Assert.Matches(@"^\d+(\.\d)? % is here, \d+(\.\d)? % on sponsors, 0\.0 % lost; what is here lies between", await map.GetAttributeAsync("aria-label") ?? "");
        string[] colours = await map.EvaluateAsync<string[]>("c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return [...new Set(Array.from({ length: d.length / 4 }, (_, i) => d.slice(4 * i, 4 * i + 4).join()))]; }");
        Assert.InRange(colours.Length, 2, 3);
        Assert.Matches(@"^\d.* MiB$", await page.Locator("[data-key=memory] dd").First.InnerTextAsync());

        // For who does not see it: landmarks, a heading for each table, heads for its columns, and what is wrong is told.
        Assert.All(await page.Locator("table").EvaluateAllAsync<string[]>("all => all.map(t => (t.parentElement.getAttribute('aria-labelledby') || '') + t.tHead.querySelectorAll('th[scope=col]').length)"), label => Assert.Matches(@"^[a-z]+-title\d", label));
        Assert.Equal(1, await page.GetByRole(AriaRole.Main).CountAsync());
        Assert.Equal("polite", await page.GetByRole(AriaRole.Status).GetAttributeAsync("aria-live"));

        await AssertKeyboard(page, asked);
        await KeepPicture(page, "status-page-light.png");
        Assert.Empty(await page.EvaluateAsync<string[]>(LowContrast));
        string light = await page.EvaluateAsync<string>("() => getComputedStyle(document.body).backgroundColor");
        await page.EmulateMediaAsync(new() { ColorScheme = ColorScheme.Dark });
        Assert.NotEqual(light, await page.EvaluateAsync<string>("() => getComputedStyle(document.body).backgroundColor"));
        Assert.Empty(await page.EvaluateAsync<string[]>(LowContrast));
        await KeepPicture(page, "status-page-dark.png");
        await page.SetViewportSizeAsync(360, 740);
        Assert.True(await page.EvaluateAsync<bool>("() => document.documentElement.scrollWidth <= innerWidth"), "wider than a phone");
        await page.SetViewportSizeAsync(1360, 900);

        // A sponsor dies: it is told without being asked for.
        other.Kill();
        await page.Locator("#health[data-state=bad]").WaitForAsync(new() { Timeout = 60_000 });
        await page.GetByRole(AriaRole.Status).GetByText("a replica, and would not survive").First.WaitForAsync(new() { Timeout = 60_000 });
        await KeepPicture(page, "status-page-sponsor-lost.png");

        Assert.Empty(said);
        Assert.All(asked, url => Assert.StartsWith(run.Page.ToString(), url, StringComparison.Ordinal));
        Assert.Equal(["", "status.json"], asked.Select(url => url[run.Page.ToString().Length..]).Distinct().Order(StringComparer.Ordinal));
        run.Finish();
        await page.GetByText("does not answer any more").WaitForAsync(new() { Timeout = 60_000 });
    }

    [Fact]
    public async Task The_page_of_a_sponsor_shows_to_whom_it_lends()
    {
        Capability.Require("chromium", File.Exists(Chromium), $"no {Chromium}: apt-get install chromium");
        int port = PrometheusServer.FreePort();
        using var sponsor = new SponsorProcess("256MiB", "--metrics", $"{port}");
        using var run = new WatchedRun([sponsor]);
        run.WaitUntilFilled();
        using IPlaywright playwright = await Playwright.CreateAsync();
        await using IBrowser browser = await playwright.Chromium.LaunchAsync(new() { ExecutablePath = Chromium, Args = ["--no-sandbox"] });
        IPage page = await browser.NewPageAsync();
        List<string> said = [];
        page.Console += (_, message) => said.Add(message.Text);
        page.PageError += (_, error) => said.Add(error);
        await page.GotoAsync($"http://127.0.0.1:{port}/");
        await page.Locator("#demanders tbody th").First.WaitForAsync();
        Assert.Equal(1, await page.Locator("#demanders tbody tr").CountAsync());
        Assert.True(await page.Locator("#programs-section").IsHiddenAsync());
        await page.Locator("#events tbody th").First.WaitForAsync();
        await KeepPicture(page, "status-page-sponsor.png");
        Assert.Empty(said);
        run.Finish();
    }

    private static async Task AssertKeyboard(IPage page, List<string> asked)
    {
        List<string> reached = [];
        for (int i = 0; i < 12; i++)
        {
            await page.Keyboard.PressAsync("Tab");
            JsonElement at = await page.EvaluateAsync<JsonElement>(
                "() => { const e = document.activeElement, s = getComputedStyle(e); return { name: e.id || e.className.split(' ')[0] || e.getAttribute('href'), label: e.getAttribute('aria-labelledby'), outline: parseFloat(s.outlineWidth), style: s.outlineStyle }; }");
            Assert.True(at.GetProperty("outline").GetDouble() >= 2 && at.GetProperty("style").GetString() != "none", $"where the focus is cannot be seen: {at}");
            reached.Add(at.GetProperty("label").GetString() ?? at.GetProperty("name").GetString()!);
            if (reached[^1] == "/metrics")
            {
                break;
            }
        }

        Assert.Equal(["skip", "pause", "sponsors-title", "programs-title", "segments-title", "events-title", "/status.json", "/metrics"], reached);

        // Paused from the keyboard, it asks no more.
        await page.Locator("#pause").FocusAsync();
        await page.Keyboard.PressAsync("Enter");
        Assert.Equal("true", await page.Locator("#pause").GetAttributeAsync("aria-pressed"));
        await page.WaitForLoadStateAsync(LoadState.NetworkIdle);
        int before = asked.Count;
        await page.WaitForTimeoutAsync(2500);
        Assert.Equal(before, asked.Count);
        await page.RunAndWaitForRequestAsync(() => page.Keyboard.PressAsync("Enter"), request => request.Url.EndsWith("/status.json", StringComparison.Ordinal));
    }

    private static async Task KeepPicture(IPage page, string name)
    {
        if (Environment.GetEnvironmentVariable("HECA_SCREENSHOT") is { Length: > 0 } folder)
        {
            _ = await page.ScreenshotAsync(new() { Path = Path.Combine(folder, name), FullPage = true });
        }
    }
}
