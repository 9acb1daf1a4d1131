/* mapped.c: memory that the program maps itself, as any program does; the pager captures it. */
#include "checker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_MAX 2
#define CHILD_OPERATIONS 2000
#define PAUSE_US 1000

/* Of a child's versions. */
#define VERSION_BITS 36

const char *const memory_kind = "captured";

static char *map(uint64_t pages) {
    char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        wrong("mmap: %s", strerror(errno));
    }

    return memory;
}

bool memory_make(char **memory, uint64_t pages, uint64_t pages_max) {
    (void)pages_max;
    *memory = map(pages);
    return true;
}

void memory_free(char *memory, uint64_t pages) {
    if (munmap(memory, pages * PAGE) != 0) {
        wrong("munmap: %s", strerror(errno));
    }
}

static char *move(char *memory, uint64_t before, uint64_t after, int flags, char *to) {
    char *moved = mremap(memory, before * PAGE, after * PAGE, MREMAP_MAYMOVE | flags, to);
    if (moved == MAP_FAILED && errno == EFAULT && to == NULL) {
        /* It is more than one mapping by now, which the kernel does not grow or shrink, whoever is the pager. */
        moved = memcpy(map(after), memory, (before < after ? before : after) * PAGE);
        memory_free(memory, before);
    }

    if (moved == MAP_FAILED) {
        wrong("mremap %p of %lu pages to %p of %lu: %s", memory, before, to, after, strerror(errno));
    }

    return moved;
}

bool memory_resize(char **memory, uint64_t before, uint64_t after) {
    /* What is copied because the kernel takes it for two mappings must not be lost. */
    if (settings.may_lose) {
        return false;
    }

    *memory = move(*memory, before, after, 0, NULL);
    return true;
}

void memory_discard(struct worker *worker, char *memory, uint64_t pages) {
    if (draw(worker, 3) == 0) {
        /* Something else in its place, in one step. */
        if (mmap(memory, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
            memory) {
            wrong("mmap at %p: %s", memory, strerror(errno));
        }
    } else if (madvise(memory, pages * PAGE, MADV_DONTNEED) != 0) {
        wrong("madvise: %s", strerror(errno));
    }
}

void memory_stir(struct worker *worker, struct area *area) {
    if (area->pages == 0) {
        return;
    }

    uint64_t first = draw(worker, area->pages), pages = 1 + draw(worker, area->pages - first);
    char *from = area->memory + first * PAGE;
    switch (draw(worker, 4)) {
    case 0:
        if (!settings.may_lose) {
            worker->counts.moves++;
            area->memory = move(area->memory, area->pages, area->pages, MREMAP_FIXED, map(area->pages));
        }
        break;
    case 1:
        /* A part is read-only for a while, which makes it a mapping of its own. */
        worker->counts.advices++;
        if (mprotect(from, pages * PAGE, PROT_READ) != 0 || usleep(PAUSE_US) != 0 ||
            mprotect(from, pages * PAGE, PROT_READ | PROT_WRITE) != 0) {
            wrong("mprotect: %s", strerror(errno));
        }
        break;
    default:
        worker->counts.advices++;
        (void)madvise(from, pages * PAGE, draw(worker, 2) == 0 ? MADV_WILLNEED : MADV_COLD);
    }
}

/* ------------------------------------------------------------------------------------------------ children */

static struct child {
    pid_t process;
    uint64_t *states; /* of all areas, as they were when it was forked */
    bool *has_begun;  /* seen by both */
} children[CHILDREN_MAX];

static pthread_mutex_t children_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t forked;

static void copy_states(struct child *child) {
    uint64_t all = 0;
    for (unsigned i = 0; i < settings.areas; i++) {
        all += areas[i].pages_max;
    }

    if (child->states == NULL) {
        child->states = map_shared(all * sizeof *child->states);
        child->has_begun = map_shared(PAGE);
    }

    uint64_t *to = child->states;
    for (unsigned i = 0; i < settings.areas; to += areas[i++].pages_max) {
        memcpy(to, areas[i].states, areas[i].pages * sizeof *to);
    }
}

__attribute__((noreturn)) static void be_child(struct child *child, uint64_t seed) {
    __atomic_store_n(child->has_begun, true, __ATOMIC_SEQ_CST);
    uint64_t *states = child->states;
    for (unsigned i = 0; i < settings.areas; i++) {
        areas[i].states = states;
        states += areas[i].pages_max;
    }

    watch_losses();
    last_version = seed << VERSION_BITS;
    struct worker worker = {.state = mix(settings.seed + seed), .doing = "a child's"};
    work_alone(&worker, CHILD_OPERATIONS);
    _exit(0);
}

/* True where there is none any more. */
static bool has_ended(struct child *child, bool waits) {
    int status = 0;
    if (child->process == 0) {
        return true;
    }

    pid_t ended = waitpid(child->process, &status, waits ? 0 : WNOHANG);
    if (ended == 0) {
        return false;
    }

    if (ended != child->process || status != 0) {
        wrong("child %d ended with %s %d", child->process, WIFSIGNALED(status) ? "signal" : "status",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }

    child->process = 0;
    return true;
}

void memory_fork(struct worker *worker) {
    pthread_mutex_lock(&children_lock);
    for (int i = 0; i < CHILDREN_MAX; i++) {
        struct child *child = &children[i];
        if (!has_ended(child, false)) {
            continue;
        }

        pthread_rwlock_wrlock(&world);
        if (!__atomic_load_n(&is_calm, __ATOMIC_RELAXED)) {
            copy_states(child);
            *child->has_begun = false;
            uint64_t seed = ++forked;
            child->process = fork();
            if (child->process == 0) {
                be_child(child, seed);
            }

            if (child->process < 0) {
                wrong("fork: %s", strerror(errno));
            }

            worker->counts.forks++;
        }

        pthread_rwlock_unlock(&world);
        break;
    }

    pthread_mutex_unlock(&children_lock);
}

void memory_await_children(bool all) {
    pthread_mutex_lock(&children_lock);
    for (int i = 0; i < CHILDREN_MAX; i++) {
        while (!has_ended(&children[i], all) && !__atomic_load_n(children[i].has_begun, __ATOMIC_SEQ_CST)) {
            usleep(PAUSE_US);
        }
    }

    pthread_mutex_unlock(&children_lock);
}
