/* rearrange.h: a program that changes its address space under the pager; see rearrange.c. */
#ifndef REARRANGE_H
#define REARRANGE_H

#include <stdint.h>

/* Two segments of `mib` MiB together, anew for each epoch. Prints "ok" and returns 0 when every byte was right. */
int rearrange(uint64_t mib, unsigned threads, uint64_t rounds, unsigned epochs);

#endif
