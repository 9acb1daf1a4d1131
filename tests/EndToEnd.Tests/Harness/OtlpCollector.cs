using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using Google.Protobuf;

namespace Hecatonchire.Tests.Harness;

/// <summary>A figure as it came in: what a scrape has as `name{labels} value`.</summary>
internal sealed record OtlpFigure(string Name, string Kind, IReadOnlyDictionary<string, string> Labels, double Value);

/// <summary>What one request brought.</summary>
internal sealed record OtlpExport(IReadOnlyDictionary<string, string> Resource, IReadOnlyList<OtlpFigure> Figures);

/// <summary>
/// A collector for OTLP/HTTP on loopback. It reads ExportMetricsServiceRequest by the field numbers of opentelemetry-proto 1 (collector/metrics/v1, metrics/v1, common/v1), with
/// Google's own reader of the wire format.
/// </summary>
internal sealed class OtlpCollector : IDisposable
{
    private readonly HttpListener _listener = new();
    private readonly Thread _thread;

    public OtlpCollector(int port)
    {
        _listener.Prefixes.Add($"http://127.0.0.1:{port}/");
        _listener.Start();
        _thread = new Thread(Run) { Name = "collector", IsBackground = true };
        _thread.Start();
    }

    public ConcurrentQueue<OtlpExport> Received { get; } = new();

    /// <summary>Path and content type of what was no export, or could not be read.</summary>
    public ConcurrentQueue<string> Strange { get; } = new();

    public void Dispose()
    {
        _listener.Stop();
        _thread.Join();
        _listener.Close();
    }

    private void Run()
    {
        while (true)
        {
            try
            {
                HttpListenerContext context = _listener.GetContext();
                using var body = new MemoryStream();
                context.Request.InputStream.CopyTo(body);
                Take(context.Request, body.ToArray());
                context.Response.ContentType = "application/x-protobuf";
                context.Response.Close();
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException or InvalidOperationException)
            {
                return;
            }
        }
    }

    private void Take(HttpListenerRequest request, byte[] body)
    {
        if (request is not { HttpMethod: "POST", RawUrl: "/v1/metrics", ContentType: "application/x-protobuf" })
        {
            Strange.Enqueue($"{request.HttpMethod} {request.RawUrl} {request.ContentType}");
            return;
        }

        try
        {
            foreach (CodedInputStream resourceMetrics in Messages(new CodedInputStream(body), 1))
            {
                Dictionary<string, string> resource = [];
                List<OtlpFigure> figures = [];
                Fields(resourceMetrics, (field, input) =>
                {
                    if (field == 1)
                    {
                        Each(Message(input), 1, attribute => Add(resource, Message(attribute)));
                    }
                    else if (field == 2)
                    {
                        Each(Message(input), 2, metric => ReadMetric(Message(metric), figures));
                    }
                    else
                    {
                        return false;
                    }

                    return true;
                });
                Received.Enqueue(new OtlpExport(resource, figures));
            }
        }
        catch (InvalidProtocolBufferException e)
        {
            Strange.Enqueue(e.Message);
        }
    }

    private static void ReadMetric(CodedInputStream metric, List<OtlpFigure> figures)
    {
        string name = "", kind = "";
        List<(Dictionary<string, string> Labels, double Value)> points = [];
        Fields(metric, (field, input) =>
        {
            switch (field)
            {
                case 1:
                    name = input.ReadString();
                    return true;
                case 5 or 7:
                    kind = field == 5 ? "gauge" : "sum";
                    Fields(Message(input), (part, inside) =>
                    {
                        switch (part)
                        {
                            case 1:
                                points.Add(ReadPoint(Message(inside)));
                                return true;
                            case 2:
                                kind += inside.ReadEnum() == 2 ? " cumulative" : " delta";
                                return true;
                            case 3:
                                kind += inside.ReadBool() ? " monotonic" : "";
                                return true;
                            default:
                                return false;
                        }
                    });
                    return true;
                default:
                    return false;
            }
        });
        figures.AddRange(points.Select(point => new OtlpFigure(name, kind, point.Labels, point.Value)));
    }

    private static (Dictionary<string, string> Labels, double Value) ReadPoint(CodedInputStream point)
    {
        Dictionary<string, string> labels = [];
        double value = double.NaN;
        Fields(point, (field, input) =>
        {
            switch (field)
            {
                case 7:
                    Add(labels, Message(input));
                    return true;
                case 4:
                    value = input.ReadDouble();
                    return true;
                case 6:
                    value = input.ReadSFixed64();
                    return true;
                default:
                    return false;
            }
        });
        return (labels, value);
    }

    /// <summary>A KeyValue, whose value is a string or a whole number.</summary>
    private static void Add(Dictionary<string, string> to, CodedInputStream attribute)
    {
        string key = "", value = "";
        Fields(attribute, (field, input) =>
        {
            if (field == 1)
            {
                key = input.ReadString();
            }
            else
            {
                Fields(Message(input), (kind, inside) =>
                {
                    value = kind switch { 1 => inside.ReadString(), 3 => inside.ReadInt64().ToString(CultureInfo.InvariantCulture), _ => "" };
                    return kind is 1 or 3;
                });
            }

            return true;
        });
        to[key] = value;
    }

    private static CodedInputStream Message(CodedInputStream input) => new(input.ReadBytes().ToByteArray());

    private static List<CodedInputStream> Messages(CodedInputStream input, int field)
    {
        List<CodedInputStream> found = [];
        Each(input, field, inside => found.Add(Message(inside)));
        return found;
    }

    /// <summary>Calls <paramref name="read"/> with each field; what it does not read is skipped.</summary>
    private static void Fields(CodedInputStream input, Func<int, CodedInputStream, bool> read)
    {
        for (uint tag = input.ReadTag(); tag != 0; tag = input.ReadTag())
        {
            if (!read(WireFormat.GetTagFieldNumber(tag), input))
            {
                input.SkipLastField();
            }
        }
    }

    /// <summary>Calls <paramref name="read"/> for each field of that number.</summary>
    private static void Each(CodedInputStream input, int number, Action<CodedInputStream> read) => Fields(input, (field, inside) =>
    {
        if (field == number)
        {
            read(inside);
        }

        return field == number;
    });
}
