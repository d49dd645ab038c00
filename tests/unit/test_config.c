/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration file: every kind of mistake with its line and text, and what good files give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "config/settings.h"

/* --- helpers ------------------------------------------------------------------------------------------------------ */

static char dir[] = "/tmp/portwatch-config-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/test.conf", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void write_file(const char *text, size_t size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

/* All reports of one run as "LINE: message\n". */
struct log {
	char text[32768];
	size_t n;
};

static void collect(const char *file, unsigned line, const char *message, void *context)
{
	struct log *log = context;

	assert_non_null(file);
	log->n += (size_t)snprintf(log->text + log->n, sizeof(log->text) - log->n, "%u: %s\n", line, message);
	assert_true(log->n < sizeof(log->text));
}

static struct pw_config *read_text(const char *text, struct log *log)
{
	write_file(text, strlen(text));
	log->n = 0;
	log->text[0] = '\0';
	return pw_config_read(path, collect, log);
}

/* The file must be good. */
static struct pw_config *read_good(const char *text)
{
	static struct log log;
	struct pw_config *config = read_text(text, &log);

	if (config == NULL)
		fail_msg("unexpected mistakes:\n%s", log.text);
	assert_string_equal(log.text, "");
	return config;
}

/* The file must give exactly these reports, and nothing on stderr. */
static void expect_reports(const char *text, const char *reports)
{
	static struct log log;
	int saved = dup(STDERR_FILENO);
	FILE *err = tmpfile();
	struct pw_config *config;
	struct stat st;

	assert_true(saved >= 0 && err != NULL);
	dup2(fileno(err), STDERR_FILENO);
	config = read_text(text, &log);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_equal(fstat(fileno(err), &st), 0);
	fclose(err);
	assert_string_equal(log.text, reports);
	assert_null(config);
	assert_int_equal(st.st_size, 0);
}

/* --- mistakes: one case per kind ---------------------------------------------------------------------------------- */

#define TOP_NAMES \
	"poll-interval, idle-interval, min-used, max-rows, max-alarms, linger, state-file, top, backend, probe, connect-failures, events, " \
	"warning, critical, exhausted, forecast, pool, ignore, notify, agentx, snmp, metrics, control, namespaces, snat, conntrack"
#define POOL_NAMES \
	"kind, protocol, local, remote, port, namespace, warning, critical, exhausted, forecast, free-below, fast-free-below, " \
	"ports, capacity, for"
#define PREFIX "(the prefix length is not a number from 0 to 32 (IPv4) or 128 (IPv6; from 96 if IPv4-mapped))"
#define SOCKET "expected a path of at most 107 bytes from the root, unix:PATH, or tcp:HOST:PORT\n"
#define NETWORK "expected an address or network such as \"192.0.2.0/24\" or \"2001:db8::/32\" "

#define SNAT "expected an address or network such as \"192.0.2.0/24\", with or without \":1024-65535\" "
#define SNAT_PORTS SNAT "(ports are written as in 192.0.2.1:1024-65535 or [2001:db8::1]:1024-65535)\n"

static const struct {
	const char *text, *reports;
} mistakes[] = {
	/* names */
	{"\npol-interval = 5\n", "2: unknown setting \"pol-interval\" in the file, expected one of: " TOP_NAMES "\n"},
	{"pool-interval = 5", "1: unknown setting \"pool-interval\" in the file, expected one of: " TOP_NAMES "\n"},
	{"POOL \"x\" { }", "1: unknown setting \"POOL\" in the file, expected one of: " TOP_NAMES "\n"},
	{"pool \"x\" {\n\tkinds = connect\n}",
		"2: unknown setting \"kinds\" in pool, expected one of: " POOL_NAMES "\n"},
	{"pool \"x\" {\n warning {\n  raise = 5\n }\n}",
		"3: unknown setting \"raise\" in warning, expected one of: rise, fall\n"},
	{"warning {\n rise = 20\n min-used = 5\n}",
		"3: unknown setting \"min-used\" in warning, expected one of: rise, fall\n"},
	{"exhausted { rise = 99 }", "1: unknown setting \"rise\" in exhausted, expected one of: fall\n"},
	{"nothing \"x\" {\n a = 5\n b { c = { 1 } }\n}\nelse { }\n",
		"1: unknown setting \"nothing\" in the file, expected one of: " TOP_NAMES "\n"},
	{"\ninclude(\"/etc/passwd\")\ntop = 0",
		"2: unknown setting \"include\" in the file, expected one of: " TOP_NAMES "\n"},
	{"warning|rise = 5", "1: unknown setting \"warning|rise\" in the file, expected one of: " TOP_NAMES "\n"},
	{"@line = 5", "1: unknown setting \"@line\" in the file, expected one of: " TOP_NAMES "\n"},
	{"\"top\" = 5", "1: unexpected \"top\" here, expected the name of a setting\n"},
	/* structure of a setting */
	{"\nmin-used 5\ntop = 5", "2: \"=\" is missing, expected min-used = VALUE\n"},
	{"pool \"x\" { port 443 }", "1: \"=\" is missing, expected port = { VALUE, ... }\n"},
	{"linger =\ntop = 5", "1: \"linger\" has no value, expected one after \"=\"\n"},
	{"linger =", "1: \"linger\" has no value, expected one after \"=\"\n"},
	{"notify { for = }", "1: \"for\" has no value, expected one after \"=\"\n"},
	{"top = = 5", "1: \"top\" has no value, expected one after \"=\"\n"},
	{"top += 4", "1: \"+=\" after \"top\", expected \"=\": it is no list\n"},
	{"top = 5\n\ntop = 6\n", "3: \"top\" stands here again, expected it once in the file (first on line 1)\n"},
	{"pool \"x\" { port = 5\nport = 6 }",
		"2: \"port\" stands here again, expected it once in pool (first on line 1)\n"},
	{"snat { }\nsnat { }", "2: \"snat\" stands here again, expected it once in the file (first on line 1)\n"},
	{"pool \"x\" {\nwarning { rise = 30 }\nwarning { rise = 31 }\n}",
		"3: \"warning\" stands here again, expected it once in pool (first on line 2)\n"},
	{"max-rows = { 5 }", "1: \"max-rows\" has a list, expected one value without braces\n"},
	{"\n*", "2: unexpected \"*\" here, expected the name of a setting\n"},
	{"top = 5;\n", "1: \"top\" is \"5;\", expected a whole number from 1 to 1000\n"},
	/* lists */
	{"pool \"x\" {\n remote = { }\n}",
		"2: the list of \"remote\" is empty, expected at least one value (without \"remote\" every one matches)\n"},
	{"pool \"x\" {\n port = { 1\n 2 }\n}", "3: unexpected \"2\" in a list, expected \",\" between its values\n"},
	{"pool \"x\" { port = { 1, , 2 } }",
		"1: unexpected \",\" in a list, expected values with \",\" between them, and \"}\"\n"},
	{"pool \"x\" { port = { 1, { 2 }, 3 } }\ntop = 0",
		"1: unexpected \"{\" in a list, expected values with \",\" between them, and \"}\"\n"},
	{"namespaces {\n names = { \"a\",\n all = true\n}\n",
		"2: the list of \"names\" is not closed, expected \"}\"\n"},
	/* sections */
	{"notify = 5", "1: unexpected \"=\" after \"notify\", expected \"{\": it is a section\n"},
	{"notify = { for = 5 }", "1: unexpected \"=\" after \"notify\", expected \"{\": it is a section\n"},
	{"snat \"title\" { }", "1: unexpected \"title\" after \"snat\", expected \"{\": it is a section\n"},
	{"pool {\n port = 0\n}", "1: \"pool\" has no title, expected pool \"TITLE\" { ... }\n"},
	{"pool = 5", "1: \"pool\" has no title, expected pool \"TITLE\" { ... }\n"},
	{"pool \"x\"\n", "1: unexpected end of file after \"pool\", expected \"{\": it is a section\n"},
	{"pool \"\" { }", "1: the title of \"pool\" has 0 bytes, expected 1 to 63\n"},
	{"pool \"0123456789012345678901234567890123456789012345678901234567890123\" { }",
		"1: the title of \"pool\" has 64 bytes, expected 1 to 63\n"},
	{"pool \"a\tb\" { }", "1: the title of \"pool\" contains a tab or carriage return, expected none\n"},
	{"\npool \"q\" {\n kind = connect\n",
		"2: section \"pool\" is not closed, expected \"}\" before end of file on line 4\n"},
	{"warning {\n rise = 20\nagentx {\n ping-interval = 0\n}",
		"3: unknown setting \"agentx\" in warning, expected one of: rise, fall\n"},
	{"unknown {\n", "1: unknown setting \"unknown\" in the file, expected one of: " TOP_NAMES "\n"},
	{"top = 5\n}\n", "2: unexpected \"}\" that closes nothing, expected the name of a setting\n"},
	/* strings and comments */
	{"\nsnmp { include = \"/etc/x\n}\n", "2: string is not closed, expected \" on the same line\n"},
	{"pool 'x", "1: string is not closed, expected ' on the same line\n"},
	{"pool \"x\\", "1: unknown escape in a string, expected one of \\\\ \\\" \\' \\$ after the backslash\n"},
	{"top = 5\n/* one\ntwo", "2: comment is not closed, expected \"*/\"\n"},
	{"agentx {\n socket = \"/run/${USER}/x\"\n}",
		"2: \"${\" in a string: environment variables are not used here, "
		"expected the value itself (or \"\\${\" for these two characters)\n"},
	{"snmp { include = ${HOME} }", "1: unexpected \"{\" here, expected the name of a setting\n"},
	{"pool \"a\\nb\" { }",
		"1: unknown escape in a string, expected one of \\\\ \\\" \\' \\$ after the backslash\n"},
	{"pool \"a\\0b\" { }",
		"1: unknown escape in a string, expected one of \\\\ \\\" \\' \\$ after the backslash\n"},
	/* bytes */
	{"top = 5\n\x01", "2: byte 0x01 is not text, expected UTF-8 without control characters\n"},
	{"\x7f"
	 "ELF",
		"1: byte 0x7f is not text, expected UTF-8 without control characters\n"},
	{"# caf\xe9\n", "1: byte 0xe9 is not text, expected UTF-8 without control characters\n"},
	{"# \xc0\x80\n", "1: byte 0xc0 is not text, expected UTF-8 without control characters\n"},
	{"# \xed\xa0\x80\n", "1: byte 0xed is not text, expected UTF-8 without control characters\n"},
	{"# \xf4\x90\x80\x80\n", "1: byte 0xf4 is not text, expected UTF-8 without control characters\n"},
	{"# \xe2\x82", "1: byte 0xe2 is not text, expected UTF-8 without control characters\n"},
	/* numbers */
	{"pool \"x\" {\n fast-free-below = 65537\n capacity = 0\n}",
		"2: \"fast-free-below\" is \"65537\", expected a whole number from 0 to 65536\n"
		"3: \"capacity\" is \"0\", expected a whole number from 1 to 65536\n"},
	{"pool \"x\" { ports = { \"10000-10499\", 10500 } }",
		"1: \"ports\" contains \"10500\", expected ports such as \"10000-10499\", from 1 to 65535\n"},
	{"pool \"x\" { ports = \"10-9\" }",
		"1: \"ports\" contains \"10-9\", expected ports such as \"10000-10499\", from 1 to 65535\n"},
	{"pool \"x\" { ports = { } }",
		"1: the list of \"ports\" is empty, expected at least one value (without \"ports\" every one matches)\n"},
	{"top = ten", "1: \"top\" is \"ten\", expected a whole number from 1 to 1000\n"},
	{"top = -1", "1: \"top\" is \"-1\", expected a whole number from 1 to 1000\n"},
	{"top = 1.5", "1: \"top\" is \"1.5\", expected a whole number from 1 to 1000\n"},
	{"top = 0x10", "1: \"top\" is \"0x10\", expected a whole number from 1 to 1000\n"},
	{"top = \" 5\"", "1: \"top\" is \" 5\", expected a whole number from 1 to 1000\n"},
	{"top = \"\"", "1: \"top\" is \"\", expected a whole number from 1 to 1000\n"},
	{"top = 18446744073709551617",
		"1: \"top\" is \"18446744073709551617\", expected a whole number from 1 to 1000\n"},
	{"pool \"x\" {\n port = {\n 443,\n 65536,\n http } }",
		"4: \"port\" contains \"65536\", expected a whole number from 1 to 65535\n"
		"5: \"port\" contains \"http\", expected a whole number from 1 to 65535\n"},
	{"top = "
	 "0123456789012345678901234567890123456789012345678901234567890123456789",
		"1: \"top\" is \"012345678901234567890123456789012345678901234567890123456789...\", "
		"expected a whole number from 1 to 1000\n"},
	/* seconds */
	{"poll-interval = 10s",
		"1: \"poll-interval\" is \"10s\", expected 0 or seconds from 0.01 to 3600, with at most three decimals\n"},
	{"agentx { ping-interval = 0 }",
		"1: \"ping-interval\" is \"0\", expected seconds from 1 to 3600, with at most three decimals\n"},
	{"poll-interval = 0.009",
		"1: \"poll-interval\" is \"0.009\", expected 0 or seconds from 0.01 to 3600, with at most three decimals\n"},
	{"poll-interval = 3600.001",
		"1: \"poll-interval\" is \"3600.001\", expected 0 or seconds from 0.01 to 3600, with at most three decimals\n"},
	{"poll-interval = 1e3",
		"1: \"poll-interval\" is \"1e3\", expected 0 or seconds from 0.01 to 3600, with at most three decimals\n"},
	{"poll-interval = nan",
		"1: \"poll-interval\" is \"nan\", expected 0 or seconds from 0.01 to 3600, with at most three decimals\n"},
	{"poll-interval = .",
		"1: \"poll-interval\" is \".\", expected 0 or seconds from 0.01 to 3600, with at most three decimals\n"},
	{"poll-interval = 1.2.3",
		"1: \"poll-interval\" is \"1.2.3\", expected 0 or seconds from 0.01 to 3600, with at most three decimals\n"},
	{"poll-interval = 0.0125",
		"1: \"poll-interval\" is \"0.0125\", expected 0 or seconds from 0.01 to 3600, with at most three decimals\n"},
	{"agentx { reconnect-interval = 0.05 }",
		"1: \"reconnect-interval\" is \"0.05\", expected seconds from 0.1 to 3600, with at most three decimals\n"},
	/* words */
	{"backend = ebpf", "1: \"backend\" is \"ebpf\", expected one of auto, bpf, netlink\n"},
	{"probe = sometimes", "1: \"probe\" is \"sometimes\", expected one of auto, on, off\n"},
	{"events = true", "1: \"events\" is \"true\", expected one of auto, on, off\n"},
	{"connect-failures = 1", "1: \"connect-failures\" is \"1\", expected one of true, false, yes, no, on, off\n"},
	{"pool \"x\" { kind = listen }", "1: \"kind\" contains \"listen\", expected one of connect, bind, snat\n"},
	{"pool \"x\" { protocol = sctp }", "1: \"protocol\" contains \"sctp\", expected one of tcp, udp\n"},
	/* addresses */
	{"pool \"x\" {\n remote = {\n \"10.0.0.0/8\",\n \"10.0.0.1/8\" }\n}",
		"4: \"remote\" contains \"10.0.0.1/8\", " NETWORK "(bits are set right of the prefix length)\n"},
	{"ignore { local = 10.0.0.0/33 }", "1: \"local\" contains \"10.0.0.0/33\", " NETWORK PREFIX "\n"},
	{"ignore { local = \"::ffff:10.0.0.0/24\" }",
		"1: \"local\" contains \"::ffff:10.0.0.0/24\", " NETWORK PREFIX "\n"},
	{"ignore { local = \"::ffff:10.0.0.0/129\" }",
		"1: \"local\" contains \"::ffff:10.0.0.0/129\", " NETWORK PREFIX "\n"},
	{"ignore { local = \"::ffff:10.0.0.1/120\" }",
		"1: \"local\" contains \"::ffff:10.0.0.1/120\", " NETWORK
		"(bits are set right of the prefix length)\n"},
	{"snat { addresses = \"host.example\" }",
		"1: \"addresses\" contains \"host.example\", " SNAT "(not an IPv4 or IPv6 address)\n"},
	{"snat { addresses = \"192.0.2.1:0-10\" }", "1: \"addresses\" contains \"192.0.2.1:0-10\", " SNAT_PORTS},
	{"snat { addresses = \"192.0.2.1:10-9\" }", "1: \"addresses\" contains \"192.0.2.1:10-9\", " SNAT_PORTS},
	{"snat { addresses = \"192.0.2.1:10\" }", "1: \"addresses\" contains \"192.0.2.1:10\", " SNAT_PORTS},
	{"snat { addresses = \"192.0.2.1:1-65536\" }", "1: \"addresses\" contains \"192.0.2.1:1-65536\", " SNAT_PORTS},
	{"snat { addresses = \"[2001:db8::1]1-2\" }", "1: \"addresses\" contains \"[2001:db8::1]1-2\", " SNAT_PORTS},
	{"snat { addresses = \"[2001:db8::1\" }",
		"1: \"addresses\" contains \"[2001:db8::1\", " SNAT "(not an IPv4 or IPv6 address)\n"},
	{"snat {\n warning { rise = 95 }\n}",
		"2: \"warning\" rises at 95, expected less than the rise of \"critical\", 85\n"},
	{"snat {\n critical {\n rise = 80\n fall = 80\n }\n}",
		"2: \"critical\" falls at 80, expected less than its rise of 80\n"},
	{"pool \"x\" {\n kind = snat\n critical { rise = 60 }\n}",
		"3: \"warning\" rises at 70, expected less than the rise of \"critical\", 60\n"},
	/* texts */
	{"agentx { socket = \"\" }", "1: \"socket\" has 0 bytes, expected 1 to 255\n"},
	{"agentx { socket = run/agentx }", "1: \"socket\" is \"run/agentx\", " SOCKET},
	{"agentx { socket = \"unix:agentx\" }", "1: \"socket\" is \"unix:agentx\", " SOCKET},
	{"agentx { socket = \"udp:localhost:705\" }", "1: \"socket\" is \"udp:localhost:705\", " SOCKET},
	{"agentx { socket = \"tcp:\" }", "1: \"socket\" is \"tcp:\", " SOCKET},
	{"agentx { socket = \"tcp:localhost:0\" }", "1: \"socket\" is \"tcp:localhost:0\", " SOCKET},
	{"agentx { socket = \"tcp:localhost:agentx\" }", "1: \"socket\" is \"tcp:localhost:agentx\", " SOCKET},
	{"agentx { socket = \"tcp:[::1]\" }", "1: \"socket\" is \"tcp:[::1]\", " SOCKET},
	{"namespaces { names = \"a/b\" }",
		"1: \"names\" contains \"a/b\", expected a namespace name as ip-netns(8) lists it, not a path\n"},
	{"namespaces { names = { \"..\" } }",
		"1: \"names\" contains \"..\", expected a namespace name as ip-netns(8) lists it, not a path\n"},
	{"namespaces { max-sockets = -1 }",
		"1: \"max-sockets\" is \"-1\", expected a whole number from 0 to 2147483647\n"},
	{"namespaces { max-sockets = 2147483648 }",
		"1: \"max-sockets\" is \"2147483648\", expected a whole number from 0 to 2147483647\n"},
	{"namespaces { names = { \"\" } }", "1: \"names\" has 0 bytes, expected 1 to 255\n"},
	{"pool \"x\" { namespace = \"/run/netns/a\" }",
		"1: \"namespace\" is \"/run/netns/a\", expected a namespace name as ip-netns(8) lists it, not a path\n"},
	/* between settings: at the line of their section */
	{"\nwarning {\n rise = 50\n fall = 60\n}", "2: \"warning\" falls at 60, expected less than its rise of 50\n"},
	{"critical { rise = 70 fall = 70 }", "1: \"critical\" falls at 70, expected less than its rise of 70\n"},
	{"warning { fall = 50 }", "1: \"warning\" falls at 50, expected less than its rise of 50\n"},
	{"warning { rise = 80 }", "1: \"warning\" rises at 80, expected less than the rise of \"critical\", 80\n"},
	{"critical { rise = 60 }\n\nwarning { rise = 70 }",
		"3: \"warning\" rises at 70, expected less than the rise of \"critical\", 60\n"},
	{"pool \"x\" {\n warning { rise = 90 }\n}",
		"2: \"warning\" rises at 90, expected less than the rise of \"critical\", 80\n"},
	{"pool \"x\" {\n critical { rise = 40 }\n}",
		"2: \"warning\" rises at 50, expected less than the rise of \"critical\", 40\n"},
	{"warning { rise = 101 fall = 70 }\npool \"x\" { warning { fall = 5 } }\n",
		"1: \"rise\" is \"101\", expected a whole number from 0 to 100\n"},
	{"\npool \"x\" { warning { fall = 55 } }\nwarning { rise = 70 fall = 70 }",
		"3: \"warning\" falls at 70, expected less than its rise of 70\n"},
	{"poll-interval = 10\nidle-interval = 9.5",
		"2: \"idle-interval\" is 9.5 seconds, expected 0 or at least the poll-interval of 10\n"},
	{"\npool \"x\" {\n kind = bind\n port = 5\n}",
		"2: \"pool\" can't match: a bind pool has no remote address or port, "
		"expected \"remote\" and \"port\" only with other kinds\n"},
	{"ignore {\n kind = connect\n protocol = udp\n}",
		"1: \"ignore\" can't match: connect pools are TCP only, expected kind = bind for UDP\n"},
	{"\npool \"x\" {\n local = { 10.0.0.1, 10.0.0.2 }\n remote = \"2001:db8::/32\"\n}",
		"2: \"pool\" can't match: \"local\" and \"remote\" have no address family in common, "
		"expected IPv4 with IPv4 or IPv6 with IPv6\n"},
	{"top = 5\nignore { }",
		"2: \"ignore\" would hide every pool, expected at least one of kind, protocol, local, remote, port, "
		"namespace\n"},
	/* line numbers behind everything that spans lines, and all mistakes in the values of a file */
	{"# 1\n// 2\n/* 3\n4 */ /* 5 */\n\n# 6\ntop = 0 # 7\r\nlinger = # 8\n x\n\npool \"x\" # 11\n{ # 12\n"
	 " remote = { \"10.0.0.1\", # 13\n  # 14\n  \"10.0.0.x\" } }\n",
		"7: \"top\" is \"0\", expected a whole number from 1 to 1000\n"
		"9: \"linger\" is \"x\", expected a whole number from 0 to 86400\n"
		"15: \"remote\" contains \"10.0.0.x\", " NETWORK "(not an IPv4 or IPv6 address)\n"},
	/* what is wrong in the structure comes first, and alone */
	{"top = 0\n*", "2: unexpected \"*\" here, expected the name of a setting\n"},
};

static void test_mistakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		expect_reports(mistakes[i].text, mistakes[i].reports);
}

/* What a mistake leaves behind must not touch the next file. */
static void test_good_after_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		expect_reports(mistakes[i].text, mistakes[i].reports);
		pw_config_free(read_good("pool \"x\" { port = { 1, 2 } }\ntop = 7\n"));
	}
}

static void test_embedded_nul(void **state)
{
	static struct log log;

	(void)state;
	write_file("top = 5\n\0top = 6\n", 17);
	log.n = 0;
	assert_null(pw_config_read(path, collect, &log));
	assert_string_equal(log.text, "2: byte 0x00 is not text, expected UTF-8 without control characters\n");
}

static void expect_unreadable(const char *file, const char *reports)
{
	static struct log log;

	log.n = 0;
	assert_null(pw_config_read(file, collect, &log));
	assert_string_equal(log.text, reports);
}

static void test_unreadable(void **state)
{
	char fifo[64];

	(void)state;
	expect_unreadable("/nonexistent/portwatchd.conf", "0: can't be read: No such file or directory\n");
	expect_unreadable(dir, "0: is a directory, expected a file\n");
	expect_unreadable("/proc/self/mem", "0: can't be read: Input/output error\n");
	expect_unreadable("/dev/zero", "0: is too large, expected at most 1048576 bytes\n");
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	expect_unreadable(fifo, "0: is a pipe, socket or block device, expected a file\n");
	unlink(fifo);
}

static void test_not_permitted(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip(); /* root may read everything */
	write_file("", 0);
	assert_int_equal(chmod(path, 0), 0);
	expect_unreadable(path, "0: can't be read: Permission denied\n");
	assert_int_equal(unlink(path), 0);
}

static void fill(char *text, size_t size, const char *piece)
{
	size_t n = strlen(piece);

	for (size_t i = 0; i < size; i++)
		text[i] = piece[i % n];
}

static void test_size_limit(void **state)
{
	size_t size = 1024 * 1024;
	char *text = malloc(size + 1);

	(void)state;
	assert_non_null(text);
	fill(text, size + 1, "# x\n");
	write_file(text, size + 1);
	expect_unreadable(path, "0: is too large, expected at most 1048576 bytes\n");
	write_file(text, size);
	pw_config_free(pw_config_read(path, collect, NULL));
	free(text);
}

/* A file that is no configuration at all shows a bounded number of mistakes. */
static void test_flood(void **state)
{
	static struct log log;
	char text[4000] = "pool \"x\" { port = {\n";
	size_t n = strlen(text);

	(void)state;
	fill(text + n, sizeof(text) - n, "0,\n");
	memcpy(text + sizeof(text) - 4, "\n}}\n", 4);
	write_file(text, sizeof(text));
	log.n = 0;
	assert_null(pw_config_read(path, collect, &log));
	assert_non_null(strstr(log.text, "101: \"port\" contains \"0\""));
	assert_null(strstr(log.text, "102: \"port\""));
	assert_non_null(strstr(log.text, "0: more mistakes are not shown\n"));
}

static void test_section_limit(void **state)
{
	static struct log log;
	struct pw_config *config;
	char *text = malloc(16 * (PW_SECTIONS_MAX + 2) + 1);
	size_t n = 0;

	(void)state;
	assert_non_null(text);
	for (unsigned i = 0; i < PW_SECTIONS_MAX; i++)
		n += (size_t)sprintf(text + n, "pool \"x\" { }\n");
	config = read_good(text);
	assert_int_equal(config->policy.n_rules, PW_SECTIONS_MAX);
	pw_config_free(config);
	sprintf(text + n, "pool \"x\" { }\npool \"x\" { }\n");
	assert_null(read_text(text, &log));
	assert_string_equal(log.text, "1001: too many \"pool\" sections, expected at most 1000\n");
	free(text);
}

/* --- good files --------------------------------------------------------------------------------------------------- */

static void assert_thresholds(const struct pw_thresholds *t, const struct pw_thresholds *expected)
{
	assert_int_equal(t->warning.rise, expected->warning.rise);
	assert_int_equal(t->warning.fall, expected->warning.fall);
	assert_int_equal(t->critical.rise, expected->critical.rise);
	assert_int_equal(t->critical.fall, expected->critical.fall);
	assert_int_equal(t->exhausted_fall, expected->exhausted_fall);
	assert_int_equal(t->free_below, expected->free_below);
	assert_int_equal(t->fast_free_below, expected->fast_free_below);
	assert_int_equal(t->forecast_within, expected->forecast_within);
	assert_int_equal(t->for_polls, expected->for_polls);
}

static void assert_defaults(const struct pw_config *c)
{
	const struct pw_thresholds *t = &c->policy.defaults;

	assert_int_equal(c->poll_interval_ms, 0);
	assert_int_equal(c->backend, PW_BACKEND_AUTO);
	assert_int_equal(c->idle_interval_ms, 0);
	assert_int_equal(c->probe, PW_PROBE_AUTO);
	assert_true(c->connect_failures);
	assert_int_equal(c->policy.min_used, 64);
	assert_int_equal(c->policy.max_rows, 500);
	assert_int_equal(c->policy.max_alarms, 10000);
	assert_null(c->state_file);
	assert_int_equal(c->policy.linger_s, 600);
	assert_int_equal(c->policy.top, 10);
	assert_int_equal(c->policy.n_rules, 0);
	assert_int_equal(c->policy.n_ignore, 0);
	assert_int_equal(t->warning.rise, 50);
	assert_int_equal(t->warning.fall, 45);
	assert_int_equal(t->critical.rise, 80);
	assert_int_equal(t->critical.fall, 75);
	assert_int_equal(t->exhausted_fall, 98);
	assert_int_equal(t->free_below, 0);
	assert_int_equal(t->forecast_within, 0);
	assert_int_equal(t->for_polls, 1);
	assert_int_equal(c->notify.max_per_minute, 60);
	assert_int_equal(c->notify.max_flaps, 10);
	assert_int_equal(c->notify.renotify_s, 0);
	assert_string_equal(c->agentx.socket, "/var/agentx/master");
	assert_int_equal(c->agentx.ping_interval_ms, 15000);
	assert_int_equal(c->agentx.reconnect_interval_ms, 2000);
	assert_string_equal(c->snmp.include, "/etc/portwatch/snmp.conf");
	assert_null(c->metrics.listen);
	assert_string_equal(c->control.socket, "/run/portwatch/portwatch.sock");
	assert_false(c->namespaces.all);
	assert_int_equal(c->namespaces.n_names, 0);
	assert_int_equal(c->namespaces.max_sockets, 1000000);
	assert_int_equal(c->snat.n_ranges, 0);
	assert_thresholds(&c->policy.snat, (&(struct pw_thresholds){{70, 65}, {85, 80}, 98, 0, 0, 0, 1}));
	assert_thresholds(&c->policy.conntrack, (&(struct pw_thresholds){{80, 75}, {95, 90}, 99, 0, 0, 0, 1}));
	assert_int_equal(c->snat.interval_s, 60);
}

static void test_defaults(void **state)
{
	static const char *const empty[] = {
		"", "\n", "# only a comment", "/**/", "\xef\xbb\xbf\r\n", "notify { } snat { } warning { }"};
	struct pw_config *config = pw_config_defaults();

	(void)state;
	assert_non_null(config);
	assert_defaults(config);
	pw_config_free(config);
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		config = read_good(empty[i]);
		assert_defaults(config);
		pw_config_free(config);
	}
	pw_config_free(NULL);
}

/* By member: the struct has holes. */
static void test_every_setting(void **state)
{
	struct pw_config *c = read_good(
		"poll-interval = 2.5 idle-interval = 0060.25\nmin-used = 0 max-rows = 0 max-alarms = 1 linger = 0 top = 1000 state-file = /s\n"
		"probe = Off connect-failures = NO events = ON\n"
		"warning { rise = 20 fall = 10 } critical { rise = 30 fall = 25 } exhausted { fall = 90 } forecast { warn-within = 600 }\n"
		"notify { for = 3 max-per-minute = 0 max-flaps = 0 renotify = 3600 }\n"
		"agentx { socket = tcp:localhost:705 ping-interval = 1.5 reconnect-interval = .25 }\n"
		"snmp { include = \"/a b/c\\\"\\\\d\" }\n"
		"namespaces { all = on names = { 'blue', \"re\\$d\", green } max-sockets = 5 }\n"
		"snat { addresses = { 198.51.100.1, \"2001:db8::/64\" } interval = 5 }\n");

	(void)state;
	assert_int_equal(c->poll_interval_ms, 2500);
	assert_int_equal(c->idle_interval_ms, 60250);
	assert_int_equal(c->policy.min_used, 1);
	assert_int_equal(c->policy.max_rows, 0);
	assert_int_equal(c->policy.max_alarms, 1);
	assert_string_equal(c->state_file, "/s");
	assert_int_equal(c->policy.linger_s, 0);
	assert_int_equal(c->policy.top, 1000);
	assert_int_equal(c->probe, PW_PROBE_OFF);
	assert_false(c->connect_failures);
	assert_thresholds(&c->policy.defaults, (&(struct pw_thresholds){{20, 10}, {30, 25}, 90, 0, 0, 600, 3}));
	assert_int_equal(c->notify.max_per_minute, 0);
	assert_int_equal(c->notify.max_flaps, 0);
	assert_int_equal(c->notify.renotify_s, 3600);
	assert_string_equal(c->agentx.socket, "tcp:localhost:705");
	assert_int_equal(c->agentx.ping_interval_ms, 1500);
	assert_int_equal(c->agentx.reconnect_interval_ms, 250);
	assert_string_equal(c->snmp.include, "/a b/c\"\\d");
	assert_true(c->namespaces.all);
	assert_int_equal(c->namespaces.n_names, 3);
	assert_int_equal(c->namespaces.max_sockets, 5);
	assert_string_equal(c->namespaces.names[0], "blue");
	assert_string_equal(c->namespaces.names[1], "re$d");
	assert_string_equal(c->namespaces.names[2], "green");
	assert_int_equal(c->snat.n_ranges, 2);
	assert_int_equal(c->snat.ranges[0].addresses.prefix, 32);
	assert_int_equal(c->snat.ranges[1].addresses.prefix, 64);
	assert_int_equal(c->snat.ranges[1].addresses.address.family, AF_INET6);
	assert_int_equal(c->snat.interval_s, 5);
	pw_config_free(c);
}

static void test_snat(void **state)
{
	struct pw_config *c = read_good(
		"warning { rise = 30 } exhausted { fall = 90 } notify { for = 4 }\n"
		"snat { addresses = { 192.0.2.1, \"192.0.2.2:2000-2999\", \"10.0.0.0/8:1-65535\",\n"
		"  \"2001:db8::1\", \"[2001:db8::2]\", \"[2001:db8::/64]:1024-2047\", \"::/0\" }\n"
		"  critical { rise = 90 } forecast { warn-within = 60 } }\n"
		"pool \"a\" { kind = snat  warning { rise = 20 } }\n"
		"pool \"b\" { kind = { snat, connect } }\n"
		"pool \"c\" { free-below = 5 }\n");
	static const struct {
		uint32_t family;
		uint8_t prefix;
		uint16_t low, high;
	} expected[] = {{AF_INET, 32, 1024, 65535}, {AF_INET, 32, 2000, 2999}, {AF_INET, 8, 1, 65535},
		{AF_INET6, 128, 1024, 65535}, {AF_INET6, 128, 1024, 65535}, {AF_INET6, 64, 1024, 2047},
		{AF_INET6, 0, 1024, 65535}};

	(void)state;
	assert_int_equal(c->snat.n_ranges, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < c->snat.n_ranges; i++) {
		assert_int_equal(c->snat.ranges[i].addresses.address.family, expected[i].family);
		assert_int_equal(c->snat.ranges[i].addresses.prefix, expected[i].prefix);
		assert_int_equal(c->snat.ranges[i].low, expected[i].low);
		assert_int_equal(c->snat.ranges[i].high, expected[i].high);
	}
	/* a warning and a critical threshold of its own, the rest from the file */
	assert_thresholds(&c->policy.snat, (&(struct pw_thresholds){{70, 65}, {90, 85}, 90, 0, 0, 60, 4}));
	assert_thresholds(&c->policy.defaults, (&(struct pw_thresholds){{30, 25}, {80, 75}, 90, 0, 0, 0, 4}));
	assert_thresholds(
		&c->policy.rules[0].thresholds, (&(struct pw_thresholds){{20, 15}, {90, 85}, 90, 0, 0, 60, 4}));
	assert_thresholds(
		&c->policy.rules[1].thresholds, (&(struct pw_thresholds){{30, 25}, {80, 75}, 90, 0, 0, 0, 4}));
	assert_thresholds(
		&c->policy.rules[2].thresholds, (&(struct pw_thresholds){{30, 25}, {80, 75}, 90, 5, 0, 0, 4}));
	pw_config_free(c);
}

static void test_pool(void **state)
{
	struct pw_config *c = read_good(
		"pool \"payment gateway\" { kind = connect local = \"10.0.0.0/24\" remote = { \"203.0.113.0/24\", # the first\n"
		" \"2001:db8::1\", } port = { 443, 8443 } namespace = \"blue\" free-below = 2000 for = 4\n"
		" fast-free-below = 20 capacity = 1024 ports = { \"1024-2047\", \"9000-9000\" }\n"
		" warning { rise = 30 fall = 25 } exhausted { fall = 50 } forecast { warn-within = 60 } }\n"
		"pool \"payment gateway\" { kind = { bind, snat } protocol = { tcp, udp } remote += 192.0.2.1 remote += 192.0.2.2\n"
		" namespace = '' }\n");
	const struct pw_rule *first = &c->policy.rules[0], *second = &c->policy.rules[1];

	(void)state;
	assert_int_equal(c->policy.n_rules, 2);
	assert_string_equal(first->label, "payment gateway");
	assert_int_equal(first->match.kinds, 1u << PW_KIND_CONNECT);
	assert_int_equal(first->match.protocols, PW_MATCH_TCP);
	assert_int_equal(first->match.n_local, 1);
	assert_int_equal(first->match.n_remote, 2);
	assert_int_equal(first->match.remote[1].prefix, 128);
	assert_int_equal(first->match.n_ports, 2);
	assert_int_equal(first->match.ports[1], 8443);
	assert_string_equal(first->match.ns, "blue");
	assert_int_equal(first->capacity, 1024);
	assert_int_equal(pw_portset_count(first->ports), 1025);
	assert_true(pw_portset_has(first->ports, 1024) && pw_portset_has(first->ports, 2047) &&
		pw_portset_has(first->ports, 9000));
	assert_null(second->ports);
	assert_int_equal(second->capacity, 0);
	assert_thresholds(&first->thresholds, (&(struct pw_thresholds){{30, 25}, {80, 75}, 50, 2000, 20, 60, 4}));
	assert_string_equal(second->label, "payment gateway");
	assert_int_equal(second->match.kinds, 1u << PW_KIND_BIND | 1u << PW_KIND_SNAT);
	assert_int_equal(second->match.protocols, PW_MATCH_TCP | PW_MATCH_UDP);
	assert_int_equal(second->match.n_remote, 2);
	assert_string_equal(second->match.ns, "");
	assert_thresholds(&second->thresholds, &c->policy.defaults);
	pw_config_free(c);
}

static void test_ignore(void **state)
{
	struct pw_config *c = read_good(
		"ignore { remote = { \"198.51.100.0/24\" } }\nignore { kind = bind protocol = udp }\n"
		"ignore { local = { \"::ffff:10.0.0.0/104\", \"::ffff:0:0/96\", \"::ffff:10.0.0.1\", \"::/0\" } }\n");
	const struct pw_cidr *local = c->policy.ignore[2].local;

	(void)state;
	assert_int_equal(c->policy.n_ignore, 3);
	assert_int_equal(c->policy.ignore[0].n_remote, 1);
	assert_int_equal(c->policy.ignore[0].kinds, 0);
	assert_null(c->policy.ignore[0].ns);
	assert_int_equal(c->policy.ignore[1].kinds, 1u << PW_KIND_BIND);
	assert_int_equal(c->policy.ignore[1].protocols, PW_MATCH_UDP);
	for (int i = 0; i < 3;
		i++) /* IPv4-mapped networks are IPv4, their prefix lengths count from the start of the IPv6 address */
		assert_int_equal(local[i].address.family, AF_INET);
	assert_int_equal(local[0].prefix, 8);
	assert_int_equal(local[1].prefix, 0);
	assert_int_equal(local[2].prefix, 32);
	assert_int_equal(local[3].address.family, AF_INET6);
	assert_int_equal(local[3].prefix, 0);
	pw_config_free(c);
}

/* What a pool leaves out comes from the file, wherever in the file it stands; a rise without fall falls 5 lower. */
static void test_inheritance(void **state)
{
	static const struct {
		const char *text;
		struct pw_thresholds expected;
	} cases[] = {
		{"pool \"x\" { }", {{50, 45}, {80, 75}, 98, 0, 0, 0, 1}},
		{"pool \"x\" { }\nwarning { rise = 20 } exhausted { fall = 7 } forecast { warn-within = 9 } notify { for = 2 }",
			{{20, 15}, {80, 75}, 7, 0, 0, 9, 2}},
		{"pool \"x\" { warning { rise = 30 } }", {{30, 25}, {80, 75}, 98, 0, 0, 0, 1}},
		{"pool \"x\" { warning { rise = 5 } }", {{5, 0}, {80, 75}, 98, 0, 0, 0, 1}},
		{"pool \"x\" { warning { rise = 3 } }", {{3, 0}, {80, 75}, 98, 0, 0, 0, 1}},
		{"pool \"x\" { warning { fall = 20 } }", {{50, 20}, {80, 75}, 98, 0, 0, 0, 1}},
		{"warning { rise = 40 fall = 10 } pool \"x\" { warning { } }", {{40, 10}, {80, 75}, 98, 0, 0, 0, 1}},
		{"pool \"x\" { critical { rise = 100 } }", {{50, 45}, {100, 95}, 98, 0, 0, 0, 1}},
		{"pool \"x\" { warning { rise = 0 } }", {{0, 0}, {80, 75}, 98, 0, 0, 0, 1}},
		{"pool \"x\" { critical { rise = 0 } warning { rise = 90 } }", {{90, 85}, {0, 0}, 98, 0, 0, 0, 1}},
		{"warning { rise = 0 } pool \"x\" { warning { rise = 60 } }", {{60, 55}, {80, 75}, 98, 0, 0, 0, 1}},
		{"forecast { warn-within = 60 } pool \"x\" { forecast { warn-within = 0 } free-below = 65536 }",
			{{50, 45}, {80, 75}, 98, 65536, 0, 0, 1}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pw_config *c = read_good(cases[i].text);

		assert_thresholds(&c->policy.rules[0].thresholds, &cases[i].expected);
		pw_config_free(c);
	}
}

static void test_include_can_be_switched_off(void **state)
{
	struct pw_config *c = read_good("snmp { include = \"\" }");

	(void)state;
	assert_null(c->snmp.include);
	pw_config_free(c);
}

/* --- the grammar's own rules ---------------------------------------------------------------------------------------- */

static void check_table(const struct pw_setting *table)
{
	size_t n = 0;

	for (const struct pw_setting *d = table; d->name != NULL; d++, n++) {
		assert_true((d->type <= PW_POOL_SECTION) == (d->inside != NULL));
		assert_ptr_equal(pw_setting_find(table, d->name, strlen(d->name)), d);
		if (d->inside != NULL)
			check_table(d->inside);
	}
	assert_true(n > 0);
}

static void test_grammar(void **state)
{
	(void)state;
	check_table(pw_settings);
}

/* --- the manual, its example and the sample file ----------------------------------------------------------------------------------- */

/* What a document says about settings: "section name = default\n" each, "name" alone at the top of the file. */
struct document {
	char settings[16384];
	size_t n;
};

static void note(struct document *doc, const char *section, const char *name, const char *value)
{
	doc->n += (size_t)snprintf(doc->settings + doc->n, sizeof(doc->settings) - doc->n, "\n%s%s%s =%s%s", section,
		section[0] != '\0' ? " " : "", name, value[0] != '\0' ? " " : "", value);
	assert_true(doc->n < sizeof(doc->settings));
}

static FILE *open_source(const char *name)
{
	const char *srcdir = getenv("PW_SRCDIR");
	char file[512];
	FILE *f;

	snprintf(file, sizeof(file), "%s/%s", srcdir != NULL ? srcdir : ".", name);
	f = fopen(file, "r");
	if (f == NULL)
		fail_msg("%s can't be read", file);
	return f;
}

/* The manual has ".Ss SECTION" ("General" is the top), ".It Ic NAME No = ...", and a line "Default: VALUE.". */
static void read_manual(struct document *doc)
{
	FILE *f = open_source("man/portwatchd.conf.5");
	char line[512], section[64] = "", name[64] = "", value[256];

	*doc = (struct document){.n = 0};
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, ".Ss %63s", section) == 1) {
			note(doc, "", section, "");
			if (strcmp(section, "General") == 0)
				section[0] = '\0';
		}
		if (sscanf(line, ".It Ic %63s", name) == 1)
			note(doc, section, name, "");
		if (sscanf(line, "Default: %255[^\n]", value) == 1) {
			value[strlen(value) - 1] = '\0';
			note(doc, section, name, value);
		}
	}
	fclose(f);
	note(doc, "", "end", "");
}

/* The text of a file from the line behind `first` (NULL: from its start) up to `last`. `repeating` takes the "# " from
 * the sections that may repeat: they stand there as comments, between "# NAME" and "# }". */
static const char *read_lines(const char *name, const char *first, const char *last, bool repeating)
{
	static char text[16384];
	FILE *f = open_source(name);
	bool inside = first == NULL, section = false;
	char line[512];
	size_t n = 0;

	text[0] = '\0';
	while (fgets(line, sizeof(line), f) != NULL && !(inside && last != NULL && strcmp(line, last) == 0)) {
		section = repeating &&
			(section || strncmp(line, "# pool \"", 8) == 0 || strcmp(line, "# ignore {\n") == 0);
		if (inside)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", line + (section ? 2 : 0));
		assert_true(n < sizeof(text));
		section = section && strcmp(line, "# }\n") != 0;
		inside = inside || strcmp(line, first) == 0;
	}
	fclose(f);
	assert_true(n > 0);
	return text;
}

static const char *read_example(bool repeating)
{
	const char *text = read_lines("man/portwatchd.conf.5",
		"Every setting with its default; sections that may repeat are shown as comments:\n", ".Ed\n",
		repeating);

	assert_memory_equal(text, ".Bd ", 4);
	return strchr(text, '\n') + 1;
}

/* The example has one setting or brace on a line. */
static void note_example(struct document *doc)
{
	FILE *f;
	char line[512], path_of[3][130] = {"", "", ""}, joined[130], name[64], value[256];
	unsigned depth = 0;

	write_file(read_example(true), strlen(read_example(true)));
	f = fopen(path, "r");
	assert_non_null(f);
	*doc = (struct document){.n = 0};
	while (fgets(line, sizeof(line), f) != NULL) {
		char *p = line + strspn(line, " ");

		if (sscanf(p, "%63[a-z-] = %255[^#\n]", name, value) == 2) {
			for (size_t n = strlen(value); n > 0 && strchr(" \t", value[n - 1]) != NULL; n--)
				value[n - 1] = '\0';
			note(doc, path_of[depth], name, value);
		} else if (sscanf(p, "%63[a-z-]", name) == 1 && strstr(p, " {\n") != NULL) {
			note(doc, path_of[depth], name, "");
			assert_true(depth < 2);
			snprintf(joined, sizeof(joined), "%.63s%s%s", path_of[depth], depth > 0 ? " " : "", name);
			memcpy(path_of[++depth], joined, sizeof(joined));
		} else if (p[0] == '}' && depth > 0) {
			depth--;
		}
	}
	fclose(f);
	note(doc, "", "end", "");
}

/* Finds "\nsection name =" and copies what follows on the line. */
static bool find_setting(const struct document *doc, const char *section, const char *name, char value[256])
{
	char key[140];
	const char *p = doc->settings;
	bool found = false;

	snprintf(key, sizeof(key), "\n%s%s%s =", section, section[0] != '\0' ? " " : "", name);
	value[0] = '\0';
	while ((p = strstr(p, key)) != NULL) {
		p += strlen(key);
		found = true;
		if (*p == ' ')
			snprintf(value, 256, "%.*s", (int)strcspn(p + 1, "\n"), p + 1);
	}
	return found;
}

static void require_setting(
	const char *what, const struct document *doc, const char *section, const char *name, char value[256])
{
	if (!find_setting(doc, section, name, value))
		fail_msg("the %s lacks %s \"%s\"", what, section, name);
}

static void check_rule(const char *what, const struct document *doc, const struct pw_setting *rule)
{
	char value[256];

	for (const struct pw_setting *d = rule->inside; d->name != NULL; d++)
		require_setting(what, doc, rule->name, d->name, value);
}

/* Every setting must be in the document; what it says are the defaults is written into a file. */
static void check_document(const char *what, const struct document *doc, const struct pw_setting *table,
	const char *section, struct log *file)
{
	char value[256];

	for (const struct pw_setting *d = table; d->name != NULL; d++) {
		require_setting(what, doc, section, d->name, value);
		if (pw_setting_repeats(d)) {
			check_rule(what, doc, d);
		} else if (d->inside != NULL && section[0] != '\0') {
			continue; /* it inherits: what is not given is its default */
		} else if (d->inside != NULL) {
			file->n += (size_t)sprintf(file->text + file->n, "%s {\n", d->name);
			check_document(what, doc, d->inside, d->name, file);
			file->n += (size_t)sprintf(file->text + file->n, "}\n");
		} else {
			if (value[0] == '\0')
				fail_msg("the %s has no default of %s \"%s\"", what, section, d->name);
			file->n += (size_t)sprintf(file->text + file->n, "%s = %s\n", d->name, value);
		}
	}
}

static void check_defaults_in(const char *what, const struct document *doc)
{
	static struct log file;
	struct pw_config *config;

	file.n = 0;
	check_document(what, doc, pw_settings, "", &file);
	config = read_good(file.text);
	assert_defaults(config);
	pw_config_free(config);
}

static void test_manual(void **state)
{
	static struct document doc;

	(void)state;
	read_manual(&doc);
	check_defaults_in("manual", &doc);
}

/* As it stands it says the defaults, and what it has as comments is right. */
static void check_text(const char *(*text)(bool repeating))
{
	struct pw_config *config = read_good(text(false));

	assert_defaults(config);
	pw_config_free(config);
	config = read_good(text(true));
	assert_int_equal(config->policy.n_rules, 1);
	assert_int_equal(config->policy.n_ignore, 1);
	pw_config_free(config);
}

static void test_example(void **state)
{
	static struct document doc;

	(void)state;
	note_example(&doc);
	check_defaults_in("example", &doc);
	check_text(read_example);
}

static const char *read_sample(bool repeating)
{
	return read_lines("conf/portwatchd.conf", NULL, NULL, repeating);
}

static void test_sample(void **state)
{
	(void)state;
	check_text(read_sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_good_after_bad),
		cmocka_unit_test(test_embedded_nul),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_not_permitted),
		cmocka_unit_test(test_size_limit),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_section_limit),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_setting),
		cmocka_unit_test(test_snat),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_ignore),
		cmocka_unit_test(test_inheritance),
		cmocka_unit_test(test_include_can_be_switched_off),
		cmocka_unit_test(test_grammar),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_sample),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
