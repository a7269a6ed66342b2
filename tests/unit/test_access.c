/* SPDX-License-Identifier: MIT
 *
 * Who the allow lists let in.
 */
#include "tests/unit/unit.h"

#include "server/access.h"

static const struct credentials alice = {
    .uid = 1000, .gid = 1000, .groups = {1000, 27, 36}, .n_groups = 3};
static const struct credentials root = {.uid = 0, .gid = 0};
static const struct credentials hermit = {.uid = 5, .gid = 6}; /* no supplementary groups */

static void no_lists(void **state)
{
    const struct access access = {.n_uids = 0};

    (void)state;
    assert_true(access_allows(&access, &alice));
    assert_true(access_allows(&access, &root));
    assert_true(access_allows(&access, &hermit));
}

static void users(void **state)
{
    const struct access access = {.uids = {7, 1000}, .n_uids = 2};

    (void)state;
    assert_true(access_allows(&access, &alice));
    assert_false(access_allows(&access, &root)); /* no special case */
    assert_false(access_allows(&access, &hermit));
}

static void groups(void **state)
{
    const struct access primary = {.gids = {6}, .n_gids = 1};
    const struct access supplementary = {.gids = {99, 36}, .n_gids = 2};
    const struct access user_number = {.gids = {5}, .n_gids = 1};

    (void)state;
    assert_true(access_allows(&primary, &hermit));
    assert_false(access_allows(&primary, &alice));
    assert_true(access_allows(&supplementary, &alice));
    assert_false(access_allows(&supplementary, &hermit));
    assert_false(access_allows(&user_number, &hermit)); /* 5 is its user, not its group */
}

static void either(void **state)
{
    const struct access access = {.uids = {0}, .n_uids = 1, .gids = {27}, .n_gids = 1};

    (void)state;
    assert_true(access_allows(&access, &root));
    assert_true(access_allows(&access, &alice));
    assert_false(access_allows(&access, &hermit));
}

/* What stands behind the end of a list does not count. */
static void only_what_is_in_the_lists(void **state)
{
    const struct access access = {.uids = {7, 1000}, .n_uids = 1, .gids = {8, 36}, .n_gids = 1};
    struct credentials mallory = alice;

    (void)state;
    assert_false(access_allows(&access, &alice));
    mallory.groups[3] = 8;
    assert_false(access_allows(&access, &mallory));
    mallory.n_groups = 4;
    assert_true(access_allows(&access, &mallory));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_lists),
        cmocka_unit_test(users),
        cmocka_unit_test(groups),
        cmocka_unit_test(either),
        cmocka_unit_test(only_what_is_in_the_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
