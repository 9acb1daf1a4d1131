namespace Hecatonchire.Tests.Fuzz;

/// <summary>Makes of what is right what is almost right, or nothing like it.</summary>
internal static class Mutation
{
    private static readonly ulong[] s_edges = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, ulong.MaxValue];

    public static byte[] Of(ReadOnlySpan<byte> right, Random random)
    {
        List<byte> bytes = [.. right];
        for (int changes = random.Next(5); changes > 0 && bytes.Count > 0; changes--)
        {
            int at = random.Next(bytes.Count);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.RemoveRange(at, random.Next(1, bytes.Count - at + 1));
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.GetRange(at, random.Next(1, Math.Min(64, bytes.Count - at) + 1)));
                    break;
                case 4:
                    bytes.InsertRange(at, Noise(random, random.Next(1, 40)));
                    break;
                default:
                    byte[] edge = BitConverter.GetBytes(s_edges[random.Next(s_edges.Length)]);
                    for (int i = 0, width = 1 << random.Next(4); i < width && at + i < bytes.Count; i++)
                    {
                        bytes[at + i] = edge[i];
                    }

                    break;
            }
        }

        return [.. bytes];
    }

    public static byte[] Noise(Random random, int length)
    {
        byte[] noise = new byte[length];
        random.NextBytes(noise);
        return noise;
    }
}
