/* SPDX-License-Identifier: MIT
 *
 * See reexec.h.
 */
#include "server/reexec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "server/inherited.h"

enum {
    TRIAL_SECONDS = 10,
    ANSWER_SIZE = 600,
    LAST_ROUNDS = 2, /* of the loop: one in which it finds a signal, one in which it tells of it */
};

extern char **environ;

/**
 * struct reexec - see reexec.h
 * @program:   path of what this process executes
 * @directory: where it was started: relative paths in its arguments begin there
 * @trial:     PID of the child, 0 if there is none
 * @answer:    what it has said
 * @length:    how much of it
 * @pipe:      where it says it
 * @answered:  event: it says something, or ended, or took too long
 * @rounds:    rounds of the loop until this process becomes the program
 * @last:      event: the next of them; NULL when it is not about to become one
 */
struct reexec {
    struct reexec_setup setup;
    char program[PATH_MAX];
    int directory;
    pid_t trial;
    char answer[ANSWER_SIZE];
    size_t length;
    int pipe;
    struct event *answered;
    int rounds;
    struct event *last;
};

int reexec_new(const struct reexec_setup *setup, struct reexec **out, struct failure *failure)
{
    static const char deleted[] = " (deleted)";
    struct reexec *reexec = calloc(1, sizeof(*reexec));
    ssize_t length;

    if (!reexec)
        return failure_set(failure, ENOMEM, "out of memory");
    reexec->setup = *setup;
    reexec->pipe = -1;
    reexec->directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    length = readlink("/proc/self/exe", reexec->program, sizeof(reexec->program) - 1);
    if (length > (ssize_t)sizeof(deleted) &&
        strcmp(reexec->program + length - (sizeof(deleted) - 1), deleted) == 0)
        reexec->program[length - (ssize_t)(sizeof(deleted) - 1)] = '\0'; /* replaced already */
    *out = reexec;
    return 0;
}

/* Return: a memfd with the list of descriptors, which stands in its own list, or -errno. */
static int make_list(const struct reexec *reexec, int state_fd)
{
    _cleanup_close_ int list = memfd_create("ivshmem-list", MFD_CLOEXEC);
    int copy = list < 0 ? -1 : dup(list);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "w");

    if (!file) {
        close_fd(copy);
        return -errno;
    }
    reexec->setup.list(reexec->setup.argument, state_fd, file);
    if (fclose(file) != 0)
        return -errno;
    return steal_fd(&list);
}

/* Clears or sets CLOEXEC of everything in a list. Plain system calls: used in a forked child. */
static void set_cloexec(int list, int flag)
{
    char bytes[4096];
    off_t at = 0;
    ssize_t got;
    int number = 0, in_number = 1;

    while ((got = pread(list, bytes, sizeof(bytes), at)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            if (in_number && bytes[i] >= '0' && bytes[i] <= '9') {
                number = number * 10 + (bytes[i] - '0');
            } else if (in_number) {
                fcntl(number, F_SETFD, flag);
                in_number = 0;
            }
            if (bytes[i] == '\n') {
                number = 0;
                in_number = 1;
            }
        }
        at += got;
    }
    fcntl(list, F_SETFD, flag);
}

/* The environment with our variables; freed by the caller, the strings stay. */
static char **make_environment(char *list_variable, char *trial_variable)
{
    size_t count = 0, kept = 0;
    char **environment;

    while (environ[count])
        count++;
    environment = calloc(count + 3, sizeof(*environment));
    if (!environment)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "IVSHMEM_", 8) != 0 || strncmp(environ[i], "IVSHMEM_TEST", 12) == 0)
            environment[kept++] = environ[i];
    environment[kept++] = list_variable;
    environment[kept++] = trial_variable;
    return environment;
}

/* Becomes the program, or returns. */
static void execute(const struct reexec *reexec, int list, char *trial_variable)
{
    char list_variable[64];
    char **environment;

    snprintf(list_variable, sizeof(list_variable), INHERITED_LIST "=%d", list);
    environment = make_environment(list_variable, trial_variable);
    if (environment && fchdir(reexec->directory) == 0) {
        set_cloexec(list, 0);
        execve(reexec->program, reexec->setup.argv, environment);
    }
    free(environment);
}

/* Those that server.c handles. */
static void mask_signals(int how)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&set, numbers[i]);
    sigprocmask(how, &set, NULL);
}

void reexec_unblock(void)
{
    mask_signals(SIG_UNBLOCK);
}

/* The trial said yes. On return from here nothing has happened. */
static void become(struct reexec *reexec)
{
    _cleanup_close_ int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int list = make_list(reexec, reexec->setup.state(reexec->setup.argument));

    if (list >= 0 && here >= 0) {
        log_notice("executing %s", reexec->program);
        execute(reexec, list, NULL);
        set_cloexec(list, FD_CLOEXEC);
    }
    log_error("cannot execute %s: %s; going on as before", reexec->program, strerror(errno));
    if (here >= 0 && fchdir(here) < 0)
        log_error("cannot change the directory back: %s", strerror(errno));
}

/* Return: whether the child ended well. It is killed if it has not ended. */
static bool end_trial(struct reexec *reexec)
{
    int status = 1;

    if (reexec->answered)
        event_free(reexec->answered);
    reexec->answered = NULL;
    reexec->pipe = close_fd(reexec->pipe);
    kill(reexec->trial, SIGKILL); /* closes its pipe last: one that is still there hangs */
    while (waitpid(reexec->trial, &status, 0) < 0 && errno == EINTR)
        continue;
    reexec->trial = 0;
    return strncmp(reexec->answer, "yes", 3) == 0;
}

/* The trial is over: with a yes this process becomes the program, if now is a good moment. */
static void decide(struct reexec *reexec, bool yes)
{
    const char *reason = "it did not answer";

    reexec->answer[strcspn(reexec->answer, "\n")] = '\0';
    if (yes && reexec->setup.may(reexec->setup.argument)) {
        reexec->setup.decided(reexec->setup.argument, NULL);
        become(reexec);
        return;
    }
    if (yes)
        reason = "not now: the service manager has not yet taken what was sent to it";
    else if (reexec->length)
        reason = reexec->answer;
    log_error("%s cannot carry on, this one does: %s", reexec->program, reason);
    reexec->setup.decided(reexec->setup.argument, reason);
}

static void on_round(evutil_socket_t fd, short what, void *argument)
{
    const struct timeval at_once = {0};
    struct reexec *reexec = argument;

    (void)fd;
    (void)what;
    if (--reexec->rounds > 0 && event_add(reexec->last, &at_once) == 0)
        return;
    event_free(reexec->last);
    reexec->last = NULL;
    decide(reexec, true);
    mask_signals(SIG_UNBLOCK);
}

/*
 * The program will get signals that come from here on, which are blocked until then. One that came
 * before may still be on its way through the loop, and would be lost: it is given time to arrive.
 */
static void finish_rounds(struct reexec *reexec)
{
    const struct timeval at_once = {0};

    mask_signals(SIG_BLOCK);
    reexec->rounds = LAST_ROUNDS;
    reexec->last = event_new(reexec->setup.base, -1, 0, on_round, reexec);
    if (reexec->last && event_add(reexec->last, &at_once) == 0)
        return;
    if (reexec->last)
        event_free(reexec->last);
    reexec->last = NULL;
    decide(reexec, true);
    mask_signals(SIG_UNBLOCK);
}

static void on_answered(evutil_socket_t pipe, short what, void *argument)
{
    struct reexec *reexec = argument;
    const struct timeval patience = {.tv_sec = TRIAL_SECONDS};
    ssize_t got = 0;

    if (what & EV_READ) {
        got = read(pipe, reexec->answer + reexec->length, ANSWER_SIZE - 1 - reexec->length);
        if (got > 0) {
            reexec->length += (size_t)got;
            reexec->answer[reexec->length] = '\0';
            if (reexec->length < ANSWER_SIZE - 1) {
                event_add(reexec->answered, &patience);
                return;
            }
        }
    }
    if (end_trial(reexec))
        finish_rounds(reexec);
    else
        decide(reexec, false);
}

static int fork_trial(struct reexec *reexec, int list, int answer_fd)
{
    static char trial_variable[] = REEXEC_TRIAL "=1";
    pid_t child = fork();

    if (child < 0)
        return -errno;
    if (child == 0) {
        dup2(answer_fd, STDOUT_FILENO);
        execute(reexec, list, trial_variable);
        dprintf(STDOUT_FILENO, "cannot execute it: %s\n", strerror(errno));
        _exit(EXIT_FAILURE);
    }
    reexec->trial = child;
    return 0;
}

int reexec_begin(struct reexec *reexec, struct failure *failure)
{
    const struct timeval patience = {.tv_sec = TRIAL_SECONDS};
    _cleanup_close_ int state = -1, list = -1, answer = -1;
    int ends[2], r;

    if (reexec->trial || reexec->last)
        return failure_set(failure, EALREADY, "a trial is under way");
    state = reexec->setup.copy(reexec->setup.argument);
    list = state < 0 ? -1 : make_list(reexec, state);
    if (list < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return failure_set(failure, errno, "cannot prepare the trial: %s", strerror(errno));
    reexec->pipe = ends[0];
    answer = ends[1];
    reexec->length = 0;
    reexec->answer[0] = '\0';
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    reexec->answered = event_new(reexec->setup.base, ends[0], EV_READ, on_answered, reexec);
    r = reexec->answered && event_add(reexec->answered, &patience) == 0
            ? fork_trial(reexec, list, answer)
            : -ENOMEM;
    if (r < 0) {
        if (reexec->answered)
            event_free(reexec->answered);
        reexec->answered = NULL;
        reexec->pipe = close_fd(reexec->pipe);
        return failure_set(failure, -r, "cannot begin the trial: %s", strerror(-r));
    }
    log_notice("trying %s", reexec->program);
    return 0;
}

struct reexec *reexec_free(struct reexec *reexec)
{
    if (!reexec)
        return NULL;
    if (reexec->trial)
        end_trial(reexec);
    if (reexec->last)
        event_free(reexec->last);
    close_fd(reexec->directory);
    free(reexec);
    return NULL;
}
