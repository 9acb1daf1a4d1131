using Xunit;

// Each test has a pager, a sponsor and a program with several threads of their own: one at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
