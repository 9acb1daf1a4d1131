/*
 * heca-minipager [--resident PAGES] [--refuse-above BYTES] -- PROGRAM ARGS...
 * heca-minipager [--resident PAGES] [--refuse-above BYTES] --listen PATH
 *
 * The tests' pager as a program: runs PROGRAM, which uses heca.h or the C# API, without a sponsor; or says "listening"
 * and serves the one program that connects to PATH. For trying libheca by itself; `heca run` is the real thing.
 */
#include "minipager.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A program that never connected leaves its pager waiting. */
#define SERVER_END_S 5

static struct minipager_options options = {.stop_after_ms = 5000, .resident_pages_max = 256};

static void serve(int listener) {
    struct minipager_counts counts = minipager_serve(listener, &options);
    fprintf(stderr, "heca-minipager: %llu faults, %llu pages taken, %llu dropped\n", (unsigned long long)counts.faults,
            (unsigned long long)counts.pages_taken, (unsigned long long)counts.pages_dropped);
}

/* The program's exit status, or 1 if it went well and the pager did not. */
static int run(char **program) {
    char directory[] = "/tmp/heca-minipager-XXXXXX", path[64];
    if (mkdtemp(directory) == NULL) {
        perror("heca-minipager: mkdtemp");
        return 1;
    }

    snprintf(path, sizeof path, "%s/socket", directory);
    int listener = minipager_listen(path);
    sigset_t child_ended;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_ended, NULL);
    pid_t server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(listener);
        exit(0);
    }

    close(listener);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigprocmask(SIG_UNBLOCK, &child_ended, NULL);
        setenv("HECA_SOCKET", path, 1);
        execvp(program[0], program);
        perror(program[0]);
        _exit(127);
    }

    int status = 0, served = 0;
    waitpid(child, &status, 0);
    unlink(path);
    rmdir(directory);
    struct timespec limit = {.tv_sec = SERVER_END_S};
    while (waitpid(server, &served, WNOHANG) == 0) {
        if (sigtimedwait(&child_ended, NULL, &limit) < 0) {
            kill(server, SIGKILL);
        }
    }

    int result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result == 0 && served != 0 ? 1 : result;
}

int main(int argc, char **argv) {
    int at = 1;
    for (; at + 1 < argc; at += 2) {
        if (strcmp(argv[at], "--resident") == 0) {
            options.resident_pages_max = strtoull(argv[at + 1], NULL, 10);
        } else if (strcmp(argv[at], "--refuse-above") == 0) {
            options.segment_bytes_max = strtoull(argv[at + 1], NULL, 10);
        } else {
            break;
        }
    }

    if (at + 1 >= argc || (strcmp(argv[at], "--") != 0 && strcmp(argv[at], "--listen") != 0)) {
        fprintf(stderr, "usage: heca-minipager [--resident PAGES] [--refuse-above BYTES] (-- PROGRAM ARGS | --listen "
                        "PATH)\n");
        return 2;
    }

    minipager_require_userfaultfd();
    if (strcmp(argv[at], "--") == 0) {
        return run(argv + at + 1);
    }

    int listener = minipager_listen(argv[at + 1]);
    printf("listening\n");
    fflush(stdout);
    serve(listener);
    unlink(argv[at + 1]);
    return 0;
}
