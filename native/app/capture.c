/*
 * capture.c: the library preloaded (LD_PRELOAD) into a program that knows nothing of it. When the program starts it
 * opens the session, no more: which memory becomes the pager's, and when, the pager decides, and does it from outside.
 */
#include "internal.h"

#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As a shell's when a program cannot be executed. */
#define EXIT_NOT_STARTED 126

/* HECA_CAPTURE: "PID", the process whose children are captured, or "all:PID", all that come of them as well. */
#define ALL "all:"

bool heca_capture_follows(void) {
    const char *wanted = getenv("HECA_CAPTURE");
    return wanted != NULL && strncmp(wanted, ALL, strlen(ALL)) == 0;
}

static bool is_started_by_heca(void) {
    const char *wanted = getenv("HECA_CAPTURE");
    return wanted != NULL && strtol(wanted + (heca_capture_follows() ? strlen(ALL) : 0), NULL, 10) == getppid();
}

bool heca_capture_is_wanted(void) {
    return heca_capture_follows() || is_started_by_heca();
}

static void keep_out(uint64_t *pairs, int count, const void *address, uint64_t bytes) {
    for (int i = 0; i < count; i += 2) {
        if (pairs[i] == 0) {
            pairs[i] = (uintptr_t)address;
            pairs[i + 1] = bytes;
            return;
        }
    }
}

/* Variables of this library, and of those that the evictor calls: what of them has no place in a file can lie in one
 * mapping with memory of the program. */
static int keep_out_variables(struct dl_phdr_info *object, size_t size, void *pairs) {
    uint64_t here = (uintptr_t)&heca_session;
    bool is_called = strstr(object->dlpi_name, "/libc.so") != NULL || strstr(object->dlpi_name, "/ld-linux") != NULL;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        uint64_t start = object->dlpi_addr + part->p_vaddr;
        bool is_here = here >= start && here < start + part->p_memsz;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) != 0 && (is_called || is_here)) {
            uint64_t first = start & ~(HECA_PAGE_BYTES - 1);
            uint64_t end = (start + part->p_memsz + HECA_PAGE_BYTES - 1) & ~(HECA_PAGE_BYTES - 1);
            keep_out(pairs, 8, (const void *)(uintptr_t)first, end - first);
        }
    }

    return 0;
}

void heca_capture_find_variables(uint64_t pairs[8]) {
    memset(pairs, 0, 8 * sizeof *pairs);
    dl_iterate_phdr(keep_out_variables, pairs);
}

void heca_capture_keep_out(const struct session *session, uint64_t pairs[16]) {
    keep_out(pairs, 16, session->staging.base, HECA_STAGING_PAGES * HECA_PAGE_BYTES);
    keep_out(pairs, 16, session->staging.gate, HECA_GATE_PAGES * HECA_PAGE_BYTES);
    keep_out(pairs, 16, session->evictor_stack, HECA_EVICTOR_STACK_BYTES);
    for (int i = 0; i < 8; i += 2) {
        keep_out(pairs, 16, (const void *)(uintptr_t)session->variables[i], session->variables[i + 1]);
    }
}

/* The program that was to be captured and cannot be does not run: its user counts on the memory not being here. What it
 * starts itself runs as it would without. */
__attribute__((constructor)) static void begin(void) {
    if (!heca_capture_is_wanted()) {
        return;
    }

    int cancel_state;
    int32_t status = heca_session_enter(&cancel_state);
    if (status != 0 && !is_started_by_heca()) {
        return;
    }

    if (status != 0) {
        fprintf(stderr, "heca: the program's memory cannot be captured: %s%s\n", strerror(-status),
                status == -EPERM
                    ? ": who runs it may not make a userfaultfd (`heca check` as that user says what to do)"
                    : "");
        _exit(EXIT_NOT_STARTED);
    }

    heca_session_leave(cancel_state);
}
