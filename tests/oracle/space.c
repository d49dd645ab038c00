/* SPDX-License-Identifier: BSD-2-Clause */
#include "space.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

const struct place space_places[] = {
	{.text = "127.0.0.1", .family = AF_INET, .home = DEVICE_LO},
	{.text = "127.0.0.2", .family = AF_INET, .home = DEVICE_LO},
	{.text = "10.9.0.1", .family = AF_INET, .home = DEVICE_D0},
	{.text = "10.9.0.2", .family = AF_INET, .home = DEVICE_D0},
	{.text = "10.9.1.1", .family = AF_INET, .home = DEVICE_D1},
	{.text = "10.9.0.77", .family = AF_INET, .home = DEVICE_D0, .far = true},
	{.text = "0.0.0.0", .family = AF_INET, .any = true},
	{.text = "::1", .family = AF_INET6, .home = DEVICE_LO},
	{.text = "fd09::1", .family = AF_INET6, .home = DEVICE_D0},
	{.text = "fd09::2", .family = AF_INET6, .home = DEVICE_D0},
	{.text = "fd09::77", .family = AF_INET6, .home = DEVICE_D0, .far = true},
	{.text = "fe80::9", .family = AF_INET6, .home = DEVICE_D0, .link_local = true},
	{.text = "fe80::77", .family = AF_INET6, .home = DEVICE_D0, .far = true, .link_local = true},
	{.text = "::", .family = AF_INET6, .any = true},
};
const unsigned space_n_places = sizeof(space_places) / sizeof(space_places[0]);

const uint16_t space_server_ports[SPACE_SERVER_PORTS] = {80, 443, 8080};

static const char links[] = "link set lo up\n"
			    "link add d0 type veth peer name d1\n"
			    "link set d0 addrgenmode none arp off\n"
			    "link set d1 addrgenmode none arp off\n"
			    "link set d0 up\n"
			    "link set d1 up\n"
			    "addr add 10.9.0.1/24 dev d0\n"
			    "addr add 10.9.0.2/24 dev d0\n"
			    "addr add 10.9.1.1/24 dev d1\n"
			    "addr add fd09::1/64 dev d0 nodad\n"
			    "addr add fd09::2/64 dev d0 nodad\n"
			    "addr add fe80::9/64 dev d0 nodad\n";

static int make_links(void)
{
	FILE *ip = popen("ip -batch -", "w");

	if (ip == NULL)
		return -1;
	fputs(links, ip);
	return pclose(ip) == 0 ? 0 : -1;
}

int space_enter(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "a new network namespace: %s\n", strerror(errno));
		return -1;
	}
	if (make_links() < 0) {
		fprintf(stderr, "ip(8) could not set up the links\n");
		return -1;
	}
	return 0;
}

int space_set(const char *name, const char *format, ...)
{
	char path[128], value[4096];
	va_list args;
	ssize_t len, done = -1;
	int fd;

	va_start(args, format);
	len = vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		done = write(fd, value, (size_t)len);
		close(fd);
	}
	if (done == len)
		return 0;
	fprintf(stderr, "%s = %s: %s\n", path, value, strerror(errno));
	return -1;
}

const char *space_device_name(enum device device)
{
	static const char *const names[DEVICES] = {"", "lo", "d0", "d1"};

	return names[device];
}

unsigned space_ifindex(enum device device)
{
	return device == DEVICE_NONE ? 0 : if_nametoindex(space_device_name(device));
}

bool space_reaches(const struct place *from, const struct place *to)
{
	if (from->family != to->family || from->any || from->far || to->any || from->link_local != to->link_local)
		return false;
	return to->far ? from->home == to->home : !to->link_local;
}

bool space_bindable(const struct place *place, enum device device)
{
	return device == DEVICE_NONE || place->family == AF_INET || place->any || place->home == device;
}

enum device space_device_between(const struct place *from, const struct place *to)
{
	if (to->far)
		return to->home;
	/* other local addresses are on a device by which their packets do not go */
	return from->home == DEVICE_LO && to->home == DEVICE_LO ? DEVICE_LO : DEVICE_NONE;
}

const struct place *space_place_of(const struct pw_address *address)
{
	for (unsigned i = 0; i < space_n_places; i++) {
		struct pw_address a = space_address(&space_places[i], DEVICE_NONE);

		if (a.family == address->family && memcmp(a.bytes, address->bytes, sizeof(a.bytes)) == 0)
			return &space_places[i];
	}
	return NULL;
}

/* Asked by a UDP socket, from a port outside of every range: nothing is sent. */
const struct place *space_natural_source(const struct place *to)
{
	struct sockaddr_storage address;
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(1999)};
	socklen_t len = sizeof(any), to_len = space_sockaddr(to, true, 9, &address);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const struct place *from = NULL;

	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0 &&
		connect(fd, (struct sockaddr *)&address, to_len) == 0 &&
		getsockname(fd, (struct sockaddr *)&any, &len) == 0) {
		struct pw_address local = pw_address_make(AF_INET6, &any.sin6_addr, 0);

		from = space_place_of(&local);
	}
	close(fd);
	return from;
}

socklen_t space_sockaddr(const struct place *place, bool mapped, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (place->family == AF_INET && !mapped) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		inet_pton(AF_INET, place->text, &in->sin_addr);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	in6->sin6_scope_id = place->link_local ? space_ifindex(DEVICE_D0) : 0;
	if (place->family == AF_INET) {
		in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
		inet_pton(AF_INET, place->text, &in6->sin6_addr.s6_addr[12]);
	} else {
		inet_pton(AF_INET6, place->text, &in6->sin6_addr);
	}
	return sizeof(*in6);
}

struct pw_address space_address(const struct place *place, enum device device)
{
	uint8_t bytes[16];

	inet_pton(place->family, place->text, bytes);
	return pw_address_make(place->family, bytes, space_ifindex(place->link_local ? DEVICE_D0 : device));
}

bool space_since(unsigned major, unsigned minor)
{
	struct utsname kernel;
	unsigned is_major = 0, is_minor = 0;

	uname(&kernel);
	sscanf(kernel.release, "%u.%u", &is_major, &is_minor);
	return is_major > major || (is_major == major && is_minor >= minor);
}

uint64_t space_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void space_sleep_us(uint64_t us)
{
	struct timespec rest = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

	while (nanosleep(&rest, &rest) < 0 && errno == EINTR)
		;
}
