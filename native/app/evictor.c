/*
 * evictor.c: the thread that takes pages out of segments. Only the owner of an address space can move its pages, so the
 * pager orders and this thread executes.
 *
 * It must run while every other thread of the program is stopped in a fault. Hence: no lock (a stopped thread may hold
 * it), no malloc (the same), no touch of a page that can be missing. The one touch of segment memory is the copy of
 * take_by_copy: those pages are resident by the pager's books and only this thread removes pages.
 *
 * With HECA_CAN_CHANGE a DROP is an event that this thread waits for, as any thread of the program would.
 */
#include "internal.h"
#include "kernel.h"
#include "page_hash.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Ranges of one process_madvise. */
#define DROPS_TOGETHER 64

/* As for UFFDIO_MOVE: EAGAIN is over within microseconds. */
#define PROTECT_RETRIES_MAX 10000

/* A page that is locked is free soon; an event that the pager has not read it reads soon, and the command is then void.
 */
#define MOVE_RETRIES_MAX 10000

/* Between two looks at whether the pager lives: it reads for some microseconds. */
#define READING_WAITS 1000

/* What poll says of a socket whose other end is gone. */
#define HAS_ENDED (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)

/* Between two tries to find another pager. */
#define RESUME_PAUSE_NS 50000000

/* Who reads standard error may be as dead as the pager; the program ends all the same. */
#define MESSAGE_WAIT_MS 1000

static int32_t write_protect(const struct session *session, uint64_t source, uint64_t bytes, uint64_t mode) {
    struct uffdio_writeprotect range = {.range = {source, bytes}, .mode = mode};
    for (int retries = 0; ioctl(session->userfault.descriptor, UFFDIO_WRITEPROTECT, &range) != 0;) {
        if (errno != EAGAIN || ++retries == PROTECT_RETRIES_MAX) {
            return -errno;
        }

        sched_yield();
    }

    return 0;
}

/* Without UFFDIO_MOVE. From write_protect on, a thread that writes waits in a write-protect fault, so the copy is the
 * last version; it goes on when the pager has put the page back. What no protection stops is a device that writes to a
 * pinned page: on such kernels memory that is the target of direct I/O must not be sponsored. */
static int32_t take_by_copy(const struct session *session, const struct heca_command *command) {
    uint64_t bytes = command->pages * HECA_PAGE_BYTES;
    void *source = (void *)(uintptr_t)command->source;
    int32_t status = write_protect(session, command->source, bytes, UFFDIO_WRITEPROTECT_MODE_WP);
    if (status != 0) {
        return status;
    }

    memcpy((void *)(uintptr_t)command->target, source, bytes);
    if (madvise(source, bytes, MADV_DONTNEED) == 0) {
        return 0;
    }

    /* mlock()ed by the program: the pages stay, and so must the threads that want to write them. */
    status = -errno;
    (void)write_protect(session, command->source, bytes, 0);
    return status;
}

bool heca_pager_is_gone(const struct session *session) {
    struct pollfd socket = {.fd = session->socket, .events = POLLRDHUP};
    return poll(&socket, 1, 0) > 0 && (socket.revents & HAS_ENDED) != 0;
}

/* Begins a move: from here to end_move the pager reads no events. False when what the command is about may be somewhere
 * else by now, and when the pager has ended while it read. */
static bool begin_move(const struct session *session, const struct heca_command *command) {
    struct heca_ring *ring = session->ring;
    for (;;) {
        /* Each side sets its word, then looks at the other's: in one order of all four (hence seq_cst) one of them sees
         * the other. Here the pager goes first. */
        __atomic_store_n(&ring->evictor_moving, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&ring->pager_reading, __ATOMIC_SEQ_CST) == 0) {
            break;
        }

        __atomic_store_n(&ring->evictor_moving, 0, __ATOMIC_RELEASE);
        for (uint32_t waits = 1; __atomic_load_n(&ring->pager_reading, __ATOMIC_RELAXED) != 0; waits++) {
            if (waits % READING_WAITS == 0 && heca_pager_is_gone(session)) {
                return false;
            }

            sched_yield();
        }
    }

    return __atomic_load_n(&ring->generation, __ATOMIC_RELAXED) == command->generation;
}

static void end_move(struct heca_ring *ring) {
    __atomic_store_n(&ring->evictor_moving, 0, __ATOMIC_RELEASE);
}

/* UFFDIO_MOVE where the program may unmap and map at any moment, and a page of something else may be at the source. The
 * kernel refuses a move through a descriptor that has events to tell, but only that one: so the pages pass a gate that
 * is registered with it. Returns bytes moved. */
static uint64_t take_through_gate(const struct session *session, const struct heca_command *command, int32_t *status) {
    const struct staging *staging = &session->staging;
    uint64_t bytes = command->pages * HECA_PAGE_BYTES, taken = 0, most = HECA_GATE_PAGES * HECA_PAGE_BYTES;
    *status = 0;
    for (int retries = 0; taken < bytes && *status == 0;) {
        uint64_t part = bytes - taken < most ? bytes - taken : most;
        uint64_t moved = 0;
        *status = -EAGAIN;
        bool is_current = begin_move(session, command);
        if (is_current) {
            moved = heca_userfault_try_move(session->userfault.descriptor, staging->gate,
                                            (const void *)(uintptr_t)(command->source + taken), part, status);
        }

        end_move(session->ring);
        for (uint64_t on = 0; on < moved;) {
            /* The only copy: there is no way but on. */
            int32_t ignored;
            on += heca_userfault_move(staging->userfault.descriptor, (void *)(uintptr_t)(command->target + taken + on),
                                      staging->gate + on, moved - on, &ignored);
        }

        if (*status == -EINVAL && moved == 0 && part > HECA_PAGE_BYTES) {
            /* Of two mappings: those of each by themselves. */
            most = HECA_PAGE_BYTES;
            *status = 0;
        }

        taken += moved;
        retries = moved > 0 ? 0 : retries + 1;
        if (*status == -EAGAIN && is_current && retries < MOVE_RETRIES_MAX) {
            *status = 0;
            sched_yield();
        }
    }

    return taken;
}

static void take(const struct session *session, const struct heca_command *command, struct heca_completion *out) {
    uint64_t bytes = command->pages * HECA_PAGE_BYTES;
    bool is_known = (session->can & HECA_CAN_CHANGE) != 0 || heca_segments_contain(command->source, bytes);
    if (!is_known || !heca_staging_contains(&session->staging, command->target, bytes)) {
        out->status = -EINVAL;
        return;
    }

    if ((session->can & HECA_CAN_CHANGE) != 0) {
        out->pages = (uint32_t)(take_through_gate(session, command, &out->status) / HECA_PAGE_BYTES);
    } else if ((session->can & HECA_CAN_MOVE) != 0) {
        uint64_t moved = heca_userfault_move(session->staging.userfault.descriptor, (void *)(uintptr_t)command->target,
                                             (const void *)(uintptr_t)command->source, bytes, &out->status);
        out->pages = (uint32_t)(moved / HECA_PAGE_BYTES);
    } else {
        out->status = take_by_copy(session, command);
        out->pages = out->status == 0 ? command->pages : 0;
    }

    uint64_t first = (command->target - (uint64_t)(uintptr_t)session->staging.base) / HECA_PAGE_BYTES;
    for (uint32_t i = 0; i < out->pages; i++) {
        session->ring->staged_hashes[first + i] =
            heca_page_hash((const void *)(uintptr_t)(command->target + i * HECA_PAGE_BYTES), session->ring->hash_key);
    }
}

/* A range that fails is gone through page by page: the pager must know which are still there. */
static void give_back(uint64_t address, const struct heca_command *command, bool known, struct heca_completion *out) {
    if (!known) {
        out->status = -EINVAL;
        return;
    }

    if (madvise((void *)(uintptr_t)address, command->pages * HECA_PAGE_BYTES, MADV_DONTNEED) == 0) {
        out->pages = command->pages;
        return;
    }

    while (out->pages < command->pages) {
        void *page = (void *)(uintptr_t)(address + out->pages * HECA_PAGE_BYTES);
        if (madvise(page, HECA_PAGE_BYTES, MADV_DONTNEED) != 0) {
            out->status = -errno;
            return;
        }

        out->pages++;
    }
}

static struct heca_completion execute(struct session *session, const struct heca_command *command) {
    struct heca_completion completion = {.cookie = command->cookie};
    uint64_t bytes = command->pages * HECA_PAGE_BYTES;
    switch (command->pages == 0 ? 0 : command->op) {
    case HECA_COMMAND_TAKE:
        take(session, command, &completion);
        break;
    case HECA_COMMAND_RECYCLE:
        give_back(command->target, command, heca_staging_contains(&session->staging, command->target, bytes),
                  &completion);
        break;
    case HECA_COMMAND_RESIZE:
        completion.status = heca_segment_resize_from_outside(session, command->source, command->target);
        break;
    case HECA_COMMAND_DROP:
        give_back(command->source, command, heca_segments_contain(command->source, bytes), &completion);
        break;
    default:
        completion.status = -EINVAL;
        break;
    }

    return completion;
}

/* The DROPs at the head of the queue, all together where the kernel can (process_madvise on oneself, 6.13): one flush
 * of the other cores' TLBs instead of one per command. Returns how many of them are done that way. */
static uint32_t drop_together(const struct session *session, uint32_t tail, uint32_t waiting) {
    struct iovec ranges[DROPS_TOGETHER];
    uint64_t bytes = 0;
    uint32_t count = 0;
    const struct heca_ring *ring = session->ring;
    while (session->self >= 0 && count < waiting && count < DROPS_TOGETHER) {
        const struct heca_command *command = &ring->commands[(tail + count) % HECA_RING_ENTRIES];
        uint64_t source = command->source, length = command->pages * HECA_PAGE_BYTES;
        if (command->op != HECA_COMMAND_DROP || length == 0 || !heca_segments_contain(source, length)) {
            break;
        }

        ranges[count++] = (struct iovec){(void *)(uintptr_t)source, length};
        bytes += length;
    }

    /* What it could not do, the commands one by one find out why. */
    return count > 1 && syscall(SYS_process_madvise, session->self, ranges, (size_t)count, MADV_DONTNEED, 0u) ==
                            (ssize_t)bytes
               ? count
               : 0;
}

/* Executes the next commands; false when there are none. */
static bool advance(struct session *session) {
    struct heca_ring *ring = session->ring;
    uint32_t tail = ring->commands_tail;
    uint32_t waiting = __atomic_load_n(&ring->commands_head, __ATOMIC_ACQUIRE) - tail;
    if (waiting == 0) {
        return false;
    }

    uint32_t head = ring->completions_head;
    uint32_t dropped = drop_together(session, tail, waiting);
    for (uint32_t i = 0; i < dropped; i++) {
        const struct heca_command *command = &ring->commands[(tail + i) % HECA_RING_ENTRIES];
        ring->completions[(head + i) % HECA_RING_ENTRIES] =
            (struct heca_completion){.cookie = command->cookie, .pages = command->pages};
    }

    uint32_t done = dropped;
    if (done == 0) {
        struct heca_command command = ring->commands[tail % HECA_RING_ENTRIES];
        ring->completions[head % HECA_RING_ENTRIES] = execute(session, &command);
        done = 1;
    }

    __atomic_store_n(&ring->commands_tail, tail + done, __ATOMIC_RELEASE);
    __atomic_store_n(&ring->completions_head, head + done, __ATOMIC_SEQ_CST);

    /* The pager sets the word, then looks at the queue; here the queue, then the word. In one order of all four (hence
     * seq_cst) one of the two sees the other. */
    if (__atomic_load_n(&ring->pager_sleeping, __ATOMIC_SEQ_CST) != 0 &&
        __atomic_exchange_n(&ring->pager_sleeping, 0, __ATOMIC_SEQ_CST) != 0) {
        uint64_t one = 1;
        while (write(session->completions_event, &one, sizeof one) < 0 && errno == EINTR) {
        }
    }

    return true;
}

/* Sleeps until there may be commands; false when the pager is gone. */
static bool wait_for_commands(const struct session *session) {
    struct heca_ring *ring = session->ring;
    __atomic_store_n(&ring->evictor_sleeping, 1, __ATOMIC_SEQ_CST);
    if (ring->commands_tail != __atomic_load_n(&ring->commands_head, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&ring->evictor_sleeping, 0, __ATOMIC_SEQ_CST);
        return true;
    }

    /* Answers on the socket are for the threads that asked: only its end is of interest here. */
    struct pollfd sources[2] = {{.fd = session->commands_event, .events = POLLIN},
                                {.fd = session->socket, .events = POLLRDHUP}};
    if (poll(sources, 2, -1) <= 0) {
        return true;
    }

    if ((sources[0].revents & POLLIN) != 0) {
        uint64_t count;
        (void)!read(session->commands_event, &count, sizeof count);
        return true;
    }

    return (sources[1].revents & HAS_ENDED) == 0;
}

static uint64_t milliseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The pager is gone. Faulting threads stall, because this process holds the userfaultfd, until another pager is there;
 * false when none came in time. */
static bool find_pager(struct session *session) {
    uint64_t start = milliseconds_now();
    do {
        /* What the dead one has ordered is done before another looks where the pages are. */
        while (advance(session)) {
        }

        heca_rights_follow();
        if (heca_session_resume(session) == 0) {
            return true;
        }

        struct timespec pause = {.tv_nsec = RESUME_PAUSE_NS};
        nanosleep(&pause, NULL);
    } while (session->stop_after_ms == 0 || milliseconds_now() - start < session->stop_after_ms);

    return false;
}

static void stop_program(const struct session *session) {
    /* A program that holds no sponsored memory has lost nothing. */
    if (!heca_segments_any() && __atomic_load_n(&session->ring->has_captured, __ATOMIC_RELAXED) == 0) {
        return;
    }

    struct pollfd terminal = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&terminal, 1, MESSAGE_WAIT_MS) > 0) {
        (void)!write(STDERR_FILENO, session->stop_message, session->stop_message_bytes);
    }

    /* Not exit(): its handlers would touch sponsored memory and stall. SIGKILL also reaches a thread stopped in a fault
     * inside a system call. */
    kill(getpid(), SIGKILL);
}

static void *run(void *argument) {
    struct session *session = argument;
    heca_is_evictor = true;
    pthread_setname_np(pthread_self(), "heca-evictor");
    __atomic_store_n(&session->ring->evictor_thread, (uint32_t)gettid(), __ATOMIC_RELAXED);
    for (;;) {
        while (advance(session)) {
        }

        heca_rights_follow();
        if (!wait_for_commands(session) && !find_pager(session)) {
            break;
        }
    }

    __atomic_store_n(&session->is_abandoned, true, __ATOMIC_RELEASE);
    stop_program(session);
    return NULL;
}

int32_t heca_evictor_start(struct session *session) {
    session->stop_message_bytes = (size_t)snprintf(
        session->stop_message, sizeof session->stop_message,
        "heca: process %d was stopped: its pager is gone and did not come back within %llu ms, and with it the "
        "program's memory; see what the pager wrote, then start the program again with `heca run`\n",
        (int)session->process, (unsigned long long)session->stop_after_ms);

    /* Signals are the program's business: a handler that touches sponsored memory would stop this thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstack(&attributes, session->evictor_stack, HECA_EVICTOR_STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int status = pthread_create(&thread, &attributes, run, session);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -status;
}
