/* userfault.c: making userfaultfds, and the calls on them that need retries. */
#include "internal.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* EAGAIN means that a page is locked or the address space is changing: both end within microseconds. The bound turns a
 * kernel that never gets ready into an error instead of a thread that spins for ever. */
#define MOVE_RETRIES_MAX 10000

static int32_t make_descriptor(int *descriptor) {
    /* Not USER_MODE_ONLY: a read(2) into a missing page must wait for the pager as a load does. */
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device >= 0) {
        *descriptor = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
        close(device);
        if (*descriptor >= 0) {
            return 0;
        }
    }

    *descriptor = (int)syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (*descriptor >= 0) {
        return 0;
    }

    /* A kernel built without userfaultfd forbids it just as thoroughly, and `heca check` tells the two apart. */
    return errno == ENOSYS || errno == EACCES ? -EPERM : -errno;
}

int32_t heca_userfault_new(uint64_t *features, int *descriptor) {
    /* UFFDIO_API refuses features that the kernel lacks and works once per descriptor: the first one asks, the second
     * is the one to keep. */
    int asking = -1;
    int32_t status = make_descriptor(&asking);
    if (status != 0) {
        return status;
    }

    struct uffdio_api known = {.api = UFFD_API};
    status = ioctl(asking, UFFDIO_API, &known) == 0 ? 0 : -errno;
    close(asking);
    if (status != 0) {
        return status;
    }

    *features &= known.features;
    return make_descriptor(descriptor);
}

int32_t heca_userfault_enable(int descriptor, uint64_t features) {
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    return ioctl(descriptor, UFFDIO_API, &api) == 0 ? 0 : -errno;
}

int32_t heca_userfault_open(uint64_t features, struct userfault *out) {
    int descriptor = -1;
    int32_t status = heca_userfault_new(&features, &descriptor);
    if (status == -EPERM) {
        /* Nobody's faults are to be answered on this one: what any user may make will do. A forked child whose parent
         * has given up its rights has no other. */
        descriptor = (int)syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
        status = descriptor >= 0 ? 0 : -EPERM;
    }

    status = status != 0 ? status : heca_userfault_enable(descriptor, features);
    if (status != 0) {
        heca_close(&descriptor);
        return status;
    }

    out->features = features;
    out->descriptor = descriptor;
    return 0;
}

int32_t heca_userfault_register(int descriptor, const void *address, uint64_t bytes, uint64_t mode) {
    struct uffdio_register range = {.range = {(uintptr_t)address, bytes}, .mode = mode};
    return ioctl(descriptor, UFFDIO_REGISTER, &range) == 0 ? 0 : -errno;
}

void heca_userfault_unregister(int descriptor, const void *address, uint64_t bytes) {
    struct uffdio_range range = {(uintptr_t)address, bytes};
    (void)ioctl(descriptor, UFFDIO_UNREGISTER, &range);
}

uint64_t heca_userfault_try_move(int descriptor, void *target, const void *source, uint64_t bytes, int32_t *status) {
    struct heca_uffdio_move move = {.dst = (uintptr_t)target, .src = (uintptr_t)source, .len = bytes};
    *status = ioctl(descriptor, HECA_UFFDIO_MOVE, &move) == 0 ? 0 : -errno;
    return *status == 0 ? bytes : move.move > 0 ? (uint64_t)move.move : 0;
}

uint64_t heca_userfault_move(int descriptor, void *target, const void *source, uint64_t bytes, int32_t *status) {
    uint64_t moved = 0;
    *status = 0;
    for (int retries = 0; moved < bytes;) {
        uint64_t more = heca_userfault_try_move(descriptor, (char *)target + moved, (const char *)source + moved,
                                                bytes - moved, status);
        moved += more;
        if (*status != 0 && more == 0) {
            if (*status != -EAGAIN || ++retries == MOVE_RETRIES_MAX) {
                return moved;
            }

            sched_yield();
        } else {
            /* Stopped half-way (reported as EAGAIN): the reason comes with the next try. */
            retries = 0;
        }
    }

    *status = 0;
    return moved;
}
