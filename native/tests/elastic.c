/*
 * elastic.c: a segment whose length changes under threads that write and verify it, by the program's calls or from
 * outside, and one of a size that no host has.
 *
 *   heca-test-program elastic MIB THREADS      each line on standard input is a command:
 *     resize MIB     by its own call; "resized STATUS"
 *     give MIB       gives up what is beyond; "given"
 *     check          verifies every page there is; "checked PAGES"
 *     stop           "ok ROUNDS BEYOND": how often threads wrote a page, how often one had gone when they touched it
 *   Whenever the length is another it says "at BYTES", once all that belongs to pages beyond is forgotten.
 *
 *   heca-test-program sparse GIB PAGES SEED    "small", "allocated MICROSECONDS", "touched PAGES GROUPS", "ok"; a line
 *   on standard input before each step: one page is allocated; all is; so many pages of it, drawn at random, are
 * written, in so many groups of 2 MiB; all are verified.
 */
#include "elastic.h"

#include <heca.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define WORDS (PAGE / 8)
#define GROUP_PAGES 512u

/* Of so many pages a thread uses one, so that a large segment has little in it: a thread's are in every group. */
#define STRIDE 64u
#define THREADS_MAX 16u
#define PAGES_MAX (64ull << 18) /* 64 GiB */

/* Steps for which a thread goes by the length that it has once asked for: what is gone since it finds out the hard way.
 */
#define STALE_STEPS 256

static uint64_t *memory;
static uint32_t *versions; /* by page: what was written last; 0: nothing */
static pthread_rwlock_t gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static atomic_bool stops;
static atomic_ulong rounds, beyond;
static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;

static __thread sigjmp_buf way_back;
static __thread volatile sig_atomic_t may_fault;

static void say(const char *what, uint64_t first, uint64_t second, int numbers) {
    pthread_mutex_lock(&output);
    if (numbers == 0) {
        printf("%s\n", what);
    } else if (numbers == 1) {
        printf("%s %lu\n", what, first);
    } else {
        printf("%s %lu %lu\n", what, first, second);
    }
    fflush(stdout);
    pthread_mutex_unlock(&output);
}

static void fail(const char *what, uint64_t page, uint64_t word) {
    say(what, page, word, 2);
    exit(1);
}

static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static uint64_t word_of(uint64_t page, uint32_t version, uint64_t word) {
    return version == 0 ? 0 : mix((page << 24) ^ ((uint64_t)version << 48) ^ word);
}

static uint64_t size_now(void) {
    uint64_t bytes = 0;
    if (heca_segment_size(memory, &bytes) != 0) {
        say("no size", 0, 0, 0);
        exit(1);
    }
    return bytes;
}

/* Only a page that is beyond the end may raise it. */
static void on_fault(int signal, siginfo_t *information, void *context) {
    (void)signal;
    (void)context;
    uint64_t bytes = 0, address = (uintptr_t)information->si_addr;
    if (may_fault && heca_segment_size(memory, &bytes) == 0 && address >= (uintptr_t)memory + bytes) {
        siglongjmp(way_back, 1);
    }
    static const char text[] = "a signal for a page that is there\n";
    (void)!write(1, text, sizeof text - 1);
    _exit(1);
}

static void verify(const uint64_t *found, uint64_t page, uint32_t version) {
    for (uint64_t i = 0; i < WORDS; i++) {
        uint64_t word = found[i];
        if (word != word_of(page, version, i)) {
            fail("wrong word of page, version", page, version);
        }
    }
}

/* The kernel reads the page for the program. A page that has gone is an error for it, never zeros. */
static bool verify_by_kernel(int file, uint64_t page) {
    uint64_t copy[WORDS];
    ssize_t bytes = pwrite(file, memory + page * WORDS, PAGE, 0);
    if (bytes == PAGE && pread(file, copy, PAGE, 0) == PAGE) {
        verify(copy, page, versions[page]);
        return true;
    }
    if (bytes >= 0 || errno != EFAULT || page * PAGE < size_now()) {
        fail("a system call on page fails, errno", page, (uint64_t)errno);
    }
    return false;
}

static void write_page(uint64_t page) {
    uint32_t version = versions[page] + 1;
    for (uint64_t i = 0; i < WORDS; i++) {
        memory[page * WORDS + i] = word_of(page, version, i);
    }
    versions[page] = version;
}

/* Verifies a page and writes it anew. False when it has gone. */
static bool use(uint64_t page, int file) {
    if (sigsetjmp(way_back, 1) != 0) {
        return false;
    }
    if (file >= 0 && !verify_by_kernel(file, page)) {
        return false;
    }
    verify(memory + page * WORDS, page, versions[page]);
    write_page(page);
    return true;
}

static void *work(void *argument) {
    uint64_t own = (uint64_t)(uintptr_t)argument, bytes = 0;
    int file = memfd_create("elastic", MFD_CLOEXEC);
    for (uint64_t step = 0; !stops; step++) {
        bytes = step % STALE_STEPS == 0 ? size_now() : bytes;
        uint64_t page = mix(step ^ own << 56) % (bytes / PAGE / STRIDE) * STRIDE + own;
        pthread_rwlock_rdlock(&gate);
        may_fault = 1;
        bool is_there = use(page, step % 8 == 0 ? file : -1);
        may_fault = 0;
        pthread_rwlock_unlock(&gate);
        atomic_fetch_add(is_there ? &rounds : &beyond, 1);
    }
    close(file);
    return NULL;
}

static bool is_there(uint64_t offset) {
    if (sigsetjmp(way_back, 1) != 0) {
        may_fault = 0;
        return false;
    }
    may_fault = 1;
    (void)*(volatile uint64_t *)((char *)memory + offset);
    may_fault = 0;
    return true;
}

/* Sees that the length is another. Who asked for that waits until it is said, so that none is missed. */
static void *watch(void *argument) {
    uint64_t before = *(uint64_t *)argument;
    while (!stops) {
        uint64_t now = size_now();
        if (now != before) {
            pthread_rwlock_wrlock(&gate);
            if (now < before) {
                /* The size is lower before the pages go: until then what they hold is still there. */
                while (is_there(now)) {
                    usleep(100);
                }
                memset(versions + now / PAGE, 0, (before - now) / PAGE * sizeof *versions);
            }
            pthread_rwlock_unlock(&gate);
            before = now;
            say("at", now, 0, 1);
        }
        usleep(500);
    }
    return NULL;
}

static void check_all(void) {
    uint64_t checked = 0;
    pthread_rwlock_wrlock(&gate);
    for (uint64_t page = 0, pages = size_now() / PAGE; page < pages; page++) {
        if (versions[page] != 0) {
            verify(memory + page * WORDS, page, versions[page]);
            checked++;
        }
    }
    pthread_rwlock_unlock(&gate);
    say("checked", checked, 0, 1);
}

static void give_up(uint64_t from) {
    pthread_rwlock_wrlock(&gate);
    uint64_t bytes = size_now();
    memset(versions + from / PAGE, 0, (bytes - from) / PAGE * sizeof *versions);
    int32_t status = heca_segment_advise((char *)memory + from, bytes - from, HECA_ADVICE_DONT_NEED);
    say("given", (uint64_t)-status, 0, 1);
    /* The threads stay away until the next command, which is to find it untouched. */
}

int elastic(uint64_t mib, unsigned threads) {
    uint64_t bytes = mib << 20;
    pthread_t workers[THREADS_MAX], watcher;
    if (heca_segment_allocate(bytes, 0, (void **)&memory) != 0 || threads > THREADS_MAX) {
        return 1;
    }
    versions = mmap(NULL, PAGES_MAX * sizeof *versions, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    pthread_create(&watcher, NULL, watch, &bytes);
    for (uintptr_t i = 0; i < threads; i++) {
        pthread_create(&workers[i], NULL, work, (void *)i);
    }
    say("ready", 0, 0, 0);
    char line[64];
    bool is_held = false;
    while (fgets(line, sizeof line, stdin) != NULL && strncmp(line, "stop", 4) != 0) {
        uint64_t number = strtoull(strchr(line, ' ') != NULL ? strchr(line, ' ') : "0", NULL, 10) << 20;
        if (is_held) {
            pthread_rwlock_unlock(&gate);
            is_held = false;
        }
        if (strncmp(line, "resize ", 7) == 0) {
            say("resized", (uint64_t)-heca_segment_resize(memory, number), 0, 1);
        } else if (strncmp(line, "give ", 5) == 0) {
            give_up(number);
            is_held = true;
        } else {
            check_all();
        }
    }
    if (is_held) {
        pthread_rwlock_unlock(&gate);
    }
    stops = true;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i], NULL);
    }
    pthread_join(watcher, NULL);
    say("ok", rounds, beyond, 2);
    return 0;
}

static void next_step(void) {
    char line[8];
    if (fgets(line, sizeof line, stdin) == NULL) {
        exit(1);
    }
}

static uint64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int sparse(uint64_t gib, uint64_t count, uint64_t seed) {
    uint64_t pages = gib << 18;
    void *small;
    if (heca_segment_allocate(PAGE, PAGE, &small) != 0) {
        return 1;
    }
    say("small", 0, 0, 0);
    next_step();
    uint64_t start = microseconds();
    int32_t status = heca_segment_allocate(pages * PAGE, 0, (void **)&memory);
    if (status != 0) {
        fail("allocate", (uint64_t)-status, 0);
    }
    say("allocated", microseconds() - start, 0, 1);
    next_step();

    /* No page is drawn twice. */
    uint64_t *drawn = malloc(count * sizeof *drawn), groups = 0;
    uint8_t *seen = calloc(pages / GROUP_PAGES, 1);
    uint8_t *used = calloc(pages / 8, 1);
    for (uint64_t i = 0, at = 0; at < count; i++) {
        uint64_t page = mix(seed + i) % pages;
        if ((used[page / 8] & (1u << page % 8)) != 0) {
            continue;
        }
        used[page / 8] |= (uint8_t)(1u << page % 8);
        drawn[at++] = page;
        groups += seen[page / GROUP_PAGES] == 0;
        seen[page / GROUP_PAGES] = 1;
        for (uint64_t word = 0; word < WORDS; word += 64) {
            memory[page * WORDS + word] = mix(page * WORDS + word);
        }
    }
    say("touched", count, groups, 2);
    next_step();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t page = drawn[(i * 7919) % count]; /* a prime that no count here is a multiple of */
        for (uint64_t word = 0; word < WORDS; word++) {
            if (memory[page * WORDS + word] != (word % 64 == 0 ? mix(page * WORDS + word) : 0)) {
                fail("wrong word of page", page, word);
            }
        }
        /* And a page beside it that nobody wrote. */
        uint64_t other = page ^ 1;
        if (i % 64 == 0 && (used[other / 8] & (1u << other % 8)) == 0 && memory[other * WORDS + 3] != 0) {
            fail("an untouched page is not zero", other, 3);
        }
    }
    say("verified", count, 0, 1);
    next_step();
    status = heca_segment_free(memory);
    say(status == 0 ? "ok" : "free fails", 0, 0, 0);
    return status == 0 ? 0 : 1;
}
