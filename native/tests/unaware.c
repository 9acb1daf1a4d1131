/*
 * unaware.c: a program that knows nothing of libheca, for the end-to-end tests to run under `heca run`. It prints "ok"
 * and exits 0 only if every byte was what it wrote.
 *
 *   heca-unaware walk MIB ROUNDS [input]      a thread on the heap, one on mapped memory; or until input ends
 *   heca-unaware churn MIB ROUNDS THREADS     malloc, realloc, calloc, free, mmap, mremap, madvise, over and over
 *   heca-unaware stack MIB [1]                a thread's stack is the middle [start] of a mapping, moved later
 *   heca-unaware fork MIB ROUNDS              children, each with what there was when it was forked
 *   heca-unaware family MIB [USER]            fills, "ready"; after a line forks [as USER], "forked"; all check
 *                                             until input ends
 *   heca-unaware still MIB                    fills half of MIB, "ready"; after a line: all, "ready"; then checks
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ull
#define BLOCKS 64

static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static void wrong(const char *what, uint64_t where, uint64_t found, uint64_t expected) {
    printf("%s %lu is %lx, not %lx\n", what, where, found, expected);
    exit(1);
}

static char *or_fail(void *mapped, const char *call) {
    if (mapped == MAP_FAILED || mapped == NULL) {
        printf("%s: %s\n", call, strerror(errno));
        exit(1);
    }

    return mapped;
}

static char *map(uint64_t bytes) {
    return or_fail(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
}

/* ------------------------------------------------------------------------------------------------ walk */

struct walker {
    pthread_t thread;
    uint64_t **pages; /* each of 4,096 bytes, anywhere */
    uint64_t count, rounds, seed;
};

static bool goes_on;

static void *walk(void *argument) {
    struct walker *walker = argument;
    uint64_t *sums = calloc(walker->count, sizeof *sums);
    for (uint64_t i = 0; i < walker->count; i++) {
        for (uint64_t word = 0; word < 512; word++) {
            walker->pages[i][word] = mix(i * 512 + word);
        }
    }
    for (uint64_t round = 0; round < walker->rounds || __atomic_load_n(&goes_on, __ATOMIC_RELAXED); round++) {
        uint64_t page = mix(walker->seed + round) % walker->count;
        walker->pages[page][7] += round;
        sums[page] += round;
    }
    for (uint64_t i = 0; i < walker->count; i++) {
        for (uint64_t word = 0; word < 512; word++) {
            uint64_t expected = mix(i * 512 + word) + (word == 7 ? sums[i] : 0);
            if (walker->pages[i][word] != expected) {
                wrong("word", i * 512 + word, walker->pages[i][word], expected);
            }
        }
    }
    return NULL;
}

static int walk_both(uint64_t mib, uint64_t rounds, bool reads) {
    goes_on = reads;
    struct walker walkers[2] = {{.count = mib * 128, .rounds = rounds, .seed = 1},
                                {.count = mib * 128, .rounds = rounds, .seed = 2}};
    char *mapped = map(walkers[1].count * PAGE);
    for (int i = 0; i < 2; i++) {
        walkers[i].pages = malloc(walkers[i].count * sizeof *walkers[i].pages);
        for (uint64_t page = 0; page < walkers[i].count; page++) {
            walkers[i].pages[page] = i == 0 ? malloc(PAGE) : (uint64_t *)(mapped + page * PAGE);
        }
        pthread_create(&walkers[i].thread, NULL, walk, &walkers[i]);
    }
    while (reads && getchar() != EOF) {
    }
    __atomic_store_n(&goes_on, false, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        pthread_join(walkers[i].thread, NULL);
    }
    puts("ok");
    return 0;
}

/* ------------------------------------------------------------------------------------------------ churn */

struct block {
    char *base;
    uint64_t bytes, stamp;
    bool is_mapped;
};

struct churner {
    pthread_t thread;
    struct block blocks[BLOCKS];
    uint64_t state, rounds, block_bytes_max;
};

static uint64_t next(struct churner *churner) {
    return churner->state = mix(churner->state);
}

/* One word in each page and the last: what of a page is moved wrongly, all of it is. */
static void stamp_from(struct block *block, uint64_t from) {
    for (uint64_t at = from; at + 8 <= block->bytes; at += PAGE) {
        *(uint64_t *)(block->base + at) = mix(block->stamp + at);
    }
}

static void check(const struct block *block, uint64_t bytes) {
    for (uint64_t at = 0; at + 8 <= bytes; at += PAGE) {
        uint64_t found = *(uint64_t *)(block->base + at);
        if (found != mix(block->stamp + at)) {
            wrong("byte", at, found, mix(block->stamp + at));
        }
    }
}

static void check_zeros(const char *base, uint64_t bytes) {
    for (uint64_t at = 0; at + 8 <= bytes; at += PAGE) {
        uint64_t found = *(const uint64_t *)(base + at);
        if (found != 0) {
            wrong("new byte", at, found, 0);
        }
    }
}

static uint64_t some_bytes(struct churner *churner) {
    uint64_t bytes = next(churner) % churner->block_bytes_max;
    return next(churner) % 4 == 0 ? bytes + 1 : bytes / 16 + 1;
}

static void allocate(struct churner *churner, struct block *block) {
    block->bytes = some_bytes(churner);
    block->stamp = next(churner);
    block->is_mapped = next(churner) % 2 == 0;
    if (block->is_mapped) {
        block->bytes = (block->bytes + PAGE - 1) & ~(PAGE - 1);
        block->base = map(block->bytes);
        check_zeros(block->base, block->bytes);
    } else if (next(churner) % 2 == 0) {
        block->base = or_fail(calloc(1, block->bytes), "calloc");
        check_zeros(block->base, block->bytes);
    } else {
        block->base = or_fail(malloc(block->bytes), "malloc");
    }
    stamp_from(block, 0);
}

static void resize(struct churner *churner, struct block *block) {
    uint64_t before = block->bytes, bytes = some_bytes(churner);
    if (block->is_mapped) {
        bytes = (bytes + PAGE - 1) & ~(PAGE - 1);
        block->base = or_fail(mremap(block->base, before, bytes, MREMAP_MAYMOVE), "mremap");
        if (bytes > before) {
            check_zeros(block->base + before, bytes - before);
        }
    } else {
        block->base = or_fail(realloc(block->base, bytes), "realloc");
    }
    check(block, bytes < before ? bytes : before);
    block->bytes = bytes;
    stamp_from(block, 0);
}

static void give_up(struct churner *churner, struct block *block) {
    if (!block->is_mapped) {
        return;
    }
    madvise(block->base, block->bytes, MADV_DONTNEED);
    check_zeros(block->base, block->bytes);
    stamp_from(block, 0);
}

static void release(struct block *block) {
    if (block->is_mapped) {
        munmap(block->base, block->bytes);
    } else {
        free(block->base);
    }
    block->base = NULL;
}

static void *churn(void *argument) {
    struct churner *churner = argument;
    for (uint64_t round = 0; round < churner->rounds; round++) {
        struct block *block = &churner->blocks[next(churner) % BLOCKS];
        if (block->base == NULL) {
            allocate(churner, block);
            continue;
        }
        check(block, block->bytes);
        switch (next(churner) % 4) {
        case 0:
            release(block);
            break;
        case 1:
            give_up(churner, block);
            break;
        case 2:
            resize(churner, block);
            break;
        default:
            block->stamp = next(churner);
            stamp_from(block, 0);
        }
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (churner->blocks[i].base != NULL) {
            check(&churner->blocks[i], churner->blocks[i].bytes);
            release(&churner->blocks[i]);
        }
    }
    return NULL;
}

static int churn_all(uint64_t mib, uint64_t rounds, unsigned threads) {
    static struct churner churners[16];
    for (unsigned i = 0; i < threads && i < 16; i++) {
        churners[i].state = i + 1;
        churners[i].rounds = rounds;
        churners[i].block_bytes_max = (mib << 20) / threads / BLOCKS * 2;
        pthread_create(&churners[i].thread, NULL, churn, &churners[i]);
    }
    for (unsigned i = 0; i < threads && i < 16; i++) {
        pthread_join(churners[i].thread, NULL);
    }
    puts("ok");
    return 0;
}

/* ------------------------------------------------------------------------------------------------ stack */

#define STACK_BYTES (1ull << 20)

static char *around;
static struct block parts[2]; /* before the stack and behind it */

/* All but the stack, which is not the pager's while this thread runs, often enough to be captured. */
static void *fill_around(void *unused) {
    (void)unused;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 2; i++) {
            stamp_from(&parts[i], 0);
            check(&parts[i], parts[i].bytes);
        }
    }
    return NULL;
}

static void move_to(char *to) {
    for (int i = 0; i < 2; i++) {
        parts[i].base += to - around;
        check(&parts[i], parts[i].bytes);
    }
    around = to;
}

static int stack(uint64_t mib, bool is_at_start) {
    uint64_t bytes = mib << 20, at = is_at_start ? 0 : bytes / 2;
    around = map(bytes);
    parts[0] = (struct block){.base = around, .bytes = at, .stamp = 1};
    parts[1] = (struct block){.base = around + at + STACK_BYTES, .bytes = bytes - at - STACK_BYTES, .stamp = 2};
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, around + at, STACK_BYTES);
    if (pthread_create(&thread, &attributes, fill_around, NULL) != 0) {
        return 1;
    }

    pthread_join(thread, NULL);
    char *to = map(bytes);
    move_to(or_fail(mremap(around, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to), "mremap to a fixed place"));
    move_to(or_fail(mremap(around, bytes, 2 * bytes, MREMAP_MAYMOVE), "mremap"));
    check_zeros(around + bytes, bytes);
    puts("ok");
    return 0;
}

/* ------------------------------------------------------------------------------------------------ fork */

static struct block of_fork[8];
static pthread_mutex_t fork_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t generation_of[8];
static bool is_over;

static void renew(unsigned i) {
    of_fork[i].stamp = mix(++generation_of[i] * 8 + i);
    stamp_from(&of_fork[i], 0);
}

/* As an allocator has it: held in madvise, and taken before every fork. */
static void lock_before_fork(void) {
    pthread_mutex_lock(&fork_lock);
}

static void unlock_after_fork(void) {
    pthread_mutex_unlock(&fork_lock);
}

/* And it registers its handlers before any library's constructor has run. */
static void watch_forks(void) {
    pthread_atfork(lock_before_fork, unlock_after_fork, unlock_after_fork);
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = watch_forks;

/* Another thread of the parent: writes, moves and drops the blocks, each all at once between two forks. */
static void *change_blocks(void *unused) {
    (void)unused;
    for (uint64_t state = 1; !__atomic_load_n(&is_over, __ATOMIC_RELAXED);) {
        state = mix(state);
        struct block *block = &of_fork[state % 8];
        pthread_mutex_lock(&fork_lock);
        switch (state / 8 % 4) {
        case 0:
            madvise(block->base, block->bytes, MADV_DONTNEED);
            check_zeros(block->base, block->bytes);
            break;
        case 1: {
            char *to = map(block->bytes);
            block->base =
                or_fail(mremap(block->base, block->bytes, block->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to), "mremap");
            check(block, block->bytes);
            break;
        }
        case 2:
            munmap(block->base, block->bytes);
            block->base = map(block->bytes);
            check_zeros(block->base, block->bytes);
            break;
        default:
            check(block, block->bytes);
        }
        renew((unsigned)(state % 8));
        pthread_mutex_unlock(&fork_lock);
        usleep(500);
    }
    return NULL;
}

/* And one that changes its address space at any moment, also in the midst of a fork. */
static void *change_others(void *unused) {
    (void)unused;
    while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
        struct block block = {.base = map(1 << 21), .bytes = 1 << 21, .stamp = 7};
        stamp_from(&block, 0);
        char *to = map(block.bytes);
        block.base = or_fail(mremap(block.base, block.bytes, block.bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to), "mremap");
        check(&block, block.bytes);
        madvise(block.base, block.bytes, MADV_DONTNEED);
        check_zeros(block.base, block.bytes);
        munmap(block.base, block.bytes);
        usleep(100);
    }
    return NULL;
}

static void check_all(void) {
    for (unsigned i = 0; i < 8; i++) {
        check(&of_fork[i], of_fork[i].bytes);
    }
}

static int child_of_fork(uint64_t round) {
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < 8; i++) {
            check(&of_fork[i], of_fork[i].bytes);
            of_fork[i].stamp = mix(round * 100 + i * 2 + pass);
            stamp_from(&of_fork[i], 0);
        }
    }
    if (round % 4 == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            check_all();
            _exit(0);
        }
        int status = -1;
        if (grandchild < 0 || waitpid(grandchild, &status, 0) != grandchild || status != 0) {
            return 1;
        }
    }
    memset(or_fail(malloc(8 << 20), "malloc"), 1, 8 << 20);
    check_all();
    return 0;
}

static int fork_all(uint64_t mib, uint64_t rounds) {
    for (unsigned i = 0; i < 8; i++) {
        of_fork[i] = (struct block){.base = map((mib << 20) / 8), .bytes = (mib << 20) / 8};
        renew(i);
    }
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, change_blocks, NULL);
    pthread_create(&threads[1], NULL, change_others, NULL);
    for (uint64_t round = 0; round < rounds; round++) {
        usleep(20000);
        pid_t child = fork();
        if (child == 0) {
            exit(child_of_fork(round));
        }
        int status = -1;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            printf("child %lu: %x %s\n", round, (unsigned)status, child < 0 ? strerror(errno) : "");
            fflush(stdout);
            _exit(1);
        }
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    check_all();
    puts("ok");
    return 0;
}

/* ------------------------------------------------------------------------------------------------ still */

static void ready(void) {
    char line[64];
    puts("ready");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) {
        exit(1);
    }
}

static int still(uint64_t mib) {
    uint64_t bytes = mib << 20;
    uint64_t *words = malloc(bytes);
    for (uint64_t i = 0; i < bytes / 8; i++) {
        if (i == bytes / 16) {
            ready();
        }
        words[i] = mix(i);
    }
    ready();
    for (uint64_t i = 0; i < bytes / 8; i++) {
        if (words[i] != mix(i)) {
            wrong("word", i, words[i], mix(i));
        }
    }
    puts("ok");
    return 0;
}

/* ------------------------------------------------------------------------------------------------ family */

/* Two children and a grandchild, each in its own copy. "ok, N killed" where N of them were, and all the others found
 * what they wrote. What all of the family see is mapped shared, and so nobody's copy. */
struct family {
    bool is_over;
    unsigned begun, killed;
};

static struct family *all;
static uint64_t *copy, *changes, copy_pages;

static void check_page(uint64_t page) {
    for (uint64_t word = 0; word < 512; word++) {
        uint64_t expected = mix(page * 512 + word) + (word == 7 ? changes[page] : 0);
        if (copy[page * 512 + word] != expected) {
            wrong("word", page * 512 + word, copy[page * 512 + word], expected);
        }
    }
}

static void live(uint64_t seed, bool writes) {
    __atomic_add_fetch(&all->begun, 1, __ATOMIC_SEQ_CST);
    for (uint64_t round = 0; !__atomic_load_n(&all->is_over, __ATOMIC_RELAXED); round++) {
        uint64_t page = mix(seed * 1000003 + round) % copy_pages;
        check_page(page);
        if (writes) {
            copy[page * 512 + 7] += round;
            changes[page] += round;
        }
    }
    for (uint64_t page = 0; page < copy_pages; page++) {
        check_page(page);
    }
}

static void await_end(pid_t child) {
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        exit(1);
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        __atomic_add_fetch(&all->killed, 1, __ATOMIC_SEQ_CST);
    } else if (status != 0) {
        printf("child: %x\n", (unsigned)status);
        exit(1);
    }
}

static void *await_end_of_input(void *unused) {
    while (getchar() != EOF) {
    }
    __atomic_store_n(&all->is_over, true, __ATOMIC_RELAXED);
    return unused;
}

static int family(uint64_t mib, uint64_t user) {
    all = (struct family *)or_fail(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), "mmap");
    copy_pages = mib * 256;
    copy = (uint64_t *)or_fail(malloc(copy_pages * PAGE), "malloc");
    changes = calloc(copy_pages, sizeof *changes);
    for (uint64_t i = 0; i < copy_pages * 512; i++) {
        copy[i] = mix(i);
    }
    ready();
    if (user != 0 && (setgid((gid_t)user) != 0 || setuid((uid_t)user) != 0)) {
        perror("setuid");
        return 1;
    }
    pid_t reader = fork();
    if (reader == 0) {
        live(2, false);
        exit(0);
    }
    pid_t writer = fork();
    if (writer == 0) {
        for (uint64_t page = 0; page < copy_pages; page += 3) {
            copy[page * 512 + 7] += page;
            changes[page] += page;
        }
        pid_t grandchild = fork();
        live(grandchild == 0 ? 3 : 4, true);
        if (grandchild != 0) {
            await_end(grandchild);
        }
        exit(0);
    }
    while (__atomic_load_n(&all->begun, __ATOMIC_SEQ_CST) < 3) {
        if (waitpid(-1, NULL, WNOHANG) > 0) {
            return 1; /* before it had begun */
        }
        usleep(1000);
    }
    puts("forked");
    fflush(stdout);
    pthread_t input;
    pthread_create(&input, NULL, await_end_of_input, NULL);
    live(1, true);
    await_end(reader);
    await_end(writer);
    printf(all->killed == 0 ? "ok\n" : "ok, %u killed\n", all->killed);
    return 0;
}

int main(int argc, char **argv) {
    uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t rounds = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (mib == 0) {
        fprintf(stderr, "usage: heca-unaware walk|churn|stack|fork|family|still MIB ...\n");
        return 2;
    }
    if (strcmp(argv[1], "walk") == 0) {
        return walk_both(mib, rounds, argc > 4);
    }
    if (strcmp(argv[1], "churn") == 0 && argc > 4) {
        return churn_all(mib, rounds, (unsigned)atoi(argv[4]));
    }
    if (strcmp(argv[1], "stack") == 0) {
        return stack(mib, rounds != 0);
    }
    if (strcmp(argv[1], "fork") == 0) {
        return fork_all(mib, rounds);
    }
    if (strcmp(argv[1], "family") == 0) {
        return family(mib, rounds);
    }
    return strcmp(argv[1], "still") == 0 ? still(mib) : 2;
}
