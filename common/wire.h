/* SPDX-License-Identifier: MIT
 *
 * The ivshmem socket protocol: its numbers and its eight bytes.
 *
 * A server sends, a client only listens. Every message is one little-endian signed 64-bit integer
 * with at most one descriptor beside it (SCM_RIGHTS). ivshmem-protocol.7 tells the whole story;
 * the source is QEMU's docs/specs/ivshmem-spec, section "Device <-> server protocol".
 */
#ifndef IVSHMEM_WIRE_H
#define IVSHMEM_WIRE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

enum {
    WIRE_VERSION = 0,  /* the only protocol version; first message of a greeting */
    WIRE_MEMORY = -1,  /* carries the descriptor of the shared memory */
    WIRE_REFUSED = -2, /* in place of a version or an ID: go away; QEMU exits with a message */
    WIRE_SIZE = 8,     /* bytes of a message */
    WIRE_ID_MAX = 65535,
    WIRE_VECTORS_MAX = 2048, /* what MSI-X allows a device */
};

/**
 * wire_encode() - lay a message out as it travels
 * @bytes: WIRE_SIZE bytes to fill
 * @value: version, peer ID, WIRE_MEMORY or WIRE_REFUSED
 */
static inline void wire_encode(uint8_t *bytes, int64_t value)
{
    uint64_t little = htole64((uint64_t)value);

    memcpy(bytes, &little, WIRE_SIZE);
}

/**
 * wire_decode() - read a message as it travelled
 * @bytes: WIRE_SIZE bytes
 *
 * Return: the value; any 64-bit integer, since a sender can send anything.
 */
static inline int64_t wire_decode(const uint8_t *bytes)
{
    uint64_t little;

    memcpy(&little, bytes, WIRE_SIZE);
    return (int64_t)le64toh(little);
}

#endif
