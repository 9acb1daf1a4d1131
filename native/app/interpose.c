/*
 * interpose.c: the functions of the C library that the preloaded library stands in for. In a program that is not
 * captured they do what they would without it. Calls that the C library makes itself do not come here; where one of
 * them matters, the comments say why it may be missed.
 */
#include "internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pty.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define HECA_MADV_DONTNEED_LOCKED 24 /* 5.18 */

#define EXPORT __attribute__((visibility("default")))

static bool is_session_of_this_process(void) {
    return __atomic_load_n(&heca_session.process, __ATOMIC_RELAXED) == getpid();
}

static bool captures(void) {
    return (heca_session.can & HECA_CAN_CAPTURE) != 0 && is_session_of_this_process();
}

static bool has_captured(void) {
    return captures() && heca_session.ring != NULL &&
           __atomic_load_n(&heca_session.ring->has_captured, __ATOMIC_RELAXED) != 0;
}

/* ------------------------------------------------------------------------------------------------ fork */

/* The handlers of fork have run when these go on: in a child the C library is whole again, and its evictor can be
 * started. Of a child that is made in another way the pages that are here stay here. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

EXPORT pid_t fork(void) {
    static pid_t (*next)(void);
    if (next == NULL) {
        next = NEXT(fork);
    }

    pid_t child = next();
    if (child == 0) {
        heca_fork_finish(&heca_session);
    }

    return child;
}

EXPORT int daemon(int keep_directory, int keep_streams) {
    int status = NEXT(daemon)(keep_directory, keep_streams);
    heca_fork_finish(&heca_session);
    return status;
}

EXPORT pid_t forkpty(int *terminal, char *name, const struct termios *attributes, const struct winsize *size) {
    pid_t child = NEXT(forkpty)(terminal, name, attributes, size);
    if (child == 0) {
        heca_fork_finish(&heca_session);
    }

    return child;
}

/* Whoever registers a handler, those of this library are before it. So in prepare they run last, when other libraries
 * have taken their locks: a thread that holds one may be at the gate of madvise, which they close. And in the child
 * they run first: the others may touch pages that are not here. pthread_atfork is not in the C library, but in every
 * object that calls it. */
EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object) {
    heca_watch_forks();
    return heca_register_atfork(prepare, parent, child, object);
}

int heca_register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object) {
    static int (*next)(void (*)(void), void (*)(void), void (*)(void), void *);
    if (next == NULL) {
        next = (__typeof__(next))dlsym(RTLD_NEXT, "__register_atfork");
    }

    return next == NULL ? ENOSYS : next(prepare, parent, child, object);
}

/* ------------------------------------------------------------------------------------------------ madvise */

__thread bool heca_is_evictor;

/* A fork that runs beside a madvise: nobody could tell the pager whether the child has the pages or not. Those that the
 * C library makes itself, of free memory, may be missed: it counts on nothing that it finds there. */
static uint32_t gate_is_closed;
static uint32_t inside_gate;

/* A handler of a signal that came within madvise can fork: it waits no longer than this. */
#define GATE_WAITS_MAX 10000

void heca_gate_close(void) {
    __atomic_store_n(&gate_is_closed, 1, __ATOMIC_SEQ_CST);
    for (int waits = 0; waits < GATE_WAITS_MAX && __atomic_load_n(&inside_gate, __ATOMIC_SEQ_CST) != 0; waits++) {
        struct timespec pause = {.tv_nsec = 20000};
        nanosleep(&pause, NULL);
    }
}

void heca_gate_open(void) {
    __atomic_store_n(&gate_is_closed, 0, __ATOMIC_SEQ_CST);
}

void heca_gate_reset(void) {
    gate_is_closed = 0;
    inside_gate = 0;
}

static void pass_gate(void) {
    for (;;) {
        __atomic_add_fetch(&inside_gate, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&gate_is_closed, __ATOMIC_SEQ_CST) == 0) {
            return;
        }

        __atomic_sub_fetch(&inside_gate, 1, __ATOMIC_SEQ_CST);
        struct timespec pause = {.tv_nsec = 20000};
        nanosleep(&pause, NULL);
    }
}

static bool drops_pages(int advice) {
    return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
           advice == HECA_MADV_DONTNEED_LOCKED;
}

/* Pages given up with MADV_FREE stay until the kernel wants them, and count for nobody meanwhile. What a child is to
 * find empty, the pager does not know of: programs that ask for it have another way for older kernels. */
EXPORT int madvise(void *address, size_t bytes, int advice) {
    if (heca_is_evictor || !has_captured()) {
        return (int)syscall(SYS_madvise, address, bytes, advice);
    }

    if (advice == MADV_WIPEONFORK) {
        errno = EINVAL;
        return -1;
    }

    if (!drops_pages(advice)) {
        return (int)syscall(SYS_madvise, address, bytes, advice);
    }

    pass_gate();
    int status = (int)syscall(SYS_madvise, address, bytes, advice == MADV_FREE ? MADV_DONTNEED : advice);
    __atomic_sub_fetch(&inside_gate, 1, __ATOMIC_SEQ_CST);
    return status;
}

/* ------------------------------------------------------------------------------------------------ mremap */

static bool copy(char *to, const char *from, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
        struct iovec target = {to + done, bytes - done}, source = {(void *)(from + done), bytes - done};
        ssize_t copied = process_vm_readv(getpid(), &target, 1, &source, 1, 0);
        if (copied <= 0) {
            return false;
        }

        done += (size_t)copied;
    }

    return true;
}

/* Of a range that was mapped: what of its beginning is no more. From Linux 6.17 on the kernel moves several mappings
 * one by one, and has moved the first of them when it refuses another. */
static size_t moved_already(char *from, size_t bytes) {
    size_t low = 0, high = bytes / HECA_PAGE_BYTES;
    while (low < high) {
        unsigned char ignored;
        size_t middle = low + (high - low) / 2;
        if (mincore(from + middle * HECA_PAGE_BYTES, HECA_PAGE_BYTES, &ignored) != 0 && errno == ENOMEM) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }

    return low * HECA_PAGE_BYTES;
}

static void *move_by_copy(char *from, size_t before, size_t after, int flags, char *target) {
    bool is_fixed = (flags & MREMAP_FIXED) != 0;
    if ((flags & MREMAP_MAYMOVE) == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }

    /* Only a move to a fixed place, of the same length, can have begun. */
    size_t done = is_fixed && before == after ? moved_already(from, before) : 0;
    from += done;
    before -= done;
    after -= done;
    char *to = mmap(is_fixed ? target + done : target, after, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | (is_fixed ? MAP_FIXED : 0), -1, 0);
    if (to == MAP_FAILED) {
        return MAP_FAILED;
    }

    if (!copy(to, from, before < after ? before : after)) {
        munmap(to, after);
        errno = EFAULT;
        return MAP_FAILED;
    }

    if ((flags & MREMAP_DONTUNMAP) != 0) {
        madvise(from, before, MADV_DONTNEED);
    } else {
        munmap(from, before);
    }

    return to - done;
}

/* What of a move that was refused is done already can be seen only where the source is unmapped. */
static void *move_and_map_anew(char *from, size_t before, size_t after, int flags, char *target) {
    int plain = flags & ~MREMAP_DONTUNMAP;
    if (before != after) {
        errno = EINVAL;
        return MAP_FAILED;
    }

    void *moved = (void *)syscall(SYS_mremap, from, before, after, plain, target);
    if (moved == MAP_FAILED && errno == EFAULT && before != 0) {
        moved = move_by_copy(from, before, after, plain, target);
    }

    if (moved != MAP_FAILED) {
        (void)!mmap(from, before, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    }

    return moved;
}

/* The kernel refuses (EFAULT) to move what is not one mapping. A mapping of the program's of which only a part is the
 * pager's is two of them: until the pager has the rest, or for good where each had pages before they were the same.
 * The pager takes only memory that is private, anonymous and writable, of which a copy is as good. Where the C library
 * itself moves a mapping, in realloc, it copies as well when that fails. */
EXPORT void *mremap(void *address, size_t before, size_t after, int flags, ...) {
    void *target = NULL;
    if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        target = va_arg(arguments, void *);
        va_end(arguments);
    }

    if ((flags & MREMAP_DONTUNMAP) != 0 && (flags & MREMAP_FIXED) != 0 && has_captured()) {
        return move_and_map_anew(address, before, after, flags, target);
    }

    /* Asked afterwards: the pager may have begun just now, and the mapping is two by that. */
    void *moved = (void *)syscall(SYS_mremap, address, before, after, flags, target);
    return moved == MAP_FAILED && errno == EFAULT && before != 0 && has_captured()
               ? move_by_copy(address, before, after, flags, target)
               : moved;
}

/* ------------------------------------------------------------------------------------------------ stacks */

struct start {
    void *(*routine)(void *);
    void *argument;
};

/* Of the calling thread, in the table; a child has another table. */
static __thread int own_stack __attribute__((tls_model("initial-exec"))) = -1;

struct heca_range *heca_own_stack(const struct session *session) {
    return own_stack < 0 ? NULL : &session->ring->stacks[own_stack];
}

static void publish(struct heca_range *range) {
    pthread_attr_t attributes;
    void *stack = NULL;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        (void)pthread_attr_getstack(&attributes, &stack, &bytes);
        pthread_attr_destroy(&attributes);
    }

    range->bytes = bytes;
    __atomic_store_n(&range->address, (uintptr_t)stack, __ATOMIC_RELEASE);
}

static int claim(void) {
    for (int i = 0; i < HECA_STACKS_MAX; i++) {
        uint64_t none = 0;
        if (__atomic_compare_exchange_n(&heca_session.ring->stacks[i].address, &none, UINT64_MAX, false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            return i;
        }
    }

    return -1;
}

static void withdraw(void *unused) {
    (void)unused;
    if (is_session_of_this_process()) {
        __atomic_store_n(&heca_own_stack(&heca_session)->address, 0, __ATOMIC_RELEASE);
    }
}

static void *begin_thread(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    own_stack = claim();
    if (own_stack < 0) {
        return start.routine(start.argument);
    }

    void *result;
    publish(heca_own_stack(&heca_session));
    pthread_cleanup_push(withdraw, NULL);
    result = start.routine(start.argument);
    pthread_cleanup_pop(1);
    return result;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *),
                          void *argument) {
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (next == NULL) {
        next =
            (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT, "pthread_create");
    }

    struct start *start = captures() ? malloc(sizeof *start) : NULL;
    if (start == NULL) {
        return next(thread, attributes, routine, argument);
    }

    *start = (struct start){routine, argument};
    int status = next(thread, attributes, begin_thread, start);
    if (status != 0) {
        free(start);
    }

    return status;
}

/* ------------------------------------------------------------------------------------------------ descriptors */

/* Programs that become daemons close whatever is open. Without these the session is over, and the memory with it. */
static int lowest_own(int first, int last) {
    const struct session *session = &heca_session;
    const int own[] = {session->socket,
                       session->ring_descriptor,
                       session->commands_event,
                       session->completions_event,
                       session->tables,
                       session->self,
                       session->userfault.descriptor,
                       session->staging.userfault.descriptor};
    int lowest = INT_MAX;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        lowest = own[i] >= first && own[i] <= last && own[i] < lowest ? own[i] : lowest;
    }

    return lowest;
}

EXPORT int close(int descriptor) {
    if (descriptor >= 0 && captures() && lowest_own(descriptor, descriptor) != INT_MAX) {
        return 0;
    }

    return (int)syscall(SYS_close, descriptor);
}

EXPORT int dup3(int from, int to, int flags) {
    if (to >= 0 && captures() && lowest_own(to, to) != INT_MAX) {
        errno = EBUSY;
        return -1;
    }

    return (int)syscall(SYS_dup3, from, to, flags);
}

EXPORT int dup2(int from, int to) {
    if (from == to) {
        return fcntl(from, F_GETFD) < 0 ? -1 : to; /* which dup3 refuses */
    }

    return dup3(from, to, 0);
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags) {
    if (!captures() || first > INT_MAX) {
        return (int)syscall(SYS_close_range, first, last, flags);
    }

    int end = last > INT_MAX ? INT_MAX : (int)last;
    for (int at = (int)first; at <= end;) {
        int own = lowest_own(at, end);
        int until = own == INT_MAX ? end : own - 1;
        if (until >= at && syscall(SYS_close_range, at, until, flags) != 0) {
            return -1;
        }

        if (own == INT_MAX) {
            break;
        }

        at = own + 1;
    }

    return 0;
}

EXPORT void closefrom(int first) {
    (void)close_range(first < 0 ? 0u : (unsigned int)first, UINT_MAX, 0);
}
