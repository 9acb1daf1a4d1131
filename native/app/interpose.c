/*
 * interpose.c: the functions of the C library that the preloaded library stands in for. In a program that is not
 * captured they do what they would without it. Calls that the C library makes itself do not come here: nothing that
 * must not be missed rests on it, but for fork, of which the pager learns all the same.
 */
#include "internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static bool is_session_of_this_process(void) {
    return __atomic_load_n(&heca_session.process, __ATOMIC_RELAXED) == getpid();
}

static bool captures(void) {
    return (heca_session.can & HECA_CAN_CAPTURE) != 0 && is_session_of_this_process();
}

static bool has_captured(void) {
    return captures() && __atomic_load_n(&heca_session.ring->has_captured, __ATOMIC_RELAXED) != 0;
}

/* A child would need the pages that are not here, and its own evictor. Better no child than one that waits for ever. */
EXPORT pid_t fork(void) {
    static const char text[] = "heca: fork was refused (ENOMEM): a program whose memory is captured cannot fork yet; "
                               "posix_spawn and vfork work\n";
    static bool told;
    if (has_captured()) {
        if (!__atomic_exchange_n(&told, true, __ATOMIC_RELAXED)) {
            (void)!write(STDERR_FILENO, text, sizeof text - 1);
        }

        errno = ENOMEM;
        return -1;
    }

    static pid_t (*next)(void);
    if (next == NULL) {
        next = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
    }

    return next();
}

/* Pages given up with MADV_FREE stay until the kernel wants them, and count for nobody meanwhile. */
EXPORT int madvise(void *address, size_t bytes, int advice) {
    return (int)syscall(SYS_madvise, address, bytes, advice == MADV_FREE && has_captured() ? MADV_DONTNEED : advice);
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

static void *move_by_copy(char *from, size_t before, size_t after, int flags, void *target) {
    if ((flags & MREMAP_MAYMOVE) == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }

    char *to = mmap(target, after, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | ((flags & MREMAP_FIXED) != 0 ? MAP_FIXED : 0), -1, 0);
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

    return to;
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

    void *moved = (void *)syscall(SYS_mremap, address, before, after, flags, target);
    return moved == MAP_FAILED && errno == EFAULT && has_captured()
               ? move_by_copy(address, before, after, flags, target)
               : moved;
}

/* ------------------------------------------------------------------------------------------------ stacks */

struct start {
    void *(*routine)(void *);
    void *argument;
};

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

static struct heca_range *claim(void) {
    for (int i = 0; i < HECA_STACKS_MAX; i++) {
        uint64_t none = 0;
        struct heca_range *range = &heca_session.ring->stacks[i];
        if (__atomic_compare_exchange_n(&range->address, &none, UINT64_MAX, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
            return range;
        }
    }

    return NULL;
}

static void withdraw(void *range) {
    if (is_session_of_this_process()) {
        __atomic_store_n(&((struct heca_range *)range)->address, 0, __ATOMIC_RELEASE);
    }
}

static void *begin_thread(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    struct heca_range *range = claim();
    if (range == NULL) {
        return start.routine(start.argument);
    }

    void *result;
    publish(range);
    pthread_cleanup_push(withdraw, range);
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
