using Hecatonchire.Bench.Report.Plots;

namespace Hecatonchire.Bench.Report;

/// <summary>What a report says, in no format yet.</summary>
internal sealed record ReportDocument(string Title, IReadOnlyList<ReportSection> Sections);

/// <summary>Paragraphs, then plots, then the tables with all that the plots show.</summary>
internal sealed record ReportSection(string Heading)
{
    public IReadOnlyList<string> Paragraphs { get; init; } = [];

    public IReadOnlyList<Plot> Plots { get; init; } = [];

    public IReadOnlyList<ReportTable> Tables { get; init; } = [];
}

/// <summary>The first column names the rows; the others are figures.</summary>
/// <param name="Caption">What the figures are, with their unit.</param>
/// <param name="Columns">One more than names of figures: the first is that of the names.</param>
/// <param name="Rows">Each as long as <paramref name="Columns"/>.</param>
/// <param name="AreFigures">False: text, which is set from the left.</param>
internal sealed record ReportTable(string Caption, IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<string>> Rows, bool AreFigures = true);
