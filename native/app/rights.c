/*
 * rights.c: capabilities are a thread's, users and groups a program's: the C library changes those in every thread, and
 * aborts where one thread may and another may not. A program with one thread never meets that; so that it does not with
 * libheca's, the evictor has the rights that the program's one thread has.
 */
#include "internal.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* "." and "..", the program's thread, the evictor. */
#define ENTRIES_ALONE 4

#define CAPABILITY_WORDS 2

/* An evictor that looks for its next pager looks here twenty times a second. */
#define WAITS_MAX 10000
#define WAIT_NS 20000

/* Of libheca's own memory, since the evictor reads it. */
static struct {
    uint32_t asked, done;
    bool is_control; /* prctl(option, value); else capset(capabilities) */
    int option;
    unsigned long value;
    struct __user_cap_data_struct capabilities[CAPABILITY_WORDS];
} change;

void heca_rights_follow(void) {
    uint32_t asked = __atomic_load_n(&change.asked, __ATOMIC_ACQUIRE);
    if (asked == change.done) {
        return;
    }

    if (change.is_control) {
        syscall(SYS_prctl, change.option, change.value, 0, 0, 0);
    } else {
        struct __user_cap_header_struct self = {.version = _LINUX_CAPABILITY_VERSION_3};
        syscall(SYS_capset, &self, change.capabilities);
    }

    __atomic_store_n(&change.done, asked, __ATOMIC_RELEASE);
}

static bool is_alone_with_evictor(void) {
    struct stat tasks;
    return heca_session.ready && heca_session.process == getpid() && !heca_is_evictor &&
           stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == ENTRIES_ALONE;
}

static void have_evictor_follow(void) {
    uint32_t asked = change.asked + 1;
    __atomic_store_n(&change.asked, asked, __ATOMIC_RELEASE);
    uint64_t one = 1;
    (void)!write(heca_session.commands_event, &one, sizeof one);
    for (int waits = 0; waits < WAITS_MAX && __atomic_load_n(&change.done, __ATOMIC_ACQUIRE) != asked; waits++) {
        struct timespec pause = {.tv_nsec = WAIT_NS};
        nanosleep(&pause, NULL);
    }
}

EXPORT int capset(cap_user_header_t header, const cap_user_data_t data) {
    int status = (int)syscall(SYS_capset, header, data);
    int before = errno;
    if (status == 0 && data != NULL && header->version == _LINUX_CAPABILITY_VERSION_3 && is_alone_with_evictor()) {
        change.is_control = false;
        memcpy(change.capabilities, data, sizeof change.capabilities);
        have_evictor_follow();
    }

    errno = before;
    return status;
}

EXPORT int prctl(int option, ...) {
    unsigned long values[4];
    va_list more;
    va_start(more, option);
    for (int i = 0; i < 4; i++) {
        values[i] = va_arg(more, unsigned long);
    }
    va_end(more);

    int status = (int)syscall(SYS_prctl, option, values[0], values[1], values[2], values[3]);
    int before = errno;
    if (status >= 0 && (option == PR_SET_KEEPCAPS || option == PR_SET_SECUREBITS) && is_alone_with_evictor()) {
        change.is_control = true;
        change.option = option;
        change.value = values[0];
        have_evictor_follow();
    }

    errno = before;
    return status;
}
