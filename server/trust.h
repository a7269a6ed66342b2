/* SPDX-License-Identifier: MIT
 *
 * Trust in places: whether others could swap what the daemon puts there.
 */
#ifndef IVSHMEM_TRUST_H
#define IVSHMEM_TRUST_H

#include "common/failure.h"

/**
 * trust_directory() - whether only we and root can rename or remove our files in a directory
 * @path:    the directory
 * @failure: names the directory on the way to it that others control, and why
 *
 * A directory is trusted when it belongs to us or to root, and others cannot write it or it has
 * the sticky bit (our own group may write: groups of one user are common), and all directories
 * above it are trusted too.
 *
 * Return: 0, -EPERM, or another negative errno when @path cannot be looked at.
 */
int trust_directory(const char *path, struct failure *failure);

#endif
