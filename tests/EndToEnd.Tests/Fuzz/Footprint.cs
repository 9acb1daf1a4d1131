namespace Hecatonchire.Tests.Fuzz;

/// <summary>What a process has of its host, from /proc.</summary>
internal sealed record Footprint(int Descriptors, int Threads, long AnonymousBytes)
{
    // A pool thread, a scrape's connection, a slab's huge pages that are on their way out. A frame that left a byte would be a megabyte in the long run.
    private const int DescriptorsMore = 8, ThreadsMore = 8;
    private const long BytesMore = 32L << 20;

    public static Footprint Of(int process)
    {
        string[] status = File.ReadAllLines($"/proc/{process}/status");
        long Value(string name) => long.Parse(status.First(line => line.StartsWith(name, StringComparison.Ordinal)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture);
        return new Footprint(Directory.GetFileSystemEntries($"/proc/{process}/fd").Length, (int)Value("Threads:"), Value("RssAnon:") << 10);
    }

    /// <summary>Null, or what has grown since.</summary>
    public string? GrownSince(Footprint before) =>
        Descriptors > before.Descriptors + DescriptorsMore ? $"descriptors from {before.Descriptors} to {Descriptors}"
        : Threads > before.Threads + ThreadsMore ? $"threads from {before.Threads} to {Threads}"
        : AnonymousBytes > before.AnonymousBytes + BytesMore ? $"memory from {before.AnonymousBytes >> 20} to {AnonymousBytes >> 20} MiB"
        : null;
}
