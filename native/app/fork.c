/*
 * fork.c: a captured program forks. The kernel gives the pager a userfaultfd of the child's with the fork, and the
 * child its parent's memory as it was, remote pages included. Here: the pager is told before, so that it knows of other
 * threads' changes whether they were before; and the child gets what its own evictor needs.
 */
#include "internal.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXIT_NOT_SERVED 126

/* Between two looks at whether the pager lives. */
#define WAITS_PER_LOOK 1000
#define YIELDS 100

/* Of the thread that forks, for its child: set in prepare. */
static bool is_captured;
static struct heca_range stack;

/* Set in a child whose evictor has yet to be started. */
static bool is_unfinished;

static bool is_own_session(const struct session *session) {
    return session->ready && (session->can & HECA_CAN_CAPTURE) != 0 && session->process == getpid();
}

/* Has the pager say the same; false when it is gone. */
static bool ask(const struct session *session) {
    struct heca_ring *ring = session->ring;
    uint32_t asked = __atomic_add_fetch(&ring->fork_asked, 1, __ATOMIC_SEQ_CST);
    uint64_t one = 1;
    (void)!write(session->completions_event, &one, sizeof one);
    for (uint32_t waits = 1; __atomic_load_n(&ring->fork_acknowledged, __ATOMIC_ACQUIRE) != asked; waits++) {
        if (waits < YIELDS) {
            sched_yield();
            continue;
        }

        struct timespec pause = {.tv_nsec = 20000};
        nanosleep(&pause, NULL);
        if (waits % WAITS_PER_LOOK == 0 && heca_pager_is_gone(session)) {
            return false;
        }
    }

    return true;
}

/* Its pager is gone, and another can go on with what it has captured. */
static bool awaits_next_pager(const struct session *session) {
    return session->tables >= 0 && __atomic_load_n(&session->ring->has_captured, __ATOMIC_RELAXED) != 0;
}

void heca_fork_prepare(struct session *session) {
    is_captured = false;
    stack = (struct heca_range){0};
    if (!is_own_session(session)) {
        return;
    }

    int before = errno;
    pthread_mutex_lock(&session->lock);
    heca_gate_close();
    while (!ask(session) && awaits_next_pager(session)) {
        /* The evictor takes the lock to find it. Forked now, the kernel would wait for a pager to hear of it, with
         * the lock held: for ever. */
        heca_gate_open();
        pthread_mutex_unlock(&session->lock);
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&session->lock);
        heca_gate_close();
    }

    is_captured = __atomic_load_n(&session->ring->has_captured, __ATOMIC_RELAXED) != 0;
    const struct heca_range *own = heca_own_stack(session);
    if (own != NULL) {
        stack = *own;
    }

    errno = before;
}

void heca_fork_leave(struct session *session) {
    if (!is_own_session(session)) {
        return;
    }

    int before = errno;
    (void)ask(session);
    heca_gate_open();
    pthread_mutex_unlock(&session->lock);
    errno = before;
}

void heca_fork_publish_stack(const struct session *session) {
    struct heca_range *own = heca_own_stack(session);
    if (own != NULL && stack.address != 0) {
        own->bytes = stack.bytes;
        __atomic_store_n(&own->address, stack.address, __ATOMIC_RELEASE);
    }
}

static int32_t begin_anew(struct session *session) {
    session->process = getpid();
    session->can = (session->can & ~HECA_IS_RESUMED) | HECA_IS_FORKED;
    session->sequence = 0;
    session->self = (int)syscall(SYS_pidfd_open, session->process, 0);
    bool can_move = false;
    int32_t status = heca_session_connect(session);
    status = status != 0 ? status : heca_staging_open(&session->staging, &can_move);
    status = status != 0 ? status : can_move ? heca_staging_open_gate(&session->staging, -1) : -ENOTSUP;
    status = status != 0 ? status : heca_session_make_ring(session);
    status = status != 0 ? status : heca_session_make_evictor_stack(session);
    if (status != 0) {
        return status;
    }

    /* A page that was missing in the parent, and by whose fault the pager knows which of its children this is. */
    (void)*(volatile char *)session->touched;
    int answered[HECA_ANSWER_DESCRIPTORS] = {-1, -1};
    status = heca_session_say_hello(session, answered);
    session->userfault.descriptor = answered[0];
    session->tables = answered[1];
    if (status == 0 && session->userfault.descriptor < 0) {
        status = -EPROTO;
    }

    if (status != 0) {
        return status;
    }

    /* Missing again, for this process's own children. */
    syscall(SYS_madvise, session->touched, HECA_PAGE_BYTES, MADV_DONTNEED);
    heca_session_raise_descriptors(session);
    return heca_staging_open_gate(&session->staging, session->userfault.descriptor);
}

bool heca_fork_resume(struct session *session) {
    if (!session->ready || (session->can & HECA_CAN_CAPTURE) == 0 || !is_captured) {
        return false;
    }

    session->ring = NULL; /* not mapped here (MADV_DONTFORK); the stack of the parent's evictor is, and stays */
    session->evictor_stack = NULL;
    session->staging.base = NULL;
    session->staging.gate = NULL;
    heca_session_close_all(session);
    session->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    heca_gate_reset();
    int32_t status = begin_anew(session);
    if (status != 0) {
        /* It would find zeros where its pages are not here, or wait for ever. */
        char text[160];
        int length = snprintf(text, sizeof text, "heca: a forked child was ended: its pager does not serve it: %s\n",
                              strerror(-status));
        (void)!write(STDERR_FILENO, text, (size_t)length);
        _exit(EXIT_NOT_SERVED);
    }

    is_unfinished = true;
    return true;
}

/* A child of a program of which nothing is captured yet: a program of its own. */
static void begin_own(struct session *session) {
    int cancel_state;
    session->process = 0;
    session->ready = false;
    session->can = 0;
    session->sequence = 0;
    session->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    heca_gate_reset();
    if (heca_session_enter(&cancel_state) == 0) {
        heca_session_leave(cancel_state);
    }
}

void heca_fork_finish(struct session *session) {
    int before = errno;
    if (is_unfinished && session->process == getpid()) {
        /* Until there is an evictor the pager lets the child grow. */
        is_unfinished = false;
        (void)heca_evictor_start(session);
    } else if (session->ready && session->process != getpid() && (session->can & HECA_CAN_CAPTURE) != 0 &&
               heca_capture_follows()) {
        begin_own(session);
    }

    errno = before;
}
