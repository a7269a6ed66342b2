/* SPDX-License-Identifier: MIT
 *
 * The values of the server's options: how each kind of text becomes a member of struct config.
 * All are option_set_fn (common/options.h); those that serve several options use @spec->offset.
 */
#ifndef IVSHMEM_CONFIG_VALUES_H
#define IVSHMEM_CONFIG_VALUES_H

#include "common/options.h"

option_set_fn set_unsigned;  /* unsigned at the offset */
option_set_fn set_seconds;   /* unsigned at the offset, 1 or more */
option_set_fn set_bytes;     /* uint64_t at the offset, a size of 0 or more */
option_set_fn set_mode;      /* mode_t at the offset, octal permission bits */
option_set_fn set_user;      /* uid_t at the offset, name or number */
option_set_fn set_group;     /* gid_t at the offset, name or number */
option_set_fn set_log_level; /* log_level */
option_set_fn set_vectors;   /* n_vectors */
option_set_fn set_mailboxes; /* channels.n_mailboxes */
option_set_fn set_channels;  /* channels.n_channels */
option_set_fn set_slot;      /* adds to slots */
option_set_fn set_shm_name;  /* char * at the offset, a name without its leading slash */
option_set_fn set_size;      /* region.size, rounded up */
option_set_fn set_no_reserve;
option_set_fn set_hugetlb;   /* region.hugetlb, region.huge_page */
option_set_fn set_numa_node; /* region.numa_node */
option_set_fn set_control;   /* control_socket, no_control */
option_set_fn set_allow_uid; /* adds to the uids of the struct access at the offset */
option_set_fn set_allow_gid; /* adds to its gids */

#endif
