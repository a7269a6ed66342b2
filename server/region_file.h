/* SPDX-License-Identifier: MIT
 *
 * The file behind a region while it has no name yet: made in /dev/shm, in a directory, or as a
 * memfd; given its owner, its size and its pages.
 */
#ifndef IVSHMEM_REGION_FILE_H
#define IVSHMEM_REGION_FILE_H

#include <stdint.h>

#include "common/failure.h"
#include "server/region.h"

/**
 * region_file_new() - make the file
 * @setup:     what it has to be
 * @kind:      where it lives
 * @directory: descriptor of the directory, ignored for REGION_MEMFD
 * @size:      set to its size: larger than asked where the file system refuses the size
 * @failure:   says what is missing
 *
 * Return: descriptor of the file, owned by the caller, or a negative errno.
 */
int region_file_new(const struct region_setup *setup, enum region_kind kind, int directory,
                    uint64_t *size, struct failure *failure);

/**
 * region_file_reserve() - have all pages of a file allocated
 * @fd:      the file
 * @size:    bytes
 * @failure: says how much is missing
 *
 * Return: 0 or a negative errno.
 */
int region_file_reserve(int fd, uint64_t size, struct failure *failure);

/** region_file_clear() - make a file of @size bytes all zero. Return: 0 or a negative errno. */
int region_file_clear(int fd, uint64_t size, struct failure *failure);

#endif
