/* SPDX-License-Identifier: MIT
 *
 * The server's configuration: defaults, every option's good and bad values, the file below the
 * command line, contradictions, and what SIGHUP changes.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "server/config.h"

static struct config config;
static struct failure failure;
static struct capture capture = CAPTURE_INIT;
static char program[] = "program", folder[64], file[80], words[4096];
static char *argv[64];
static int argc;

static int set_up(void **state)
{
    (void)state;
    config = (struct config){.help = false};
    scratch_make(folder);
    snprintf(file, sizeof(file), "%s/conf", folder);
    capture_start(&capture);
    log_open(LOG_TO_STDERR, "test");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    capture_stop(&capture);
    config_deinit(&config);
    scratch_remove(folder);
    return 0;
}

/* Makes argv of words with one blank between two; "@" stands for the file. */
static void split(const char *line)
{
    char *rest = words, *word;
    size_t length = 0;

    for (; *line; line++) {
        const char letter[] = {*line, '\0'}, *text = *line == '@' ? file : letter;

        length += (size_t)snprintf(words + length, sizeof(words) - length, "%s", text);
    }
    argv[0] = program;
    argc = 1;
    while (length && (word = strsep(&rest, " ")))
        argv[argc++] = word;
    argv[argc] = NULL;
}

static int parse(const char *line)
{
    config_deinit(&config);
    failure.text[0] = '\0';
    split(line);
    return config_parse(&config, argc, argv, &failure);
}

static void good(const char *line)
{
    if (parse(line) != 0)
        fail_msg("\"%s\": %s", line, failure.text);
}

/* Refused, and the text names all that stands in @parts, which NULL ends. */
static void refused(const char *line, ...)
{
    const char *part;
    va_list parts;
    int r = parse(line);

    if (r >= 0)
        fail_msg("\"%s\" is accepted", line);
    va_start(parts, line);
    while ((part = va_arg(parts, const char *)))
        assert_contains(failure.text, part);
    va_end(parts);
}

static void defaults(void **state)
{
    (void)state;
    good("");
    assert_false(config.help || config.version || config.check);
    assert_false(config.foreground || config.verbose);
    assert_int_equal(LOG_INFO, config.log_level);
    assert_null(config.file);
    assert_string_equal("/var/run/ivshmem-server.pid", config.pid_file);
    assert_string_equal("/tmp/ivshmem_socket", config.socket);
    assert_int_equal(0600, config.rights.mode);
    assert_int_equal((uid_t)-1, config.rights.owner);
    assert_int_equal((gid_t)-1, config.rights.group);
    assert_string_equal("ivshmem", config.shm_name);
    assert_null(config.shm_dir);
    assert_ptr_equal(config.shm_name, config.region.name);
    assert_null(config.region.directory);
    assert_int_equal(4194304, config.region.size);
    assert_int_equal(0600, config.region.mode);
    assert_true(config.region.reserve);
    assert_int_equal(-1, config.region.numa_node);
    assert_false(config.region.sealed || config.region.hugetlb || config.region.keep);
    assert_false(config.region.adopt || config.region.zero);
    assert_int_equal(1, config.n_vectors);
    assert_int_equal(0, config.n_slots);
    assert_int_equal(0, config.access.n_uids + config.access.n_gids);
    assert_int_equal(0, config.access.max_peers + config.access.max_peers_per_uid);
    assert_int_equal(0, config.access.peer_timeout);
    assert_false(config.access.withhold_leaves);
    assert_false(config.channels.on);
    assert_int_equal(64, config.channels.n_mailboxes);
    assert_int_equal(256, config.channels.n_channels);
    assert_int_equal(0, config.channels.quota);
    assert_int_equal(0, config.channels.bytes);
    assert_int_equal(10, config.channels.timeout);
    assert_int_equal(1, config.channels.interval);
    for (int i = 0; i < OPTIONS_MAX; i++)
        assert_null(config.given[i]);
}

static void as_qemu_takes_them(void **state)
{
    (void)state;
    good("-v -F -p /x/pid -S /x/sock -M name -m /x/dir -l 1.5M -n 8");
    assert_true(config.verbose && config.foreground);
    assert_int_equal(LOG_DEBUG, config.log_level);
    assert_string_equal("/x/pid", config.pid_file);
    assert_string_equal("/x/sock", config.socket);
    assert_string_equal("name", config.shm_name);
    assert_string_equal("/x/dir", config.shm_dir);
    assert_ptr_equal(config.shm_dir, config.region.directory);
    assert_int_equal(2 << 20, config.region.size);
    assert_int_equal(8, config.n_vectors);
    good("--help");
    assert_true(config.help);
    good("-hv"); /* help wins over what would be refused */
    good("-V");
    assert_true(config.version);
}

static void everything_else(void **state)
{
    (void)state;
    good("--log-level=warning --socket-mode=0660 --socket-owner=5 --socket-group=6 --mode=640"
         " --owner=7 --group=8 --no-reserve --numa-node=3 --keep --zero"
         " --allow-uid=1,2 --allow-uid=3 --allow-gid=4 --max-peers=9 --max-peers-per-uid=10"
         " --peer-timeout=11 --withhold-leaves --slot a=1 --slot b=2:/x/b");
    assert_int_equal(LOG_WARNING, config.log_level);
    assert_int_equal(0660, config.rights.mode);
    assert_int_equal(5, config.rights.owner);
    assert_int_equal(6, config.rights.group);
    assert_int_equal(0640, config.region.mode);
    assert_int_equal(7, config.region.owner);
    assert_int_equal(8, config.region.group);
    assert_false(config.region.reserve);
    assert_int_equal(3, config.region.numa_node);
    assert_true(config.region.keep && config.region.zero);
    assert_int_equal(3, config.access.n_uids);
    assert_int_equal(3, config.access.uids[2]);
    assert_int_equal(1, config.access.n_gids);
    assert_int_equal(4, config.access.gids[0]);
    assert_int_equal(9, config.access.max_peers);
    assert_int_equal(10, config.access.max_peers_per_uid);
    assert_int_equal(11, config.access.peer_timeout);
    assert_true(config.access.withhold_leaves);
    assert_int_equal(2, config.n_slots);
    assert_string_equal("b", config.slots[1].name);
    assert_string_equal("/x/b", config.slots[1].socket);
    good("--hugetlb --sealed");
    assert_true(config.region.hugetlb && config.region.sealed);
    assert_int_equal(0, config.region.huge_page);
    good("--hugetlb=2M");
    assert_int_equal(2 << 20, config.region.huge_page);
    good("--adopt --owner=root --allow-uid=root,0 --allow-gid=root");
    assert_int_equal(0, config.region.owner);
    assert_int_equal(2, config.access.n_uids);
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t size;
    } known[] = {
        {"-l 1", 4096},
        {"-l 4096", 4096},
        {"-l 4097", 8192},
        {"-l 0x400000", 4 << 20},
        {"-l 3M", 4 << 20},
        {"-l 8G", UINT64_C(8) << 30},
        {"-l 4E", UINT64_C(1) << 62},
        {"-l 3.5E", UINT64_C(1) << 62},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        good(known[i].text);
        assert_true(config.region.size >= known[i].size);
        if (sysconf(_SC_PAGESIZE) == 4096)
            assert_true(config.region.size == known[i].size);
    }
}

static void bad_values(void **state)
{
    static const struct {
        const char *line, *option, *value;
    } bad[] = {
        {"-l 0", "--size", "'0'"},
        {"-l -1", "--size", "'-1'"},
        {"-l 0.0001k", "--size", "'0.0001k'"},
        {"-l 4X", "--size", "'4X'"},
        {"-l 8E", "--size", "4E"},
        {"-l 4.1E", "--size", "4E"},
        {"-n 0", "--vectors", "'0'"},
        {"-n 2049", "--vectors", "2048"},
        {"-n two", "--vectors", "'two'"},
        {"-M a/b", "--shm-name", "'a/b'"},
        {"-M /", "--shm-name", "''"},
        {"-M ..", "--shm-name", "'..'"},
        {"--shm-name=", "--shm-name", "''"},
        {"--socket=", "--socket", "empty"},
        {"--mode=8", "--mode", "'8'"},
        {"--mode=1777", "--mode", "'1777'"},
        {"--mode=-1", "--mode", "'-1'"},
        {"--mode=0x1ff", "--mode", "'0x1ff'"},
        {"--mode=", "--mode", "''"},
        {"--socket-mode=0999", "--socket-mode", "'0999'"},
        {"--owner=nobody-of-this-name", "--owner", "nobody-of-this-name"},
        {"--owner=4294967295", "--owner", "4294967295"}, /* (uid_t)-1 means something else */
        {"--group=", "--group", "''"},
        {"--allow-uid=0,,1", "--allow-uid", "''"},
        {"--allow-gid=0,no-such-group", "--allow-gid", "no-such-group"},
        {"--log-level=loud", "--log-level", "'loud'"},
        {"--max-peers=-1", "--max-peers", "'-1'"},
        {"--max-peers=2147483648", "--max-peers", "'2147483648'"},
        {"--peer-timeout=soon", "--peer-timeout", "'soon'"},
        {"--numa-node=1024", "--numa-node", "'1024'"},
        {"--hugetlb=3M", "--hugetlb", "'3M'"},
        {"--hugetlb=", "--hugetlb", "''"},
        {"--slot a", "--slot", "'a'"},
        {"--slot a=1 --slot b=1", "--slot", "slot a=1"},
        {"--slot a=1 --slot a=2", "--slot", "slot a=1"},
        {"--mailboxes=0", "--mailboxes", "'0'"},
        {"--mailboxes=4097", "--mailboxes", "4096"},
        {"--max-channels=65537", "--max-channels", "65536"},
        {"--channel-quota=few", "--channel-quota", "'few'"},
        {"--channel-bytes=-1", "--channel-bytes", "'-1'"},
        {"--channel-timeout=1.5", "--channel-timeout", "'1.5'"},
        {"--channel-timeout=0", "--channel-timeout", "1 to"},
        {"--channel-interval=", "--channel-interval", "''"},
        {"--keep=yes", "--keep=yes", "takes no value"},
        {"word", "word", "unexpected"},
        {"--unknown", "--unknown", "see --help"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(bad[i].line, bad[i].option, bad[i].value, (char *)NULL);
}

static void many(void **state)
{
    char line[4096] = "--allow-uid=0";

    (void)state;
    for (int i = 1; i < ACCESS_IDS_MAX; i++)
        strcat(line, ",0");
    good(line);
    assert_int_equal(ACCESS_IDS_MAX, config.access.n_uids);
    strcat(line, " --allow-uid=0");
    refused(line, "--allow-uid", "256", (char *)NULL);
}

static void contradictions(void **state)
{
    (void)state;
    refused("-v", "--verbose", "--foreground", (char *)NULL);
    good("-v --check-config");
    refused("--sealed -m /x", "--sealed", "--shm-dir", (char *)NULL);
    refused("--hugetlb -m /x", "--hugetlb", "--shm-dir", (char *)NULL);
    refused("--sealed --keep", "--keep", "--sealed", (char *)NULL);
    refused("--hugetlb --adopt", "--adopt", "--hugetlb", (char *)NULL);
    refused("-m /x --keep", "--keep", "--shm-dir", (char *)NULL);
    refused("-m /x --adopt", "--adopt", "--shm-dir", (char *)NULL);
    refused("--adopt --zero", "--adopt", "--zero", (char *)NULL);
}

static void channels(void **state)
{
    (void)state;
    good("--channels --mailboxes=2 --max-channels=3 --channel-quota=4 --channel-bytes=5k"
         " --channel-timeout=6 --channel-interval=7 --slot a=1 --max-peers=2");
    assert_true(config.channels.on);
    assert_int_equal(2, config.channels.n_mailboxes);
    assert_int_equal(3, config.channels.n_channels);
    assert_int_equal(4, config.channels.quota);
    assert_int_equal(5120, config.channels.bytes);
    assert_int_equal(6, config.channels.timeout);
    assert_int_equal(7, config.channels.interval);
    assert_true(config.region.sealed && config.region.fresh); /* nobody has said where */
    good("--channels -M name");
    assert_true(!config.region.sealed && config.region.fresh);
    good("--channels -m /x");
    assert_false(config.region.sealed);
    good("--channels --hugetlb");
    assert_true(config.region.sealed);
    good("--max-peers=100 --slot a=100 -l 4k"); /* what is for channels is for channels only */
    assert_false(config.region.sealed || config.region.fresh);
    good("--channels --mailboxes=1 --max-channels=1 -l 128k");
    refused("--channels --mailboxes=1 --max-channels=1 -l 64k", "131072", "--size", (char *)NULL);
    refused("--channels -l 128k", "262144", "--max-channels", (char *)NULL);
    refused("--channels --adopt", "--channels", "--adopt", (char *)NULL);
    refused("--channels -M x --keep", "--channels", "--keep", (char *)NULL);
    refused("--channels -M x --zero", "--channels", "--zero", (char *)NULL);
    refused("--channels --slot a=64", "slot a", "64", "--mailboxes", (char *)NULL);
    refused("--channels --max-peers=65", "--max-peers", "--mailboxes", (char *)NULL);
}

static void below_the_command_line(void **state)
{
    (void)state;
    write_file(file, "# as a person would write it\n"
                     "size = 8M\n"
                     "vectors = 4\n"
                     "slot = a=1\n"
                     "allow-uid = 1,2\n"
                     "keep\n"
                     "zero = no\n"
                     "shm-name = from_file\n");
    good("--config=@");
    assert_string_equal(file, config.file);
    assert_int_equal(8 << 20, config.region.size);
    assert_int_equal(4, config.n_vectors);
    assert_string_equal("from_file", config.region.name);
    assert_true(config.region.keep);
    assert_false(config.region.zero);
    good("-n 2 --config @ --slot b=2 --allow-uid 3"); /* wherever --config stands */
    assert_int_equal(2, config.n_vectors);
    assert_int_equal(8 << 20, config.region.size);
    assert_int_equal(2, config.n_slots);
    assert_string_equal("a", config.slots[0].name);
    assert_int_equal(3, config.access.n_uids);
    refused("--config @ --slot c=1", "slot a=1", (char *)NULL);
    refused("--config @ --sealed", "--keep", (char *)NULL);
}

/* A daemon changes directory, and SIGHUP must find the file again. */
static void relative_file(void **state)
{
    _cleanup_close_ int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    write_file(file, "max-peers = 1\n");
    assert_int_equal(0, chdir(folder));
    good("--config conf");
    assert_int_equal(0, fchdir(before));
    write_file(file, "max-peers = 2\n");
    assert_int_equal(0, config_reload(&config, argc, argv, &failure));
    assert_int_equal(2, config.access.max_peers);
}

static void control_socket(void **state)
{
    char *path;

    (void)state;
    good("-S /x/sock");
    assert_false(config.no_control);
    assert_int_equal(0600, config.control_rights.mode);
    assert_int_equal(0, config_control_path(&config, &path, &failure));
    assert_string_equal("/x/sock.ctl", path);
    free(path);
    good("-S /x/sock --control-socket=/y/ctl --control-mode=0660 --control-group=7"
         " --control-allow-uid=1,2 --allow-uid=3 --control-allow-gid=4");
    assert_int_equal(0, config_control_path(&config, &path, &failure));
    assert_string_equal("/y/ctl", path);
    free(path);
    assert_int_equal(0660, config.control_rights.mode);
    assert_int_equal(7, config.control_rights.group);
    assert_int_equal(2, config.control_access.n_uids);
    assert_int_equal(1, config.control_access.n_gids);
    assert_int_equal(1, config.access.n_uids); /* the lists are two */
    assert_int_equal(0, config.access.n_gids);
    good("--control-socket=/y/ctl --control-socket=none");
    assert_true(config.no_control);
    good("--control-socket=none --control-socket=/y/ctl"); /* the last one wins */
    assert_false(config.no_control);
    refused("--control-socket=", "--control-socket", "empty", (char *)NULL);
}

static void bad_files(void **state)
{
    (void)state;
    refused("--config @", file, "No such file", (char *)NULL);
    write_file(file, "size = 8M\n\nsize = 0\n");
    refused("--config @", file, "line 3", "--size", "'0'", (char *)NULL);
    write_file(file, "sise = 8M\n");
    refused("--config @", file, "line 1", "'sise'", (char *)NULL);
    write_file(file, "config = /dev/null\n");
    refused("--config @", file, "line 1", "config", "command line", (char *)NULL);
    write_file(file, "help\n");
    refused("--config @", file, "line 1", "help", "command line", (char *)NULL);
    write_file(file, "sealed\nadopt\n");
    refused("--config @", "--adopt", "--sealed", (char *)NULL);
    write_file(file, "size = 8M\n");
    refused("--config @ --size=0", "--size", "'0'", (char *)NULL);
}

static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    if (print)
        print(out);
    else
        config_print(&config, out);
    fclose(out);
    return text;
}

static void in_words(void **state)
{
    char *text;

    (void)state;
    good("-S /x/sock -M name -l 3M --mode=640 -n 4 --slot a=1 --slot b=2:/x/b --allow-uid 5,6");
    text = printed(NULL);
    assert_contains(text, "configuration is good\n");
    assert_contains(text, "socket: /x/sock, mode 0600\n");
    assert_contains(text, "slot a: peer ID 1, socket /x/sock.a\n");
    assert_contains(text, "slot b: peer ID 2, socket /x/b\n");
    assert_contains(text, "memory: 4194304 bytes, object name, mode 0640, reserved at start\n");
    assert_contains(text, "vectors: 4\n");
    assert_contains(text, "allow-uid = 5,6\n");
    assert_contains(text, "slot = a=1,b=2:/x/b\n");
    free(text);
    text = printed(config_print_help);
    assert_contains(text, "Usage: ivshmem-server");
    assert_contains(text, "  -l, --size=SIZE ");
    assert_contains(text, "      --hugetlb[=SIZE] ");
    free(text);
}

/* What the log says is read and compared with one line, or with "" for none. */
static void logged(const char *expected)
{
    assert_string_equal(expected, capture_read(&capture));
}

static void reload_what_can_change(void **state)
{
    (void)state;
    write_file(file, "max-peers = 5\nallow-uid = 1,2\nlog-level = warning\n");
    good("--config @ --peer-timeout=7");
    write_file(file, "max-peers = 6\nallow-gid = 3\nwithhold-leaves\n");
    log_set_level(LOG_NOTICE);
    assert_int_equal(0, config_reload(&config, argc, argv, &failure));
    assert_int_equal(6, config.access.max_peers);
    assert_int_equal(0, config.access.n_uids);
    assert_int_equal(1, config.access.n_gids);
    assert_int_equal(7, config.access.peer_timeout);
    assert_true(config.access.withhold_leaves);
    assert_int_equal(LOG_INFO, config.log_level);
    logged("test: notice: option log-level is now default\n"
           "test: notice: option allow-uid is now default\n"
           "test: notice: option allow-gid is now 3\n"
           "test: notice: option max-peers is now 6\n"
           "test: notice: option withhold-leaves is now yes\n");
    assert_int_equal(0, config_reload(&config, argc, argv, &failure)); /* nothing is new */
    logged("");
    write_file(file, "");
    assert_int_equal(0, config_reload(&config, argc, argv, &failure));
    assert_int_equal(0, config.access.max_peers);
    assert_false(config.access.withhold_leaves);
}

#define CANNOT(option)                                                                             \
    "test: warning: option " option                                                                \
    " has changed and cannot change while the server runs: restart it\n"

static void reload_what_cannot(void **state)
{
    char *name;

    (void)state;
    write_file(file, "size = 8M\nmax-peers = 1\n");
    good("--config @");
    name = config.shm_name;
    write_file(file, "size = 16M\nvectors = 9\nshm-name = other\nmax-peers = 2\n");
    for (int i = 0; i < 2; i++) { /* it is said each time, since it still does not hold */
        assert_int_equal(0, config_reload(&config, argc, argv, &failure));
        assert_int_equal(8 << 20, config.region.size);
        assert_int_equal(1, config.n_vectors);
        assert_ptr_equal(name, config.region.name); /* the region's strings stay */
        assert_string_equal("ivshmem", config.region.name);
        assert_int_equal(2, config.access.max_peers);
        logged(i ? CANNOT("vectors") CANNOT("shm-name") CANNOT("size")
                 : CANNOT("vectors") CANNOT("shm-name")
                       CANNOT("size") "test: notice: option max-peers is now 2\n");
    }
    write_file(file, "size = 8M\nmax-peers = 2\n"); /* taken back: as it was */
    assert_int_equal(0, config_reload(&config, argc, argv, &failure));
    logged("");
}

static void reload_with_an_error(void **state)
{
    static const char *const broken[] = {"max-peers = 2\nvectors = none\n",
                                         "max-peers = 2\nunknown = 1\n",
                                         "max-peers = 2\nadopt\nzero\n"};

    (void)state;
    write_file(file, "max-peers = 1\nallow-uid = 1\n");
    good("--config @");
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        write_file(file, broken[i]);
        assert_int_equal(-EINVAL, config_reload(&config, argc, argv, &failure));
        assert_int_equal(1, config.access.max_peers);
        assert_int_equal(1, config.access.n_uids);
    }
    unlink(file);
    assert_int_equal(-ENOENT, config_reload(&config, argc, argv, &failure));
    assert_contains(failure.text, file);
    assert_int_equal(1, config.access.max_peers);
    logged("");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(defaults),
        TEST(as_qemu_takes_them),
        TEST(everything_else),
        TEST(sizes),
        TEST(bad_values),
        TEST(many),
        TEST(contradictions),
        TEST(channels),
        TEST(below_the_command_line),
        TEST(relative_file),
        TEST(control_socket),
        TEST(bad_files),
        TEST(in_words),
        TEST(reload_what_can_change),
        TEST(reload_what_cannot),
        TEST(reload_with_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
