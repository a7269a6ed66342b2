/* SPDX-License-Identifier: MIT
 *
 * The server's configuration: what the command line and the configuration file say, checked.
 *
 * One table (config.c) names every option. The file is read first, then the command line, so that
 * the command line wins; options that may be given several times add up.
 */
#ifndef IVSHMEM_CONFIG_H
#define IVSHMEM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/failure.h"
#include "common/options.h"
#include "server/access.h"
#include "server/listener.h"
#include "server/region.h"
#include "server/slot.h"

/**
 * struct channel_options - how the memory is divided
 * @on:          it is
 * @n_mailboxes: peers that there may be; the server has this ID
 * @n_channels:  rings that there may be
 * @quota:       of them, how many one peer may have; 0 for a quarter, but 16 at least
 * @bytes:       of the memory, how much one peer may have in rings; 0 for half of the room
 * @timeout:     seconds that an offer waits for its listener
 * @interval:    seconds between two looks at what others wrote and use
 */
struct channel_options {
    bool on;
    unsigned n_mailboxes, n_channels, quota;
    uint64_t bytes;
    unsigned timeout, interval;
};

/**
 * struct config - what the server is asked to do
 * @help:       print the help and exit
 * @version:    print the version and exit
 * @check:      say what would be done and exit
 * @reexec:     have the server that runs execute its program again, and exit
 * @clean_up:   remove what a server that is gone has left, and exit
 * @foreground: do not become a daemon
 * @verbose:    -v: log level debug
 * @fd_store:   keep descriptors with the service manager
 * @log_level:  LOG_ERR..LOG_DEBUG
 * @file:       path of the configuration file, NULL for none
 * @kept:       what was read is not @file but what it was when it was last good
 * @pid_file:   path of the pid file
 * @socket:     path of the peers' socket
 * @rights:     who may connect to it and to the slots' sockets
 * @shm_name:   name of the shared memory object
 * @shm_dir:    directory for a file without a name, NULL for none
 * @region:     what the memory has to be; points at @shm_name and @shm_dir
 * @n_vectors:  doorbells of each peer
 * @channels:   how the memory is divided
 * @access:     who may join, and limits
 * @no_control: make no control socket
 * @control_socket: path of the control socket, NULL for @socket with ".ctl" appended
 * @control_rights: who may connect to it
 * @control_access: who may use it; only its allow lists count
 * @metrics_file: where numbers are written, NULL for nowhere
 * @slots:      pinned IDs
 * @n_slots:    how many
 * @given:      for each option of the table the text it was given, NULL if none
 *
 * All strings are owned.
 */
struct config {
    bool help, version, check, reexec, clean_up, foreground, verbose, fd_store, kept;
    int log_level;
    char *file, *pid_file, *socket;
    struct socket_rights rights;
    char *shm_name, *shm_dir;
    struct region_setup region;
    unsigned n_vectors;
    struct channel_options channels;
    struct access access;
    bool no_control;
    char *control_socket;
    struct socket_rights control_rights;
    struct access control_access;
    char *metrics_file;
    struct slot *slots;
    size_t n_slots;
    char *given[OPTIONS_MAX];
};

/**
 * config_parse() - read the command line, and the file that it names
 * @config:  filled in; give it to config_deinit(), also after an error
 * @argc:    as main() got it
 * @argv:    as main() got it
 * @failure: names option and value
 *
 * Return: 0 or a negative errno.
 */
int config_parse(struct config *config, int argc, char **argv, struct failure *failure);

/**
 * config_parse_kept() - read the command line, and another file in place of the one that it names
 * @config:  filled in; give it to config_deinit(), also after an error
 * @argc:    as main() got it
 * @argv:    as main() got it
 * @file:    path of what is read; config_reload() reads the one that was named again
 * @failure: names option and value
 *
 * Return: 0 or a negative errno.
 */
int config_parse_kept(struct config *config, int argc, char **argv, const char *file,
                      struct failure *failure);

/**
 * config_control_path() - where the control socket is to be
 * @config:  the configuration; not @no_control
 * @path:    set to it, to be free()d
 * @failure: says that there is no memory
 *
 * Return: 0 or -ENOMEM.
 */
int config_control_path(const struct config *config, char **path, struct failure *failure);

/**
 * config_peers_path() - where a socket that peers connect to is to be
 * @config:  the configuration
 * @slot:    whose it is, NULL for the common one
 * @path:    set to it, to be free()d
 * @failure: says that there is no memory
 *
 * Return: 0 or -ENOMEM.
 */
int config_peers_path(const struct config *config, const struct slot *slot, char **path,
                      struct failure *failure);

/**
 * config_check() - whether the options go together
 * @config:  all that was given
 * @failure: names those that do not, and the way out
 *
 * Return: 0 or -EINVAL.
 */
int config_check(const struct config *config, struct failure *failure);

/** config_deinit() - free what config_parse() allocated */
void config_deinit(struct config *config);

/** config_print_help() - what --help prints */
void config_print_help(FILE *out);

/** config_print() - say what would be done, in words: --check-config */
void config_print(const struct config *config, FILE *out);

/**
 * config_reload() - read everything again, and take over what can change while running
 * @config:  what holds now; unchanged on error
 * @argc:    as main() got it
 * @argv:    as main() got it
 * @failure: names file, line and option
 *
 * What differs but cannot change is logged.
 *
 * Return: 0 or a negative errno.
 */
int config_reload(struct config *config, int argc, char **argv, struct failure *failure);

#endif
