/*
 * heca-minipager [--resident PAGES] -- PROGRAM ARGS...: runs a program of heca.h or the C# API against the tests'
 * pager, without a sponsor. For trying libheca by itself; `heca run` is the real thing.
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

int main(int argc, char **argv) {
    struct minipager_options options = {.stop_after_ms = 5000, .resident_pages_max = 256};
    int program = 1;
    if (argc > 3 && strcmp(argv[1], "--resident") == 0) {
        options.resident_pages_max = strtoull(argv[2], NULL, 10);
        program = 3;
    }

    if (program >= argc - 1 || strcmp(argv[program], "--") != 0) {
        fprintf(stderr, "usage: heca-minipager [--resident PAGES] -- PROGRAM [ARGS...]\n");
        return 2;
    }

    char directory[] = "/tmp/heca-minipager-XXXXXX";
    if (mkdtemp(directory) == NULL) {
        perror("heca-minipager: mkdtemp");
        return 1;
    }

    char path[64];
    snprintf(path, sizeof path, "%s/socket", directory);
    int listener = minipager_listen(path);
    sigset_t child_ended;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_ended, NULL);
    pid_t server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct minipager_counts counts = minipager_serve(listener, &options);
        fprintf(stderr, "heca-minipager: %llu faults, %llu pages taken, %llu dropped\n",
                (unsigned long long)counts.faults, (unsigned long long)counts.pages_taken,
                (unsigned long long)counts.pages_dropped);
        return 0;
    }

    close(listener);
    pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_UNBLOCK, &child_ended, NULL);
        setenv("HECA_SOCKET", path, 1);
        execvp(argv[program + 1], argv + program + 1);
        perror(argv[program + 1]);
        _exit(127);
    }

    int status = 0, served = 0;
    waitpid(child, &status, 0);
    unlink(path);
    rmdir(directory);
    /* The pager's session ends with the program; a program that never called leaves it waiting for one. */
    struct timespec limit = {.tv_sec = 5};
    while (waitpid(server, &served, WNOHANG) == 0) {
        if (sigtimedwait(&child_ended, NULL, &limit) < 0) {
            kill(server, SIGKILL);
        }
    }

    if (served != 0) {
        fprintf(stderr, "heca-minipager: the pager ended with status %d\n", served);
    }

    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
