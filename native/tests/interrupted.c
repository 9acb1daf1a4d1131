/*
 * interrupted.c: a program that knows nothing of libheca and changes its address space just where pages are under way,
 * for a test in which they stay under way: their sponsor is stopped, and then the pager killed. Changes are carried out
 * in their order, so all wait for the first.
 *
 *   heca-interrupted MIB   fills, "ready"; reads in order, over and over. After a line it waits until that stands
 * still, and drops, moves and replaces what is there and ahead of it: "changed". When its input ends it checks all it
 * has, twice: "ok"
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096ull
#define WORDS (PAGE / sizeof(uint64_t))
#define RANGE 200ull /* pages of each change */
#define STILL_MS 300

static uint64_t *memory, *moved;
static uint64_t pages, at;
static bool is_over;

static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static void fail(const char *what) {
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static void check(const uint64_t *page, uint64_t number, uint64_t stamp) {
    for (uint64_t word = 0; word < WORDS; word++) {
        uint64_t expected = stamp == 0 ? 0 : mix(number * WORDS + word) + stamp;
        if (page[word] != expected) {
            printf("word %lu of page %lu is %lx, not %lx\n", word, number, page[word], expected);
            exit(1);
        }
    }
}

static void fill(uint64_t *page, uint64_t number, uint64_t stamp) {
    for (uint64_t word = 0; word < WORDS; word++) {
        page[word] = mix(number * WORDS + word) + stamp;
    }
}

static void *read_on(void *unused) {
    while (!__atomic_load_n(&is_over, __ATOMIC_SEQ_CST)) {
        uint64_t next = (at + 1) % (pages - 4 * RANGE);
        __atomic_store_n(&at, next, __ATOMIC_SEQ_CST);
        (void)*(volatile uint64_t *)(memory + next * WORDS);
        if (!__atomic_load_n(&is_over, __ATOMIC_SEQ_CST)) {
            check(memory + next * WORDS, next, 1);
        }
    }

    return unused;
}

/* The page that the reader waits for. It goes no further. */
static uint64_t wait_until_still(void) {
    for (uint64_t seen = pages, unchanged = 0; unchanged < STILL_MS; unchanged++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        uint64_t now = __atomic_load_n(&at, __ATOMIC_SEQ_CST);
        unchanged = now == seen ? unchanged : 0;
        seen = now;
    }

    __atomic_store_n(&is_over, true, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&at, __ATOMIC_SEQ_CST);
}

static void change(uint64_t first) {
    uint64_t *start = memory + first * WORDS, *next = start + RANGE * WORDS;
    if (madvise(start, RANGE * PAGE, MADV_DONTNEED) != 0) {
        fail("madvise");
    }

    if (mremap(next, RANGE * PAGE, RANGE * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved) != moved) {
        fail("mremap");
    }

    /* In the place of what has moved, and of what comes behind it, something else. */
    if (munmap(next + RANGE * WORDS, RANGE * PAGE) != 0 ||
        mmap(next, 2 * RANGE * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != next) {
        fail("mmap");
    }

    for (uint64_t page = 0; page < 2 * RANGE; page++) {
        fill(next + page * WORDS, first + RANGE + page, 2);
    }
}

static void check_all(uint64_t first, uint64_t stamp) {
    for (uint64_t page = 0; page < RANGE; page++) {
        check(moved + page * WORDS, first + RANGE + page, stamp);
        fill(moved + page * WORDS, first + RANGE + page, stamp + 1);
    }

    for (uint64_t page = 0; page < pages; page++) {
        bool is_dropped = page >= first && page < first + RANGE;
        bool is_new = page >= first + RANGE && page < first + 3 * RANGE;
        check(memory + page * WORDS, page, is_dropped ? 0 : is_new ? 2 : 1);
    }
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    pages = count == 2 ? strtoull(arguments[1], NULL, 10) * 256 : 0;
    if (pages <= 4 * RANGE) {
        return 2;
    }

    memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    moved = mmap(NULL, RANGE * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || moved == MAP_FAILED) {
        fail("mmap");
    }

    for (uint64_t page = 0; page < pages; page++) {
        fill(memory + page * WORDS, page, 1);
    }

    pthread_t reader;
    pthread_create(&reader, NULL, read_on, NULL);
    puts("ready");
    getchar();
    uint64_t first = wait_until_still();
    change(first);
    puts("changed");
    while (getchar() != EOF) {
    }

    pthread_join(reader, NULL);
    check_all(first, 1);
    check_all(first, 2);
    puts("ok");
    return 0;
}
