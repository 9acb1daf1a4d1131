using Hecatonchire.Install;

namespace Hecatonchire.Capture;

/// <summary>
/// Which memory of a program can become the pager's: private, anonymous, readable and writable, in pieces of some size. Files, shared memory, what
/// is executable, the main thread's stack and what is kept out stay as they are.
/// </summary>
internal sealed record CaptureRules
{
    public const long BytesMinDefault = 1L << 20;

    /// <summary>Smaller pieces stay out: a mapping costs the kernel as much however small it is.</summary>
    public long BytesMin { get; init; } = BytesMinDefault;

    /// <summary>Names of mappings that stay out, as /proc/PID/maps shows them: <c>[heap]</c>, <c>[anon:arena]</c>.</summary>
    public IReadOnlyList<string> Except { get; init; } = [];

    public bool IsEligible(in Mapping mapping) =>
        mapping is { IsReadable: true, IsWritable: true, IsExecutable: false, IsShared: false, Inode: 0 }
        && (mapping.Name.Length == 0 || mapping.Name == "[heap]" || mapping.Name.StartsWith("[anon:", StringComparison.Ordinal))
        && !Except.Contains(mapping.Name);

    /// <summary>
    /// The pieces of a mapping that may be captured. <paramref name="keptOut"/> stays out whatever is mapped there: what the evictor in the program stands
    /// on, and the stacks of threads.
    /// </summary>
    public IEnumerable<AddressRange> PiecesOf(Mapping mapping, IReadOnlyList<AddressRange> keptOut)
    {
        if (!IsEligible(mapping))
        {
            yield break;
        }

        ulong start = mapping.Range.Start;
        while (start < mapping.Range.End)
        {
            // The kept-out range that is met first from here on, if any.
            AddressRange next = keptOut.Where(kept => kept.End > start && kept.Start < mapping.Range.End)
                .OrderBy(kept => kept.Start).FirstOrDefault(new AddressRange(mapping.Range.End, mapping.Range.End));
            if (next.Start > start && (long)(next.Start - start) >= BytesMin)
            {
                yield return new AddressRange(start, next.Start);
            }

            start = Math.Max(next.End, start + 1);
        }
    }
}
