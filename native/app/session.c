/*
 * session.c: the connection to the pager. Made by the first call of the program, it lasts until the process ends: an
 * ended session is not made anew, since another pager knows nothing of this process's segments.
 */
#include "internal.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HELLO_DESCRIPTORS 5
#define PAUSE_NS 100000

/* Of the numbers that a process may use, the last so many. Not of millions: the kernel's table goes up to the highest.
 */
#define RAISED_DESCRIPTORS 64
#define DESCRIPTORS_MAX 65536

struct session heca_session = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .socket = -1,
    .ring_descriptor = -1,
    .commands_event = -1,
    .completions_event = -1,
    .tables = -1,
    .self = -1,
    .userfault.descriptor = -1,
    .staging.userfault.descriptor = -1,
};

void heca_close(int *descriptor) {
    /* Cleared first: a fork in between may leak a number in the child, but never closes somebody else's. */
    int closing = *descriptor;
    *descriptor = -1;
    if (closing >= 0) {
        syscall(SYS_close, closing); /* not ours (interpose.c), which keeps these open */
    }
}

void heca_session_close_all(struct session *session) {
    heca_close(&session->socket);
    heca_close(&session->ring_descriptor);
    heca_close(&session->commands_event);
    heca_close(&session->completions_event);
    heca_close(&session->tables);
    heca_close(&session->self);
    heca_close(&session->userfault.descriptor);
    heca_staging_close(&session->staging);
    if (session->evictor_stack != NULL) {
        munmap(session->evictor_stack, HECA_EVICTOR_STACK_BYTES);
        session->evictor_stack = NULL;
    }

    if (session->ring != NULL) {
        munmap(session->ring, sizeof *session->ring);
        session->ring = NULL;
    }
}

/* A child has none of the parent's sponsored memory. It lets go of the descriptors, since the pager learns from the end
 * of the socket that the program is gone. No lock: the thread that holds it does not exist here. */
static void after_fork_in_child(void) {
    struct session *session = &heca_session;
    if (session->process == 0) {
        return; /* no session ever: the child may have one of its own */
    }

    if (heca_fork_resume(session)) {
        return;
    }

    session->ring = NULL;          /* neither is mapped here (MADV_DONTFORK) */
    session->evictor_stack = NULL; /* is, and stays: see make_evictor_stack */
    session->staging.base = NULL;
    session->staging.gate = NULL;
    heca_session_close_all(session);
    heca_segments_occupy_in_child();
}

int32_t heca_session_connect(struct session *session) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int *out = &session->socket;
    if (session->path[0] == '\0') {
        return -ENOTCONN;
    }

    memcpy(address.sun_path, session->path, sizeof address.sun_path);
    *out = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (*out < 0) {
        return -errno;
    }

    int status;
    do {
        status = connect(*out, (struct sockaddr *)&address, sizeof address);
    } while (status != 0 && errno == EINTR);
    return status == 0 ? 0 : -ENOTCONN;
}

int32_t heca_session_make_ring(struct session *session) {
    session->ring_descriptor = memfd_create("heca-ring", MFD_CLOEXEC);
    if (session->ring_descriptor < 0 || ftruncate(session->ring_descriptor, sizeof(struct heca_ring)) != 0) {
        return -errno;
    }

    void *ring = mmap(NULL, sizeof(struct heca_ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                      session->ring_descriptor, 0);
    if (ring == MAP_FAILED) {
        return -errno;
    }

    session->ring = ring;
    madvise(ring, sizeof(struct heca_ring), MADV_DONTFORK);
    heca_fork_publish_stack(session);
    session->commands_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    session->completions_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return session->commands_event >= 0 && session->completions_event >= 0 ? 0 : -errno;
}

int32_t heca_session_make_evictor_stack(struct session *session) {
    session->evictor_stack = heca_map_private(HECA_EVICTOR_STACK_BYTES, MAP_STACK | MAP_POPULATE);

    /* A child has no use for it, but its C library, which goes through the list of all threads there were. */
    madvise(session->evictor_stack, HECA_EVICTOR_STACK_BYTES, MADV_DOFORK);
    return session->evictor_stack == NULL || mprotect(session->evictor_stack, HECA_PAGE_BYTES, PROT_NONE) != 0 ? -ENOMEM
                                                                                                               : 0;
}

static int32_t send_message(const struct session *session, const struct heca_message *message, const int *descriptors,
                            size_t count) {
    union {
        char bytes[CMSG_SPACE(HELLO_DESCRIPTORS * sizeof(int))];
        struct cmsghdr aligned;
    } control = {0};
    struct iovec vector = {(void *)message, sizeof *message};
    struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
    if (count != 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(rights), descriptors, count * sizeof(int));
    }

    while (sendmsg(session->socket, &header, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) {
            return -ENOTCONN;
        }
    }

    return 0;
}

static int32_t receive_message(const struct session *session, struct heca_message *message,
                               int received[HECA_ANSWER_DESCRIPTORS]) {
    union {
        char bytes[CMSG_SPACE(HELLO_DESCRIPTORS * sizeof(int))];
        struct cmsghdr aligned;
    } control;
    struct iovec vector = {message, sizeof *message};
    struct msghdr header = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t bytes;
    do {
        bytes = recvmsg(session->socket, &header, MSG_CMSG_CLOEXEC);
    } while (bytes < 0 && errno == EINTR);
    if (bytes <= 0) {
        return -ENOTCONN;
    }

    size_t got = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part != NULL; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }

        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(part) + i * sizeof(int), sizeof descriptor);
            if (got < HECA_ANSWER_DESCRIPTORS) {
                received[got++] = descriptor;
            } else {
                close(descriptor); /* more than was agreed on */
            }
        }
    }

    return bytes == sizeof *message && (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 ? 0 : -EPROTO;
}

static int32_t exchange(struct session *session, struct heca_message *message, const int *descriptors, size_t count,
                        int *answered) {
    message->magic = HECA_HANDOVER_MAGIC;
    message->version = HECA_HANDOVER_VERSION;
    message->sequence = ++session->sequence;
    message->status = 0;
    struct heca_message answer = {0};
    int received[HECA_ANSWER_DESCRIPTORS] = {-1, -1};
    int32_t status = send_message(session, message, descriptors, count);
    if (status == 0) {
        status = receive_message(session, &answer, received);
    }

    if (status == 0 && (answer.magic != HECA_HANDOVER_MAGIC || answer.version != HECA_HANDOVER_VERSION ||
                        answer.kind != message->kind || answer.sequence != message->sequence || answer.status > 0)) {
        status = -EPROTO;
    }

    if (status == 0) {
        *message = answer;
        status = answer.status;
    }

    for (size_t i = 0; i < HECA_ANSWER_DESCRIPTORS; i++) {
        if (status == 0 && answered != NULL) {
            answered[i] = received[i];
        } else {
            heca_close(&received[i]);
        }
    }

    return status;
}

/* To be told of forks is a privilege (CAP_SYS_PTRACE) that a pager for all users has. */
static int32_t have_enabled(struct session *session) {
    struct heca_message enable = {.kind = HECA_MESSAGE_ENABLE, .value0 = session->userfault.features};
    return session->userfault.descriptor < 0 ? -EPERM
                                             : exchange(session, &enable, &session->userfault.descriptor, 1, NULL);
}

static int32_t open_memory(struct session *session) {
    bool can_move = false;
    int32_t status = heca_staging_open(&session->staging, &can_move);
    if (status != 0) {
        return status;
    }

    /* Event features only where they are asked for: an address-space event makes every call on the descriptor fail
     * until the pager has read it. And only with UFFDIO_MOVE: MADV_DONTNEED by the evictor would be such an event. */
    const char *changes = getenv("HECA_CHANGES");
    bool captures = heca_capture_is_wanted();
    bool can_change = can_move && (captures || (changes != NULL && strcmp(changes, "told") == 0));
    if (captures && !can_change) {
        return -ENOTSUP;
    }

    if (captures) {
        heca_capture_find_variables(session->variables);
    }

    /* Without EVENT_FORK a child would find zeros where pages are not here; with it, it waits. */
    uint64_t events = (captures ? UFFD_FEATURE_EVENT_FORK : 0) | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE |
                      UFFD_FEATURE_EVENT_UNMAP;
    session->userfault.features = UFFD_FEATURE_THREAD_ID | HECA_UFFD_FEATURE_EXACT_ADDRESS | HECA_UFFD_FEATURE_POISON |
                                  (can_change ? events : UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    status = heca_userfault_new(&session->userfault.features, &session->userfault.descriptor);
    status = status != 0 ? status : heca_userfault_enable(session->userfault.descriptor, session->userfault.features);
    if (status == -EPERM && captures) {
        status = have_enabled(session);
    }

    if (status != 0) {
        return status;
    }

    session->can = HECA_CAN_RESIZE | (can_move ? HECA_CAN_MOVE : 0) | (captures ? HECA_CAN_CAPTURE : 0);
    if (can_change) {
        if ((session->userfault.features & events) != events) {
            return -EPERM;
        }

        session->can |= HECA_CAN_CHANGE;
        status = heca_staging_open_gate(&session->staging, session->userfault.descriptor);
        if (status != 0) {
            return status;
        }

        session->touched = mmap(NULL, HECA_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (session->touched == MAP_FAILED) {
            return -ENOMEM;
        }

        madvise(session->touched, HECA_PAGE_BYTES, MADV_NOHUGEPAGE); /* alone in its mapping */
    }

    if ((session->userfault.features & UFFD_FEATURE_PAGEFAULT_FLAG_WP) != 0) {
        session->can |= HECA_CAN_WP;
    } else if (!can_move) {
        return -EPERM; /* older than 5.7: no way to take a page without losing a write; `heca check` says so */
    }

    if ((session->userfault.features & HECA_UFFD_FEATURE_POISON) != 0) {
        session->can |= HECA_CAN_POISON;
    }

    return 0;
}

/* The evictor carries out what a dead pager has ordered. Who had asked for it may use the memory as soon as it is told:
 * a page that was dropped after that would take along what had been written to it since. */
static void await_orders(const struct session *session) {
    const struct heca_ring *ring = session->ring;
    while (ring != NULL && __atomic_load_n(&ring->commands_tail, __ATOMIC_ACQUIRE) !=
                               __atomic_load_n(&ring->commands_head, __ATOMIC_ACQUIRE)) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
}

/* For who holds the lock, and keeps it: nobody else may be in the midst of a call when this one goes on. The evictor
 * finds another pager without it, and empties the ring before. False when none comes: the program is being stopped. */
static bool await_next_pager(struct session *session) {
    uint32_t before = __atomic_load_n(&session->resumptions, __ATOMIC_ACQUIRE);
    __atomic_store_n(&session->awaits_pager, true, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&session->resumptions, __ATOMIC_ACQUIRE) == before &&
           !__atomic_load_n(&session->is_abandoned, __ATOMIC_ACQUIRE)) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }

    __atomic_store_n(&session->awaits_pager, false, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&session->resumptions, __ATOMIC_ACQUIRE) != before;
}

int32_t heca_session_request(struct session *session, struct heca_message *message) {
    const struct heca_message asked = *message;
    int32_t status = exchange(session, message, NULL, 0, NULL);
    while (status == -ENOTCONN && session->tables >= 0 && await_next_pager(session)) {
        /* It is done, or not, or a part of it: to do it again does no harm. */
        *message = asked;
        status = exchange(session, message, NULL, 0, NULL);
    }

    if (status == -ENOTCONN) {
        await_orders(session);
    }

    return status;
}

int32_t heca_session_say_hello(struct session *session, int answered[HECA_ANSWER_DESCRIPTORS]) {
    struct heca_message hello = {
        .kind = HECA_MESSAGE_HELLO,
        .address = (uintptr_t)session->staging.base,
        .bytes = HECA_STAGING_PAGES * HECA_PAGE_BYTES,
        .value1 = (uint64_t)getpid(),
        .value2 = session->can,
    };
    if ((session->can & HECA_CAN_CAPTURE) != 0) {
        hello.value3 = (uintptr_t)session->touched;
        heca_capture_keep_out(session, hello.payload);
    }

    /* Of a forked child its first pager has the first; the last it has only where there was a pager before. */
    int descriptors[HELLO_DESCRIPTORS] = {session->userfault.descriptor, session->ring_descriptor,
                                          session->commands_event, session->completions_event, session->tables};
    bool is_resumed = (session->can & HECA_IS_RESUMED) != 0;
    int first = (session->can & HECA_IS_FORKED) != 0 && !is_resumed;
    int end = is_resumed ? HELLO_DESCRIPTORS : HELLO_DESCRIPTORS - 1;
    int32_t status = exchange(session, &hello, descriptors + first, (size_t)(end - first), answered);
    if (status != 0) {
        return status;
    }

    session->stop_after_ms = session->has_override ? session->override_ms : hello.value0;
    return 0;
}

/* Out of the way of programs that count on low numbers: shells redirect to them without asking. */
void heca_session_raise_descriptors(struct session *session) {
    struct rlimit limit;
    int *own[] = {&session->socket,
                  &session->ring_descriptor,
                  &session->commands_event,
                  &session->completions_event,
                  &session->tables,
                  &session->self,
                  &session->userfault.descriptor,
                  &session->staging.userfault.descriptor};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 4 * RAISED_DESCRIPTORS) {
        return;
    }

    uint64_t most = limit.rlim_cur < DESCRIPTORS_MAX ? limit.rlim_cur : DESCRIPTORS_MAX;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        int raised = *own[i] < 0 || *own[i] >= (int)most - RAISED_DESCRIPTORS
                         ? -1
                         : fcntl(*own[i], F_DUPFD_CLOEXEC, (int)most - RAISED_DESCRIPTORS);
        if (raised >= 0) {
            syscall(SYS_close, *own[i]);
            *own[i] = raised;
        }
    }
}

static void before_fork(void) {
    heca_fork_prepare(&heca_session);
}

static void after_fork(void) {
    heca_fork_leave(&heca_session);
}

extern void *__dso_handle __attribute__((visibility("hidden")));

static void watch_forks(void) {
    (void)heca_register_atfork(before_fork, after_fork, after_fork_in_child, __dso_handle);
}

void heca_watch_forks(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
}

/* Once, since the evictor must not look: a program can have its environment in memory that is the pager's by then. */
static void read_environment(struct session *session) {
    const char *path = getenv("HECA_SOCKET");
    if (path != NULL && strlen(path) < sizeof session->path) {
        strcpy(session->path, path);
    }

    const char *override = getenv("HECA_STOP_AFTER_MS");
    session->has_override = override != NULL && *override >= '0' && *override <= '9';
    session->override_ms = session->has_override ? strtoull(override, NULL, 10) : 0;
}

static int32_t start(struct session *session) {
    heca_watch_forks();
    read_environment(session);
    session->process = getpid();
    session->self = (int)syscall(SYS_pidfd_open, session->process, 0);
    int32_t status = heca_session_connect(session);
    status = status != 0 ? status : open_memory(session);
    status = status != 0 ? status : heca_session_make_ring(session);
    status = status != 0 ? status : heca_session_make_evictor_stack(session);
    if (status == 0 && (session->can & HECA_CAN_CAPTURE) != 0) {
        heca_session_raise_descriptors(session);
    }

    int answered[HECA_ANSWER_DESCRIPTORS] = {-1, -1};
    status = status != 0 ? status : heca_session_say_hello(session, answered);
    session->tables = answered[0];
    heca_close(&answered[1]);
    if (status == 0 && (session->can & HECA_CAN_CAPTURE) != 0) {
        heca_session_raise_descriptors(session); /* the one that came */
    }

    status = status != 0 ? status : heca_evictor_start(session);
    if (status != 0) {
        heca_session_close_all(session);
        session->process = 0;
        return status;
    }

    session->ready = true;
    return 0;
}

/* What of the ring was between this process and the pager that has died; not what the program itself keeps there. */
static void renew_ring(struct heca_ring *ring) {
    ring->commands_head = ring->commands_tail = 0;
    ring->completions_head = ring->completions_tail = 0;
    ring->evictor_sleeping = ring->pager_sleeping = 0;
    ring->evictor_moving = ring->pager_reading = 0;
    ring->fork_acknowledged = ring->fork_asked;
}

static int32_t resume(struct session *session) {
    int32_t status = heca_session_connect(session);
    if (status != 0) {
        return status;
    }

    int answered[HECA_ANSWER_DESCRIPTORS] = {-1, -1};
    renew_ring(session->ring);
    session->can |= HECA_IS_RESUMED;
    session->sequence = 0;
    status = heca_session_say_hello(session, answered);
    heca_close(&answered[1]);
    if (status == 0 && answered[0] < 0) {
        status = -EPROTO;
    }

    if (status != 0) {
        return status;
    }

    int before = session->tables;
    session->tables = answered[0];
    heca_close(&before);
    struct heca_message resumed = {.magic = HECA_HANDOVER_MAGIC,
                                   .version = HECA_HANDOVER_VERSION,
                                   .kind = HECA_MESSAGE_RESUMED,
                                   .sequence = ++session->sequence};
    return send_message(session, &resumed, NULL, 0);
}

int32_t heca_session_resume(struct session *session) {
    /* Who holds it waits for the next pager; or is in fork, or has yet to find out: then it lets go, or waits, soon. */
    bool is_locked = session->tables >= 0 && pthread_mutex_trylock(&session->lock) == 0;
    if (session->tables < 0 || (!is_locked && !__atomic_load_n(&session->awaits_pager, __ATOMIC_SEQ_CST))) {
        return -EAGAIN;
    }

    int dead = session->socket;
    session->socket = -1;
    int32_t status = resume(session);
    if (status != 0) {
        heca_close(&session->socket);
        session->socket = dead;
    } else {
        heca_close(&dead);
        if ((session->can & HECA_CAN_CAPTURE) != 0) {
            heca_session_raise_descriptors(session);
        }
    }

    if (status == 0) {
        __atomic_add_fetch(&session->resumptions, 1, __ATOMIC_RELEASE); /* who waits goes on */
    }

    if (is_locked) {
        pthread_mutex_unlock(&session->lock);
    }

    return status;
}

int32_t heca_session_enter(int *cancel_state) {
    struct session *session = &heca_session;

    /* Looked at before the lock, which in a forked child may be held for ever. The id also tells a child that was made
     * without fork handlers (a bare clone system call). */
    pid_t process = __atomic_load_n(&session->process, __ATOMIC_RELAXED);
    if (process != 0 && process != getpid()) {
        return -ENOTCONN;
    }

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel_state);
    pthread_mutex_lock(&session->lock);
    int32_t status = session->ready ? 0 : start(session);
    if (status != 0) {
        heca_session_leave(*cancel_state);
    }

    return status;
}

void heca_session_leave(int cancel_state) {
    pthread_mutex_unlock(&heca_session.lock);
    pthread_setcancelstate(cancel_state, NULL);
}
