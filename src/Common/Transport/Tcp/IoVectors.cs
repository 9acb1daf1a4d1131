using System.Runtime.CompilerServices;
using Hecatonchire.Interop;

namespace Hecatonchire.Transport.Tcp;

/// <summary>Building of scatter/gather lists.</summary>
internal static unsafe class IoVectors
{
    /// <summary>Adds a piece of memory; one that continues the last piece makes that longer instead.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Append(IoVector* vectors, ref int count, byte* address, nuint length)
    {
        if (count > 0)
        {
            ref IoVector last = ref vectors[count - 1];
            if ((byte*)last.Base + last.Length == address)
            {
                last.Length += length;
                return;
            }
        }

        vectors[count++] = new IoVector(address, length);
    }
}
