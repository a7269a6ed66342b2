/* SPDX-License-Identifier: MIT
 *
 * CRC32C. With tables: eight bytes at a time, one table for each. With the instruction: it takes
 * eight bytes a cycle but answers after three, so three stretches run side by side. Their results
 * are put together by multiplication: a CRC followed by N bytes is that CRC times x^8N, and the
 * instruction itself takes the remainder.
 */
#include "crc32c.h"

#include "ring_copy.h"

#if defined __x86_64__ && __STDC_HOSTED__
#include <immintrin.h>
#define CRC32C_X86 __attribute__((target("sse4.2,pclmul")))
#endif

/* A table is linear: each entry is made of those with one bit. */
#define BIT(n, bit, value) ((n) >> (bit)&1 ? (value) : 0u)
#define ENTRY(n, a, b, c, d, e, f, g, h)                                                           \
    (BIT(n, 0, a) ^ BIT(n, 1, b) ^ BIT(n, 2, c) ^ BIT(n, 3, d) ^ BIT(n, 4, e) ^ BIT(n, 5, f) ^     \
     BIT(n, 6, g) ^ BIT(n, 7, h))
#define ENTRIES_4(n, ...)                                                                          \
    ENTRY(n, __VA_ARGS__), ENTRY(n + 1, __VA_ARGS__), ENTRY(n + 2, __VA_ARGS__),                   \
        ENTRY(n + 3, __VA_ARGS__)
#define ENTRIES_16(n, ...)                                                                         \
    ENTRIES_4(n, __VA_ARGS__), ENTRIES_4(n + 4, __VA_ARGS__), ENTRIES_4(n + 8, __VA_ARGS__),       \
        ENTRIES_4(n + 12, __VA_ARGS__)
#define ENTRIES_64(n, ...)                                                                         \
    ENTRIES_16(n, __VA_ARGS__), ENTRIES_16(n + 16, __VA_ARGS__), ENTRIES_16(n + 32, __VA_ARGS__),  \
        ENTRIES_16(n + 48, __VA_ARGS__)
#define TABLE(...)                                                                                 \
    {                                                                                              \
        ENTRIES_64(0, __VA_ARGS__), ENTRIES_64(64, __VA_ARGS__), ENTRIES_64(128, __VA_ARGS__),     \
            ENTRIES_64(192, __VA_ARGS__)                                                           \
    }

/* tables[k][n]: what byte n does to the CRC when k more bytes follow it. */
static const uint32_t tables[8][256] = {
    TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc,
          0x82f63b78),
    TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604,
          0xfbc3faf9),
    TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9,
          0x8b277743),
    TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7,
          0x52a0c93f),
    TABLE(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae,
          0x6ea2d55c),
    TABLE(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb,
          0x1c08b7d6),
    TABLE(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a,
          0xf56e0ef4),
    TABLE(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32,
          0x34019664),
};

static uint32_t table_byte(uint32_t state, uint8_t byte)
{
    return state >> 8 ^ tables[0][(state ^ byte) & 255];
}

static uint32_t table_eight(uint32_t state, uint64_t eight)
{
    eight ^= state;
    return tables[7][eight & 255] ^ tables[6][eight >> 8 & 255] ^ tables[5][eight >> 16 & 255] ^
           tables[4][eight >> 24 & 255] ^ tables[3][eight >> 32 & 255] ^
           tables[2][eight >> 40 & 255] ^ tables[1][eight >> 48 & 255] ^ tables[0][eight >> 56];
}

uint32_t crc32c_copy_table(uint32_t crc, void *to, const void *from, size_t size)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    uint32_t state = ~crc;
    size_t i = 0;

    for (; size - i >= 8; i += 8) {
        uint64_t eight = RING_LOAD(volatile ring_move8, f + i); /* once: it may be shared */

        if (t)
            RING_STORE(ring_move8, t + i, eight);
        state = table_eight(state, eight);
    }
    for (; i < size; i++) {
        uint8_t byte = RING_LOAD(volatile uint8_t, f + i);

        if (t)
            t[i] = byte;
        state = table_byte(state, byte);
    }
    return ~state;
}

#ifdef CRC32C_X86

/* Three stretches of so many bytes run side by side, and what their CRCs are multiplied with then:
 * x^(8 bytes - 33) and x^(16 bytes - 33), bits reversed. The product of two reversed numbers is one
 * bit off, and the instruction multiplies by x^32. */
struct stretch {
    size_t bytes;
    uint64_t one, two;
};

static const struct stretch long_stretch = {256, 0xb9e02b86, 0xdd7e3b0c};
static const struct stretch short_stretch = {64, 0x9e4addf8, 0x0d3b6092};

#define ALWAYS CRC32C_X86 static inline __attribute__((always_inline))

/* Sixteen bytes: copied, and put into a CRC. Moved in one: who reads the copy at once in pieces of
 * another size would have to wait. */
ALWAYS uint64_t step(uint64_t state, uint8_t *t, const uint8_t *f, size_t at, int copying)
{
    ring_move16 bytes = RING_LOAD(volatile ring_move16, f + at);

    if (copying)
        RING_STORE(ring_move16, t + at, bytes);
    return _mm_crc32_u64(_mm_crc32_u64(state, bytes[0]), bytes[1]);
}

ALWAYS uint64_t times(uint64_t state, uint64_t factor)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)state),
                                           _mm_cvtsi64_si128((long long)factor), 0);

    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* As many threes of stretches as there are. Return: how many bytes of @size are done. */
ALWAYS size_t stretches(uint64_t *state, uint8_t *t, const uint8_t *f, size_t i, size_t size,
                        const struct stretch *s, int copying)
{
    for (; size - i >= 3 * s->bytes; i += 3 * s->bytes) {
        uint64_t a = *state, b = 0, c = 0;

        for (size_t j = i; j < i + s->bytes; j += 16) {
            a = step(a, t, f, j, copying);
            b = step(b, t, f, j + s->bytes, copying);
            c = step(c, t, f, j + 2 * s->bytes, copying);
        }
        *state = _mm_crc32_u64(0, times(a, s->two) ^ times(b, s->one)) ^ c;
    }
    return i;
}

ALWAYS uint32_t copy_x86(uint32_t crc, uint8_t *t, const uint8_t *f, size_t size, int copying)
{
    uint64_t state = (uint32_t)~crc;
    size_t i = stretches(&state, t, f, 0, size, &long_stretch, copying);

    i = stretches(&state, t, f, i, size, &short_stretch, copying);
    for (; size - i >= 16; i += 16)
        state = step(state, t, f, i, copying);
    for (; i < size; i++) {
        uint8_t byte = RING_LOAD(volatile uint8_t, f + i);

        if (copying)
            t[i] = byte;
        state = _mm_crc32_u8((uint32_t)state, byte);
    }
    return ~(uint32_t)state;
}

CRC32C_X86 static uint32_t look_x86(uint32_t crc, const uint8_t *from, size_t size)
{
    return copy_x86(crc, NULL, from, size, 0);
}

CRC32C_X86 static uint32_t both_x86(uint32_t crc, uint8_t *to, const uint8_t *from, size_t size)
{
    return copy_x86(crc, to, from, size, 1);
}

#define HAVE_INSTRUCTION() (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))

#else

#define HAVE_INSTRUCTION()            0
#define look_x86(crc, from, size)     (crc)
#define both_x86(crc, to, from, size) (crc)

#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    return HAVE_INSTRUCTION() ? look_x86(crc, data, size)
                              : crc32c_copy_table(crc, NULL, data, size);
}

uint32_t crc32c_copy(uint32_t crc, void *to, const void *from, size_t size)
{
    return HAVE_INSTRUCTION() ? both_x86(crc, to, from, size)
                              : crc32c_copy_table(crc, to, from, size);
}
