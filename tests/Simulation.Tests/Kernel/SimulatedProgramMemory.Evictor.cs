using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Units;
using Hecatonchire.WriteBack;

namespace Hecatonchire.Tests.Kernel;

/// <summary>The evictor thread of the simulated program: executes commands when the schedule lets it, one step at a time.</summary>
internal sealed unsafe partial class SimulatedProgramMemory
{
    private const int Entries = 512;

    private readonly byte* _stagingMemory;

    /// <summary>Per staging page the segment page whose content it holds; -1: a hole.</summary>
    private readonly int[] _stagedFrom;
    private readonly Command[] _commands = new Command[Entries];
    private readonly EvictorCompletion[] _answers = new EvictorCompletion[Entries];
    private uint _posted;
    private uint _published;
    private uint _executed;
    private uint _answered;
    private int _copyPhase;

    private enum Operation : byte
    {
        Take,
        Recycle,
        Drop,
        Resize,
    }

    private struct Command
    {
        public Operation Operation;
        public int Source;
        public int Target;
        public int Pages;
        public ulong Cookie;
        public uint Generation;
    }

    /// <summary>Chance per million that the kernel refuses to move a page (pinned, shared after a fork).</summary>
    public int BusyPerMillion { get; init; }

    /// <summary>Called before a staging page goes back to the kernel: staging index, page it came from.</summary>
    public Action<int, int>? OnRecycle { get; set; }

    public int FreeCommands => HasEvictor ? Entries - (int)(_posted - _answered) : 0;

    public bool EvictorHasWork => _executed != _published;

    public byte* StagingData(int index) => _stagingMemory + ((nint)index << PageSize.Shift);

    public void PostTake(ulong address, int pages, int stagingIndex, ulong cookie) =>
        Post(new Command { Operation = Operation.Take, Source = PageOf(address), Target = stagingIndex, Pages = pages, Cookie = cookie });

    public void PostRecycle(int stagingIndex, int pages, ulong cookie) =>
        Post(new Command { Operation = Operation.Recycle, Target = stagingIndex, Pages = pages, Cookie = cookie });

    public void PostDrop(ulong address, int pages, ulong cookie) =>
        Post(new Command { Operation = Operation.Drop, Source = PageOf(address), Pages = pages, Cookie = cookie });

    public bool CanResize => true;

    /// <summary>Of the segment that starts at a page, how many pages the program has.</summary>
    public Func<int, int> LengthOf { get; set; } = _ => 0;

    /// <summary>Called in the moment at which a segment's length is another: where it starts, how many pages it has.</summary>
    public Action<int, int> OnResized { get; set; } = (_, _) => { };

    public void PostResize(ulong address, long pages, ulong cookie) =>
        Post(new Command { Operation = Operation.Resize, Source = PageOf(address), Target = (int)pages, Pages = 1, Cookie = cookie });

    public void SubmitCommands() => _published = _posted;

    public int PollCompletions(Span<EvictorCompletion> completions)
    {
        int count = 0;
        while (_answered != _executed && count < completions.Length)
        {
            completions[count++] = _answers[_answered++ % Entries];
        }

        return count;
    }

    public int ReadStaging(int index, int pages, byte* target)
    {
        for (int i = index; i < index + pages; i++)
        {
            if (_stagedFrom[i] < 0)
            {
                throw new SimulationException($"staging page {i} is a hole: reading it would stop the pager for ever");
            }
        }

        Buffer.MemoryCopy(StagingData(index), target, (long)pages << PageSize.Shift, (long)pages << PageSize.Shift);
        return 0;
    }

    /// <summary>What the evictor hashes with; the real one gets the key through the ring.</summary>
    public PageHash Hash { get; set; } = new();

    public ulong StagedHash(int index) => Hash.Compute(StagingData(index));

    /// <summary>The pager has died: what it published is carried out, then the ring is as new.</summary>
    public void ForgetRing()
    {
        _posted = _published;
        while (StepEvictor())
        {
        }

        _answered = _executed;
    }

    /// <summary>One step of the evictor; false when it has nothing to do.</summary>
    public bool StepEvictor()
    {
        if (!EvictorHasWork)
        {
            return false;
        }

        ref readonly Command command = ref _commands[_executed % Entries];
        int done;
        int status = 0;
        switch (command.Operation)
        {
            case Operation.Take when TakeCopies:
                if (++_copyPhase < 3)
                {
                    StepCopy(in command, ref status);
                    if (status == 0)
                    {
                        return true;
                    }
                }

                done = FinishCopy(in command, status);
                _copyPhase = 0;
                break;
            case Operation.Take:
                done = Move(in command, out status);
                break;
            case Operation.Recycle:
                done = Recycle(in command);
                break;
            case Operation.Resize:
                done = 1;
                status = Resize(command.Source, command.Target);
                break;
            default:
                for (done = 0; done < command.Pages; done++)
                {
                    Remove(command.Source + done);
                }

                break;
        }

        _answers[_executed++ % Entries] = new EvictorCompletion { Cookie = command.Cookie, Status = status, Pages = (uint)done };
        return true;
    }

    private void Post(in Command command)
    {
        if (FreeCommands == 0)
        {
            throw new SimulationException("a command was posted to a full ring");
        }

        _commands[_posted++ % Entries] = command with { Generation = _generation };
    }

    private int Move(in Command command, out int status)
    {
        status = 0;
        int moved = 0;
        if (IsChanging || command.Generation != _generation)
        {
            status = -Errno.EAGAIN;
            return 0;
        }

        for (; moved < command.Pages; moved++)
        {
            int page = command.Source + moved;
            if (!IsRegistered(page))
            {
                throw new SimulationException($"the evictor takes page {page} of a mapping that is not the pager's");
            }

            if (!Exists(_pages[page]))
            {
                status = _pages[page] == KernelPage.Poisoned ? -Errno.EFAULT : -Errno.ENOENT;
                break;
            }

            if (_isShared[page] || _random.Next(1_000_000) < BusyPerMillion)
            {
                status = -Errno.EBUSY;
                break;
            }

            Stage(page, command.Target + moved);
            Remove(page);
        }

        return moved;
    }

    /// <summary>Phase 1: protect. Phase 2: copy. Between them threads run, and stop where they write.</summary>
    private void StepCopy(in Command command, ref int status)
    {
        for (int i = 0; i < command.Pages; i++)
        {
            int page = command.Source + i;
            if (!Exists(_pages[page]))
            {
                throw new SimulationException($"the evictor copies page {page}, which is {_pages[page]}: it would stop in a fault of its own");
            }

            if (_copyPhase == 1)
            {
                _protected[page] = true;
            }
            else
            {
                Stage(page, command.Target + i);
            }
        }

        if (_copyPhase == 1 && _random.Next(1_000_000) < BusyPerMillion)
        {
            status = -Errno.EAGAIN;
        }
        else if (InProgram > Counted())
        {
            throw new SimulationException($"copying for eviction brought {InProgram} pages into the program, the pager has counted {Counted()}");
        }
    }

    private int FinishCopy(in Command command, int status)
    {
        for (int i = 0; i < command.Pages; i++)
        {
            if (status != 0)
            {
                _protected[command.Source + i] = false;
            }
            else
            {
                Remove(command.Source + i);
            }
        }

        if (status != 0)
        {
            WakeRange(command.Source, command.Pages, mayBeLost: true);
            return 0;
        }

        return command.Pages;
    }

    private void Stage(int page, int target)
    {
        if (_stagedFrom[target] >= 0)
        {
            throw new SimulationException($"page {page} would go over page {_stagedFrom[target]} in staging page {target}");
        }

        Buffer.MemoryCopy(Data(page), StagingData(target), PageSize.Bytes, PageSize.Bytes);
        _stagedFrom[target] = page;
        InProgram++;
    }

    /// <summary>All or nothing; who is stopped at a page that goes tries again and finds nothing.</summary>
    private int Resize(int first, int pages)
    {
        if (_random.Next(4) == 0)
        {
            return -Errno.EAGAIN;
        }

        int before = LengthOf(first);
        if (pages > before)
        {
            Register(first + before, pages - before);
        }
        else
        {
            Unregister(first + pages, before - pages);
        }

        OnResized(first, pages);
        return 0;
    }

    private int Recycle(in Command command)
    {
        for (int i = command.Target; i < command.Target + command.Pages; i++)
        {
            if (_stagedFrom[i] >= 0)
            {
                OnRecycle?.Invoke(i, _stagedFrom[i]);
                _stagedFrom[i] = -1;
                InProgram--;
            }
        }

        return command.Pages;
    }
}
