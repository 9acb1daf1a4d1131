/*
 * checker.h: the parts of heca-checker, a program that knows what every page of its memory has to be. main.c has its
 * threads, areas.c what they do, pages.c what a page is. Where the memory comes from is linked in: asked.c has it from
 * heca.h, mapped.c from mmap, to be captured.
 */
#ifndef CHECKER_H
#define CHECKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define PAGE 4096ull
#define WORDS 512
#define THREADS_MAX 16
#define AREAS_MAX 64

/* ------------------------------------------------------------------------------------------------ main.c */

struct counts {
    uint64_t operations, reads, writes, discards, grows, shrinks, renewals, moves, forks, advices;
    uint64_t lost;    /* accesses that raised SIGBUS where that was to be expected */
    uint64_t refused; /* requests that no sponsor had room for */
};

struct worker {
    pthread_t thread;
    unsigned number;
    uint64_t state; /* of its random numbers */
    const char *doing;
    struct counts counts;
};

struct settings {
    uint64_t seed, mib;
    unsigned threads, areas;
    bool may_lose; /* there is one replica: a sponsor's death is a loss */
};

extern struct settings settings;

/* Held by whoever does anything; alone by who forks. */
extern pthread_rwlock_t world;

/* True while it is not to fork. */
extern bool is_calm;

extern bool is_over;

uint64_t mix(uint64_t x);
uint64_t draw(struct worker *worker, uint64_t below);

/* One line on standard output, and the end of the process. Takes no lock and no memory of malloc's. */
__attribute__((format(printf, 1, 2), noreturn)) void wrong(const char *format, ...);

/* Memory that nobody captures, all zero. */
void *map_shared(uint64_t bytes);

/* ------------------------------------------------------------------------------------------------ pages.c */

/*
 * What is known of a page, in memory that no pager has: its version, shifted, and flags. Version 0 is a page of zeros.
 * A page is its owner's alone to write (the thread with its number modulo the threads); others read it, and count what
 * they found only where its state is the same before and after.
 */
#define STATE_BUSY UINT64_C(1)    /* is being written */
#define STATE_LOST UINT64_C(2)    /* raised SIGBUS, and has to from then on */
#define STATE_VERSION UINT64_C(4) /* one version */

struct page {
    uint64_t id;
    uint64_t version;
    uint64_t checksum; /* of all else */
    uint64_t contents[WORDS - 3];
};

_Static_assert(sizeof(struct page) == PAGE, "a page");

/* Versions never come twice: also what was given up, or is another process's, must not be taken for what should be. */
extern uint64_t last_version;

/* By each process before it does anything with pages. */
void watch_losses(void);

/* By the owner. */
void read_page(struct worker *worker, char *memory, uint64_t id, uint64_t *state, bool through_kernel);
void write_page(struct worker *worker, char *memory, uint64_t id, uint64_t *state, bool through_kernel);

/* By another: says nothing where the owner is just writing. */
void glance_at_page(struct worker *worker, char *memory, uint64_t id, uint64_t *state);

/* ------------------------------------------------------------------------------------------------ areas.c */

struct area {
    pthread_rwlock_t lock; /* alone: its place, length or contents in ranges */
    unsigned number;
    char *memory;
    uint64_t pages, pages_max;
    uint64_t *states; /* pages_max of them */
};

extern struct area areas[AREAS_MAX];

void make_areas(void);

/* Writes all that is the worker's; one operation after another until it is over; then all that is the worker's is read.
 */
void *work(void *worker);

/* Some reads and writes, and then all there is. Only where there is no other thread. */
void work_alone(struct worker *worker, uint64_t operations);

/* ------------------------------------------------------------------------------------------------ asked.c, mapped.c */

extern const char *const memory_kind;

/* Zeros. False where no sponsor has room. */
bool memory_make(char **memory, uint64_t pages, uint64_t pages_max);
void memory_free(char *memory, uint64_t pages);

/* It may be somewhere else afterwards. What is new is zeros. */
bool memory_resize(char **memory, uint64_t before, uint64_t after);

/* All of the range reads as zeros afterwards. */
void memory_discard(struct worker *worker, char *memory, uint64_t pages);

/* What changes no contents, but perhaps the place. By who is alone in the area. */
void memory_stir(struct worker *worker, struct area *area);

/* By who holds nothing. */
void memory_fork(struct worker *worker);

/* Ends where there is no child that has not begun; with `all`, where there is none. */
void memory_await_children(bool all);

#endif
