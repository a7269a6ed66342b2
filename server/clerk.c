/* SPDX-License-Identifier: MIT
 *
 * See clerk.h. Who is rung, and when, is in clerk_rings.c; what is said of it in clerk_news.c.
 */
#include "server/clerk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/doorbell.h"
#include "server/clerk_parts.h"
#include "server/hub.h"
#include "server/rebalance.h"

enum {
    BREATH_MS = 10,    /* in which one peer is heard */
    BREATH_RINGS = 64, /* so often */
    MEND_MS = 100,     /* between two attempts to map what is missing */
};

static struct timeval after_ms(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* After everything that the tables did: their deadline may be another, the window may be torn. */
static void settle(struct clerk *clerk, int64_t now)
{
    const struct timeval mend = after_ms(MEND_MS);
    int64_t deadline = channels_deadline(clerk->channels);
    struct timeval rest;

    if (window_is_torn(&clerk->window) && !event_pending(clerk->mend, EV_TIMEOUT, NULL))
        event_add(clerk->mend, &mend);
    if (deadline == clerk->deadline && (deadline < 0 || deadline > now))
        return;
    clerk->deadline = deadline;
    event_del(clerk->tick);
    if (deadline < 0)
        return;
    rest = after_ms(deadline > now ? deadline - now : 0);
    event_add(clerk->tick, &rest);
}

static void on_tick(evutil_socket_t fd, short what, void *argument)
{
    struct clerk *clerk = argument;
    int64_t now = clerk_now();

    (void)fd;
    (void)what;
    channels_tick(clerk->channels, now);
    clerk->deadline = 0; /* the timer has run out: it is set anew in any case */
    settle(clerk, now);
}

/* Maps what was missing, and says everything again: nobody has seen what was said meanwhile. */
static void mend(struct clerk *clerk)
{
    if (window_is_torn(&clerk->window)) {
        int r = window_mend(&clerk->window);

        log_limited(&clerk->torn, LOG_WARNING,
                    "pages of the memory were missing when the tables were written: %s",
                    r < 0 ? strerror(-r) : "writing them again");
    }
    section_publish_all(&clerk->channels->section);
    settle(clerk, clerk_now());
}

static void on_mend(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    mend(argument);
}

/* The guard has put the size of the memory right: what was cut off is zero now. */
static void on_incident(void *argument, const struct incident *incident)
{
    if (incident->kind == INCIDENT_REPAIRED)
        mend(argument);
}

/* Whether a peer that has rung may be heard; if not, it is left alone for a breath. */
static bool may_be_heard(struct clerk *clerk, struct caller *caller, int64_t now)
{
    const struct timeval breath = after_ms(BREATH_MS);

    if (now - caller->heard_since >= BREATH_MS) {
        caller->heard_since = now;
        caller->heard = 0;
    }
    if (caller->heard++ < BREATH_RINGS)
        return true;
    event_del(caller->rung);
    caller->resting = true;
    if (!event_pending(clerk->breath, EV_TIMEOUT, NULL))
        event_add(clerk->breath, &breath);
    return false;
}

static void on_breath(evutil_socket_t fd, short what, void *argument)
{
    struct clerk *clerk = argument;

    (void)fd;
    (void)what;
    for (unsigned id = 0; id < clerk->n_callers; id++) {
        struct caller *caller = &clerk->callers[id];

        if (caller->resting)
            event_add(caller->rung, NULL);
        caller->resting = false;
    }
}

static void on_rung(evutil_socket_t bell, short what, void *argument)
{
    struct caller *caller = argument;
    struct clerk *clerk = caller->clerk;
    unsigned id = (unsigned)(caller - clerk->callers);
    int64_t now = clerk_now();

    (void)what;
    if (!may_be_heard(clerk, caller, now))
        return;
    channels_hear(clerk->channels, id);
    doorbell_clear(bell);
    channels_rung(clerk->channels, id, now);
    settle(clerk, now);
}

static int listen_to(struct clerk *clerk, struct peer *peer)
{
    struct caller *caller = &clerk->callers[peer->seat->id];

    *caller = (struct caller){.clerk = clerk, .peer = peer};
    caller->rung = event_new(clerk->setup.base, peer->bell, EV_READ | EV_PERSIST, on_rung, caller);
    return !caller->rung || event_add(caller->rung, NULL) < 0 ? -ENOMEM : 0;
}

void clerk_joined(struct clerk *clerk, struct peer *peer)
{
    if (!clerk || !clerk->hub)
        return;
    if (listen_to(clerk, peer) < 0)
        log_error("no memory to listen to peer %u: it gets no channels", peer->seat->id);
    channels_joined(clerk->channels, peer->seat->id, (uint32_t)peer->who.pid, peer->who.uid,
                    peer->seat->n_vectors);
    settle(clerk, clerk_now());
}

void clerk_left(struct clerk *clerk, const struct peer *peer)
{
    struct caller *caller = clerk ? &clerk->callers[peer->seat->id] : NULL;

    if (!caller || caller->peer != peer)
        return;
    channels_left(clerk->channels, peer->seat->id);
    clerk_forget(clerk, caller);
    if (caller->rung)
        event_free(caller->rung);
    *caller = (struct caller){.clerk = clerk};
    settle(clerk, clerk_now());
}

static struct channels_options options_of(const struct config *config)
{
    struct channels_options options = channels_defaults;

    options.offer_ms = config->channels.timeout * 1000;
    options.interval_ms = config->channels.interval * 1000;
    options.peer_channels = config->channels.quota;
    options.peer_bytes = config->channels.bytes;
    return options;
}

void clerk_reconfigure(struct clerk *clerk)
{
    if (clerk)
        clerk->channels->setup.options = options_of(clerk->setup.config);
}

static uint64_t new_instance(void)
{
    uint64_t number = 0;

    if (getrandom(&number, sizeof(number), 0) != sizeof(number) || !number)
        number = (uint64_t)time(NULL);
    return number;
}

static int make_tables(struct clerk *clerk, struct failure *failure)
{
    const struct clerk_setup *setup = &clerk->setup;
    const struct channel_options *options = &setup->config->channels;
    struct channel_state *state = &setup->state->file->channels;
    struct channels_setup tables = {.region = clerk->window.memory,
                                    .region_size = setup->region->size,
                                    .state = state,
                                    .n_mailboxes = options->n_mailboxes,
                                    .n_channels = options->n_channels,
                                    .instance = new_instance(),
                                    .options = options_of(setup->config),
                                    .ring = clerk_ring,
                                    .tell = clerk_tell,
                                    .context = clerk};
    struct failure why = {.text = ""};
    int r;

    if (setup->restored && channels_restore(&tables, &clerk->channels, &why) == 0)
        return 0;
    if (setup->restored)
        log_error("what was left of channels cannot be, they all end: %s", why.text);
    r = state_add_channels(setup->state, tables.n_mailboxes, tables.n_channels, failure);
    return r < 0 ? r : channels_new(&tables, &clerk->channels, failure);
}

static int fill(struct clerk *clerk, struct failure *failure)
{
    const struct region *region = clerk->setup.region;
    int r = window_open(&clerk->window, region->fd, region->size);

    if (r < 0)
        return failure_set(failure, -r, "cannot map the memory: %s", strerror(-r));
    r = make_tables(clerk, failure);
    if (r < 0)
        return r;
    clerk->n_callers = clerk->channels->state->n_mailboxes;
    clerk->callers = calloc(clerk->n_callers, sizeof(*clerk->callers));
    clerk->tick = evtimer_new(clerk->setup.base, on_tick, clerk);
    clerk->mend = evtimer_new(clerk->setup.base, on_mend, clerk);
    clerk->breath = evtimer_new(clerk->setup.base, on_breath, clerk);
    r = clerk_rings_init(clerk);
    if (r < 0 || !clerk->callers || !clerk->tick || !clerk->mend || !clerk->breath)
        return failure_set(failure, r < 0 ? -r : ENOMEM, "cannot serve channels: %s",
                           strerror(r < 0 ? -r : ENOMEM));
    return 0;
}

int clerk_new(const struct clerk_setup *setup, struct clerk **out, struct failure *failure)
{
    struct clerk *clerk = calloc(1, sizeof(*clerk));
    int r;

    if (!clerk)
        return failure_set(failure, ENOMEM, "out of memory");
    clerk->setup = *setup;
    clerk->deadline = -1;
    clerk->watcher = (struct watcher){.incident = on_incident, .argument = clerk};
    r = fill(clerk, failure);
    if (r < 0) {
        clerk_free(clerk);
        return r;
    }
    *out = clerk;
    return 0;
}

/* What happened between the tables and the peers when another process was killed. */
static void catch_up(struct clerk *clerk)
{
    for (unsigned id = 0; id < clerk->n_callers; id++) {
        const struct peer *peer = clerk->callers[id].peer;

        if (!peer)
            channels_left(clerk->channels, id);
        else if (!channels_is_present(clerk->channels, id))
            channels_joined(clerk->channels, id, (uint32_t)peer->who.pid, peer->who.uid,
                            peer->seat->n_vectors);
    }
}

int clerk_begin(struct clerk *clerk, struct hub *hub)
{
    int64_t now = clerk_now();
    struct peer *peer;
    int r;

    if (!clerk)
        return 0;
    clerk->hub = hub;
    witness_watch(&hub->witness, &clerk->watcher);
    TAILQ_FOREACH (peer, &hub->peers, all)
        if ((r = listen_to(clerk, peer)) < 0)
            return r;
    channels_start(clerk->channels, now);
    catch_up(clerk);
    settle(clerk, now);
    return 0;
}

struct clerk *clerk_free(struct clerk *clerk)
{
    if (!clerk)
        return NULL;
    if (clerk->hub)
        witness_unwatch(&clerk->hub->witness, &clerk->watcher);
    for (unsigned id = 0; clerk->callers && id < clerk->n_callers; id++)
        if (clerk->callers[id].rung)
            event_free(clerk->callers[id].rung);
    clerk_rings_deinit(clerk);
    if (clerk->tick)
        event_free(clerk->tick);
    if (clerk->mend)
        event_free(clerk->mend);
    if (clerk->breath)
        event_free(clerk->breath);
    free(clerk->callers);
    channels_free(clerk->channels);
    window_close(&clerk->window);
    free(clerk);
    return NULL;
}

int clerk_try(struct state *state, struct failure *failure)
{
    const struct channels_setup setup = {.region_size = state->file->head.memory_size,
                                         .state = &state->file->channels,
                                         .options = channels_defaults};
    struct channels *channels = NULL;
    int r = channels_restore(&setup, &channels, failure);

    channels_free(channels);
    return r;
}

const struct channels *clerk_channels(const struct clerk *clerk)
{
    return clerk->channels;
}

int clerk_resize(struct clerk *clerk, unsigned channel, uint64_t size)
{
    int r = channels_resize(clerk->channels, channel, size);

    settle(clerk, clerk_now());
    return r;
}

int clerk_close(struct clerk *clerk, unsigned channel)
{
    int r = channels_close(clerk->channels, channel);

    settle(clerk, clerk_now());
    return r;
}
