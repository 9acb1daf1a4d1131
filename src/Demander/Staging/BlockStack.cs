namespace Hecatonchire.Staging;

/// <summary>A bounded stack of block numbers.</summary>
internal sealed class BlockStack(int capacity)
{
    private readonly int[] _blocks = new int[capacity];

    public int Count { get; private set; }

    public void Push(int block) => _blocks[Count++] = block;

    public int Pop() => _blocks[--Count];
}
