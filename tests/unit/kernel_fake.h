/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel_fake.h: an input that plays a script, and netlink messages to put into it */
#ifndef TESTS_KERNEL_FAKE_H
#define TESTS_KERNEL_FAKE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "kernel/backend.h"
#include "kernel/input.h"
#include "count/socket.h"

#define FAKE_STEPS 16

/* One open of a stream: what opening and each read give. Behind the last read the text ends (a dump: ENODATA). */
struct fake_open {
	int error;   /* of open(), positive, 0 for none */
	int forever; /* every read gives this error, positive */
	size_t n;
	struct fake_read {
		uint8_t *data; /* a copy */
		size_t len, used;
		int error; /* positive; instead of data */
		uint32_t sender;
	} reads[FAKE_STEPS];
};

struct fake {
	struct fake_open opens[PW_STREAM_COUNT][FAKE_STEPS];
	size_t n[PW_STREAM_COUNT];             /* scripted opens; a stream without any is ENOENT */
	size_t opened[PW_STREAM_COUNT];        /* how often it was; the last scripted open is used again and again */
	uint8_t request[PW_STREAM_COUNT][256]; /* of the last open */
	size_t request_len[PW_STREAM_COUNT];
	unsigned closed, total_opened;
	struct fake_open *current;
	size_t read; /* position in current */
	enum pw_stream stream;
};

struct fake *fake_new(void);
void fake_free(struct fake *fake);

/* The input; freeing it frees no fake. */
struct pw_input fake_input(struct fake *fake);

/* Scripts one more open of a stream. */
struct fake_open *fake_add(struct fake *fake, enum pw_stream stream);
void fake_fail(struct fake *fake, enum pw_stream stream, int error);
void fake_text(struct fake *fake, enum pw_stream stream, const char *text);
void fake_read_data(struct fake_open *open, const void *data, size_t len, uint32_t sender);
void fake_read_error(struct fake_open *open, int error);

/* Settings and sockstat of an ordinary host; range 40000-40099. */
void fake_settings(struct fake *fake);

/* --- netlink --- */

/* A datagram under construction. */
struct datagram {
	size_t len;
	_Alignas(8) uint8_t bytes[8192];
};

/* What a message says; addresses as texts. */
struct message {
	const char *local, *remote; /* NULL is 0.0.0.0 */
	uint16_t local_port, remote_port;
	uint8_t state, timer;
	uint32_t expires, uid, inode, ifindex;
	uint64_t cookie;
};

/* Appends a message of this type with `len` bytes of body. Returns its body. */
void *datagram_put(struct datagram *datagram, uint16_t type, uint16_t flags, const void *body, size_t len);

/* Appends a socket as the kernel lays it out; attributes follow by datagram_attribute(). */
void datagram_socket(struct datagram *datagram, uint16_t type, const struct message *message);
void datagram_attribute(struct datagram *datagram, uint16_t type, const void *data, size_t len);

/* Appends NLMSG_DONE with this (negative) result. */
void datagram_done(struct datagram *datagram, int result);

/* Scripts a dump that gives the datagram and then ends. */
void fake_dump(struct fake *fake, enum pw_stream stream, const struct datagram *datagram);

/* --- sink --- */

struct caught {
	size_t n, calls;
	int result; /* of the next call */
	struct pw_socket sockets[4096];
};

int catch_sockets(void *context, const struct pw_socket *sockets, size_t n);

/* What a test of one reader needs; for cmocka_unit_test_setup_teardown(). */
struct reading {
	struct fake *fake;
	struct pw_input input;
	struct caught caught;
	struct pw_batch batch; /* goes to `caught` */
	struct pw_take_stats stats;
	struct pw_error err;
};

int reading_setup(void **state);

/* Also sees that everything was closed and handed on. */
int reading_teardown(void **state);

#endif
