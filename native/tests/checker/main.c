/*
 * main.c: heca-checker-captured and heca-checker-asked MIB THREADS SEED REPLICAS
 *
 * Random reads, writes, discards, grows, shrinks, moves and forks over pages that carry id, version and checksum, until
 * input ends. Each thread has its stream of random numbers from SEED. Says what it does once a second; at the first
 * byte that is not what it has to be one line that begins with "WRONG", and exits 1; "ok" at the end, and exits 0.
 * On its input `calm` has it not fork (answered with "calm" when none is under way) until `go`.
 */
#include "checker.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define AREA_MIB 12

/* More than any outage that a program has to outlive, on a host with other work. */
#define SECONDS_PATIENT 90

#define TICK_MS 100

struct settings settings;
pthread_rwlock_t world;
bool is_calm;
bool is_over;

static struct worker workers[THREADS_MAX];
static uint64_t seconds_at_start;

uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

uint64_t draw(struct worker *worker, uint64_t below) {
    return below == 0 ? 0 : (worker->state = mix(worker->state)) % below;
}

void wrong(const char *format, ...) {
    char text[512];
    int length = snprintf(text, sizeof text, "WRONG, %s: ", memory_kind);
    va_list arguments;
    va_start(arguments, format);
    length += vsnprintf(text + length, sizeof text - 1 - (size_t)length, format, arguments);
    va_end(arguments);
    length = length < (int)sizeof text - 1 ? length : (int)sizeof text - 2;
    text[length] = '\n';
    (void)!write(STDOUT_FILENO, text, (size_t)length + 1);
    _exit(1);
}

void *map_shared(uint64_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        wrong("mmap: %s", strerror(errno));
    }

    return memory;
}

static void tell_progress(uint64_t second) {
    struct counts sum = {0};
    for (unsigned i = 0; i < settings.threads; i++) {
        const struct counts *counts = &workers[i].counts;
        for (size_t field = 0; field < sizeof sum / sizeof(uint64_t); field++) {
            ((uint64_t *)&sum)[field] += ((const volatile uint64_t *)counts)[field];
        }
    }

    char text[512];
    int length = snprintf(text, sizeof text,
                          "%lu s: %lu operations, %lu reads, %lu writes, %lu discards, %lu grows, %lu shrinks, %lu "
                          "renewals, %lu moves, %lu forks, %lu advices, %lu lost, %lu refused\n",
                          second, sum.operations, sum.reads, sum.writes, sum.discards, sum.grows, sum.shrinks,
                          sum.renewals, sum.moves, sum.forks, sum.advices, sum.lost, sum.refused);
    (void)!write(STDOUT_FILENO, text, (size_t)length);
}

static uint64_t seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

/* A thread that does nothing for so long is one that hangs. */
static void watch_workers(uint64_t now) {
    static uint64_t operations[THREADS_MAX], since[THREADS_MAX];
    for (unsigned i = 0; i < settings.threads; i++) {
        uint64_t done = __atomic_load_n(&workers[i].counts.operations, __ATOMIC_RELAXED);
        if (since[i] == 0 || done != operations[i]) {
            operations[i] = done;
            since[i] = now;
        } else if (now - since[i] > SECONDS_PATIENT) {
            wrong("thread %u has been at %s for %lu s, its operation %lu", i, workers[i].doing, now - since[i], done);
        }
    }
}

static void obey(const char *line) {
    if (strncmp(line, "calm", 4) == 0) {
        __atomic_store_n(&is_calm, true, __ATOMIC_SEQ_CST);
        pthread_rwlock_wrlock(&world); /* what has begun ends */
        pthread_rwlock_unlock(&world);
        memory_await_children(false);
        (void)!write(STDOUT_FILENO, "calm\n", 5);
    } else if (strncmp(line, "go", 2) == 0) {
        __atomic_store_n(&is_calm, false, __ATOMIC_SEQ_CST);
    }
}

/* To be called some times a second. */
static void tick(void) {
    static uint64_t told;
    uint64_t now = seconds_now();
    if (now != told) {
        told = now;
        tell_progress(now - seconds_at_start);
        watch_workers(now);
    }
}

static void listen_until_end(void) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;; tick()) {
        char line[64];
        if (poll(&input, 1, TICK_MS) > 0) {
            ssize_t length = read(STDIN_FILENO, line, sizeof line - 1);
            if (length <= 0) {
                return;
            }

            line[length] = '\0';
            obey(line);
        }
    }
}

static void *end_all(void *has_ended) {
    for (unsigned i = 0; i < settings.threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }

    memory_await_children(true);
    __atomic_store_n((bool *)has_ended, true, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 5 || atoi(argv[2]) < 1 || atoi(argv[2]) > THREADS_MAX || atoi(argv[1]) < AREA_MIB) {
        fprintf(stderr, "usage: heca-checker-%s MIB THREADS SEED REPLICAS\n", memory_kind);
        return 2;
    }

    settings = (struct settings){.mib = strtoull(argv[1], NULL, 10),
                                 .threads = (unsigned)atoi(argv[2]),
                                 .seed = strtoull(argv[3], NULL, 10),
                                 .may_lose = atoi(argv[4]) == 1};
    settings.areas = (unsigned)(settings.mib / AREA_MIB < AREAS_MAX ? settings.mib / AREA_MIB : AREAS_MAX);
    seconds_at_start = seconds_now();
    watch_losses();
    make_areas();
    for (unsigned i = 0; i < settings.threads; i++) {
        workers[i].number = i;
        workers[i].state = mix(settings.seed * THREADS_MAX + i);
        workers[i].doing = "nothing";
        int status = pthread_create(&workers[i].thread, NULL, work, &workers[i]);
        if (status != 0) {
            wrong("pthread_create: %s", strerror(status));
        }
    }

    (void)!write(STDOUT_FILENO, "ready\n", 6);
    listen_until_end();
    __atomic_store_n(&is_over, true, __ATOMIC_SEQ_CST);
    bool has_ended = false;
    pthread_t ending;
    pthread_create(&ending, NULL, end_all, &has_ended);
    for (; !__atomic_load_n(&has_ended, __ATOMIC_SEQ_CST); tick()) {
        usleep(TICK_MS * 1000);
    }

    tell_progress(seconds_now() - seconds_at_start);
    (void)!write(STDOUT_FILENO, "ok\n", 3);
    return 0;
}
