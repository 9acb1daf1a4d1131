using System.CommandLine;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.Messages;
using Hecatonchire.Pager;
using Hecatonchire.Units;

namespace Hecatonchire.Cli.Cluster;

/// <summary>`heca offer HOST:PORT SIZE`: how much a running sponsor lends.</summary>
internal static class OfferCommand
{
    private const string Details =
        "What is lent beyond the new offer is asked back: the demanders hold it on other sponsors, with their programs running, and free it. It stays\n"
        + "lent where no other sponsor has room. A sponsor that is started again offers what its --memory says.\n\n"
        + "Examples:\n"
        + "  heca offer 10.0.0.3:7400 16GiB --sponsor-key b.public --admin-key b.admin\n";

    public static Command Create()
    {
        var admin = new AdminOptions();
        var size = new Argument<string>("SIZE") { Description = "What it offers in all from now on" };
        var command = new DetailedCommand("offer", "Change how much memory a running sponsor offers", Details);
        admin.AddTo(command);
        command.Add(size);
        command.SetAction(parsed =>
        {
            if (!ByteSize.TryParse(parsed.GetValue(size), out ByteSize bytes))
            {
                throw new CommandException($"'{parsed.GetValue(size)}' is no size: write one such as 16GiB", ExitStatus.Usage);
            }

            (SponsorEndpoint sponsor, DemanderKey? own, byte[] key) = admin.Resolve(parsed);
            OfferAnswer answer = Set(sponsor, own, bytes.Bytes, key);
            parsed.InvocationConfiguration.Output.WriteLine(
                $"{sponsor.Host}:{sponsor.Port} offers {bytes}, of which {new ByteSize(Math.Min(answer.LentBytes, bytes.Bytes))} is lent"
                + (answer.LentBytes > bytes.Bytes ? $"; {new ByteSize(answer.LentBytes - bytes.Bytes)} more is asked back" : ""));
            return ExitStatus.Done;
        });
        return command;
    }

    private static OfferAnswer Set(SponsorEndpoint sponsor, DemanderKey? own, long bytes, byte[] key)
    {
        try
        {
            using SponsorClient client = Observer.Connect(sponsor, own);
            return client.Offer(bytes, key);
        }
        catch (SponsorException e)
        {
            throw new CommandException(e.Message, ExitStatus.Failed);
        }
    }
}
