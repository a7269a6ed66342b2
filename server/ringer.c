/* SPDX-License-Identifier: MIT
 *
 * See ringer.h.
 */
#include "server/ringer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/doorbell.h"

enum {
    PATIENCE_US = 100000, /* how long a doorbell may take */
    STACK_SIZE = 262144,
    FAREWELL_NS = 10000000, /* between two signals when the thread has to end */
    FAREWELLS = 500,
};

TAILQ_HEAD(job_list, ringer_job);

/**
 * struct work - what loop and thread share, under @lock
 * @lock:      held for a few instructions only
 * @wake:      there is work, or the end has come
 * @doorbells: what to ring; owned
 * @count:     how many; 0 when the thread has nothing to do
 * @rung:      how many were rung when the thread was done
 * @error:     why it was not all
 * @quit:      the thread has to end
 */
struct work {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int doorbells[RINGER_TURN];
    unsigned count, rung;
    int error;
    bool quit;
};

/**
 * struct ringer - see ringer.h
 * @jobs:     those that wait for their turn
 * @current:  the one whose doorbells the thread has, NULL for none
 * @work:     shared with the thread
 * @thread:   the thread, if @started
 * @done:     eventfd that the thread rings when it is done; nobody else has it
 * @finished: event: @done was rung
 * @patience: event: the thread takes too long
 * @turn:     event: the next job has its turn
 */
struct ringer {
    struct job_list jobs;
    struct ringer_job *current;
    struct work work;
    pthread_t thread;
    bool started;
    int done;
    struct event *finished, *patience, *turn;
};

static int signal_number(void)
{
    return SIGRTMIN;
}

/* All that the signal has to do is to end a system call. */
static void on_signal(int number)
{
    (void)number;
}

/* Return: 0, -EAGAIN when the counter is full, or another negative errno. */
static int ring(int doorbell)
{
    const uint64_t one = 1;

    if (write(doorbell, &one, sizeof(one)) == (ssize_t)sizeof(one))
        return 0;
    return errno == EINTR ? -EAGAIN : -errno;
}

static void *ring_for_ever(void *argument)
{
    struct ringer *ringer = argument;
    struct work *work = &ringer->work;

    pthread_mutex_lock(&work->lock);
    while (!work->quit) {
        unsigned count = work->count, rung = 0;
        int error = 0;

        if (!count) {
            pthread_cond_wait(&work->wake, &work->lock);
            continue;
        }
        pthread_mutex_unlock(&work->lock); /* the loop leaves the array alone while count is set */
        while (rung < count && (error = ring(work->doorbells[rung])) == 0)
            rung++;
        for (unsigned i = 0; i < count; i++)
            close_fd(work->doorbells[i]);
        pthread_mutex_lock(&work->lock);
        work->rung = rung;
        work->error = error;
        work->count = 0;
        doorbell_ring(ringer->done);
    }
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

/* The thread gets no signal but ours: the others are the event loop's. */
static int start_thread(struct ringer *ringer)
{
    struct sigaction action = {.sa_handler = on_signal};
    pthread_attr_t attributes;
    sigset_t all, before;
    int error;

    if (ringer->started)
        return 0;
    if (sigaction(signal_number(), &action, NULL) < 0)
        return -errno;
    error = pthread_attr_init(&attributes);
    if (error)
        return -error;
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);
    sigdelset(&all, signal_number());
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&ringer->thread, &attributes, ring_for_ever, ringer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    ringer->started = error == 0;
    return -error;
}

static void take_turn_soon(struct ringer *ringer)
{
    const struct timeval at_once = {.tv_sec = 0};

    if (!ringer->current && !TAILQ_EMPTY(&ringer->jobs) &&
        !event_pending(ringer->turn, EV_TIMEOUT, NULL))
        event_add(ringer->turn, &at_once);
}

/* Gives duplicates of the doorbells to the thread. Return: 0 or a negative errno. */
static int hand_over(struct ringer *ringer, const int *doorbells, unsigned count)
{
    const struct timeval patience = {.tv_usec = PATIENCE_US};
    int copies[RINGER_TURN], r = start_thread(ringer);
    unsigned made = 0;

    while (r == 0 && made < count) {
        copies[made] = fcntl(doorbells[made], F_DUPFD_CLOEXEC, 0);
        if (copies[made] < 0)
            r = -errno;
        else
            made++;
    }
    if (made < count) {
        while (made)
            close_fd(copies[--made]);
        return r;
    }
    pthread_mutex_lock(&ringer->work.lock);
    for (unsigned i = 0; i < count; i++)
        ringer->work.doorbells[i] = copies[i];
    ringer->work.count = count;
    pthread_cond_signal(&ringer->work.wake);
    pthread_mutex_unlock(&ringer->work.lock);
    event_add(ringer->patience, &patience);
    return 0;
}

static void on_turn(evutil_socket_t fd, short what, void *argument)
{
    struct ringer *ringer = argument;
    struct ringer_job *job = TAILQ_FIRST(&ringer->jobs);
    int doorbells[RINGER_TURN], r;
    unsigned count;

    (void)fd;
    (void)what;
    TAILQ_REMOVE(&ringer->jobs, job, link);
    count = job->orders->aim(job, doorbells);
    if (count == 0) {
        job->orders->end(job);
    } else {
        r = hand_over(ringer, doorbells, count);
        if (r == 0) {
            ringer->current = job;
            return;
        }
        job->orders->report(job, 0, r);
        TAILQ_INSERT_TAIL(&ringer->jobs, job, link);
    }
    take_turn_soon(ringer);
}

static void on_finished(evutil_socket_t fd, short what, void *argument)
{
    struct ringer *ringer = argument;
    struct ringer_job *job = ringer->current;
    unsigned rung;
    int error;

    (void)what;
    doorbell_take(fd);
    event_del(ringer->patience);
    pthread_mutex_lock(&ringer->work.lock);
    rung = ringer->work.rung;
    error = ringer->work.error;
    pthread_mutex_unlock(&ringer->work.lock);
    ringer->current = NULL;
    job->orders->report(job, rung, error);
    TAILQ_INSERT_TAIL(&ringer->jobs, job, link);
    take_turn_soon(ringer);
}

/* The signal may come too early to end anything, hence again until the thread is done. */
static void on_impatience(evutil_socket_t fd, short what, void *argument)
{
    const struct timeval patience = {.tv_usec = PATIENCE_US};
    struct ringer *ringer = argument;

    (void)fd;
    (void)what;
    pthread_kill(ringer->thread, signal_number());
    event_add(ringer->patience, &patience);
}

void ringer_add(struct ringer *ringer, struct ringer_job *job)
{
    TAILQ_INSERT_TAIL(&ringer->jobs, job, link);
    take_turn_soon(ringer);
}

int ringer_new(struct event_base *base, struct ringer **out)
{
    struct ringer *ringer = calloc(1, sizeof(*ringer));

    if (!ringer)
        return -ENOMEM;
    TAILQ_INIT(&ringer->jobs);
    pthread_mutex_init(&ringer->work.lock, NULL);
    pthread_cond_init(&ringer->work.wake, NULL);
    ringer->done = doorbell_new();
    if (ringer->done >= 0) {
        ringer->finished = event_new(base, ringer->done, EV_READ | EV_PERSIST, on_finished, ringer);
        ringer->patience = evtimer_new(base, on_impatience, ringer);
        ringer->turn = evtimer_new(base, on_turn, ringer);
    }
    if (!ringer->finished || !ringer->patience || !ringer->turn ||
        event_add(ringer->finished, NULL) < 0) {
        int r = ringer->done < 0 ? ringer->done : -ENOMEM;

        ringer_free(ringer);
        return r;
    }
    *out = ringer;
    return 0;
}

/* Return: whether the thread has ended. */
static bool end_thread(struct ringer *ringer)
{
    if (!ringer->started)
        return true;
    pthread_mutex_lock(&ringer->work.lock);
    ringer->work.quit = true;
    pthread_cond_signal(&ringer->work.wake);
    pthread_mutex_unlock(&ringer->work.lock);
    for (int i = 0; i < FAREWELLS; i++) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += FAREWELL_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        if (pthread_timedjoin_np(ringer->thread, NULL, &until) == 0)
            return true;
        pthread_kill(ringer->thread, signal_number());
    }
    return false;
}

struct ringer *ringer_free(struct ringer *ringer)
{
    struct ringer_job *job;

    if (!ringer)
        return NULL;
    if (!end_thread(ringer))
        return NULL; /* it still uses what would be freed; the process is about to end */
    if (ringer->current)
        ringer->current->orders->end(ringer->current);
    while ((job = TAILQ_FIRST(&ringer->jobs))) {
        TAILQ_REMOVE(&ringer->jobs, job, link);
        job->orders->end(job);
    }
    for (unsigned i = 0; i < ringer->work.count; i++)
        close_fd(ringer->work.doorbells[i]); /* the end came before the thread began */
    if (ringer->finished)
        event_free(ringer->finished);
    if (ringer->patience)
        event_free(ringer->patience);
    if (ringer->turn)
        event_free(ringer->turn);
    close_fd(ringer->done);
    pthread_cond_destroy(&ringer->work.wake);
    pthread_mutex_destroy(&ringer->work.lock);
    free(ringer);
    return NULL;
}
