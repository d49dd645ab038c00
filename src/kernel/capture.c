/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* A poll of two million sockets is some 250 MB; what is larger is not ours. */
#define FILE_MAX ((size_t)1 << 30)
#define BYTE_ORDER_MARK 0x01020304u

enum entry_type { ENTRY_STREAM = 1, ENTRY_DATA = 2, ENTRY_FAILURE = 3, ENTRY_END = 4 };

struct header {
	char magic[8];
	uint32_t byte_order;
	uint32_t version;
};

struct entry {
	uint32_t type;
	uint32_t argument;
	uint32_t length;
};

static const char magic[8] = {'P', 'W', 'R', 'E', 'C', 'O', 'R', 'D'};

/* --- writer --- */

static void write_entry(FILE *file, enum entry_type type, uint32_t argument, const void *data, size_t len)
{
	const struct entry entry = {.type = type, .argument = argument, .length = (uint32_t)len};

	fwrite(&entry, sizeof(entry), 1, file);
	if (len > 0)
		fwrite(data, len, 1, file);
}

/* An input whose reads are written down. */
struct writer {
	struct pw_input inner;
	FILE *file;
};

static int writer_open(void *self, enum pw_stream stream, const void *request, size_t len)
{
	struct writer *writer = self;
	int rc = pw_input_open(&writer->inner, stream, request, len);

	write_entry(writer->file, ENTRY_STREAM, stream, NULL, 0);
	if (rc < 0)
		write_entry(writer->file, ENTRY_FAILURE, (uint32_t)-rc, NULL, 0);
	return rc;
}

/* What somebody else sent to a netlink socket is no part of the dump. */
static ssize_t writer_read(void *self, void *buf, size_t size, uint32_t *sender)
{
	struct writer *writer = self;
	ssize_t n = pw_input_read(&writer->inner, buf, size, sender);

	if (*sender == 0 && n > 0)
		write_entry(writer->file, ENTRY_DATA, 0, buf, (size_t)n);
	else if (*sender == 0 && n < 0)
		write_entry(writer->file, ENTRY_FAILURE, (uint32_t)-n, NULL, 0);
	return n;
}

static void writer_close(void *self)
{
	struct writer *writer = self;

	pw_input_close(&writer->inner);
}

static void writer_free(void *self)
{
	struct writer *writer = self;

	pw_input_free(&writer->inner);
	free(writer);
}

int pw_capture_start(struct pw_input *input, FILE *file)
{
	static const struct pw_input_ops ops = {
		.open = writer_open, .read = writer_read, .close = writer_close, .free = writer_free};
	struct header header = {.byte_order = BYTE_ORDER_MARK, .version = PW_CAPTURE_VERSION};
	struct writer *writer = malloc(sizeof(*writer));

	if (writer == NULL)
		return -1;
	*writer = (struct writer){.inner = *input, .file = file};
	*input = (struct pw_input){.ops = &ops, .self = writer};
	memcpy(header.magic, magic, sizeof(magic));
	fwrite(&header, sizeof(header), 1, file);
	return 0;
}

void pw_capture_end(struct pw_input *input)
{
	struct writer *writer = input->self;

	write_entry(writer->file, ENTRY_END, 0, NULL, 0);
	fflush(writer->file);
	*input = writer->inner;
	free(writer);
}

/* --- replay --- */

struct replay {
	uint8_t *data;                /* checked as a whole: every entry is complete */
	size_t next[PW_STREAM_COUNT]; /* where the search for a stream goes on: behind the one that was opened last */
	enum pw_stream stream;
	size_t pos;  /* the next entry to read */
	size_t used; /* bytes of it that were read */
};

static struct entry entry_at(const struct replay *replay, size_t pos)
{
	struct entry entry;

	memcpy(&entry, replay->data + pos, sizeof(entry));
	return entry;
}

/* The entry behind the next STREAM entry of this kind, from pos on; 0 when there is none. */
static size_t find_stream(const struct replay *replay, size_t pos, enum pw_stream stream)
{
	struct entry entry = entry_at(replay, pos);

	while (entry.type != ENTRY_END) {
		pos += sizeof(entry) + entry.length;
		if (entry.type == ENTRY_STREAM && entry.argument == (uint32_t)stream)
			return pos;
		entry = entry_at(replay, pos);
	}
	return 0;
}

static int replay_open(void *self, enum pw_stream stream, const void *request, size_t len)
{
	struct replay *replay = self;
	size_t pos = find_stream(replay, replay->next[stream], stream);
	struct entry entry;

	(void)request;
	(void)len;
	if (pos == 0)
		pos = find_stream(replay, sizeof(struct header), stream);
	if (pos == 0)
		return -ENOENT;
	replay->next[stream] = pos;
	replay->stream = stream;
	replay->pos = pos;
	replay->used = 0;
	entry = entry_at(replay, pos);
	return entry.type == ENTRY_FAILURE ? -(int)entry.argument : 0;
}

/* Hands out the current DATA entry: all of a datagram, as much as fits of a text. */
static ssize_t replay_read(void *self, void *buf, size_t size, uint32_t *sender)
{
	struct replay *replay = self;
	struct entry entry = entry_at(replay, replay->pos);
	const bool is_text = !pw_stream_is_dump(replay->stream);
	size_t rest, n;

	*sender = 0;
	if (entry.type == ENTRY_FAILURE) {
		replay->pos += sizeof(entry);
		return -(int)entry.argument;
	}
	if (entry.type != ENTRY_DATA)
		return is_text ? 0 : -ENODATA;
	rest = entry.length - replay->used;
	n = rest < size ? rest : size;
	memcpy(buf, replay->data + replay->pos + sizeof(entry) + replay->used, n);
	replay->used += n;
	if (n < rest && is_text)
		return (ssize_t)n;
	replay->pos += sizeof(entry) + entry.length;
	replay->used = 0;
	return n < rest ? -EMSGSIZE : (ssize_t)n;
}

static void replay_free(void *self)
{
	struct replay *replay = self;

	free(replay->data);
	free(replay);
}

static const char *check_header(const uint8_t *data, size_t len)
{
	struct header header;

	if (len < sizeof(header))
		return "too short for a record";
	memcpy(&header, data, sizeof(header));
	if (memcmp(header.magic, magic, sizeof(magic)) != 0)
		return "not a portwatch record";
	if (header.byte_order == __builtin_bswap32(BYTE_ORDER_MARK))
		return "recorded on a machine of the other byte order";
	if (header.byte_order != BYTE_ORDER_MARK)
		return "not a portwatch record";
	return header.version == PW_CAPTURE_VERSION ? NULL : "a version of the format that this program does not know";
}

/* An errno is a small number; 0 would be a failure that did not fail. */
static const char *check_entry(const struct entry *entry, size_t rest, bool in_stream)
{
	if (entry->length > rest)
		return "the entry is longer than the file";
	switch (entry->type) {
	case ENTRY_STREAM: return entry->argument < PW_STREAM_COUNT && entry->length == 0 ? NULL : "no such stream";
	case ENTRY_DATA: return in_stream && entry->length > 0 ? NULL : "data of no stream, or empty";
	case ENTRY_FAILURE:
		return in_stream && entry->length == 0 && entry->argument >= 1 && entry->argument < 4096
			? NULL
			: "no error number";
	case ENTRY_END: return entry->length == 0 && rest == 0 ? NULL : "something follows the end";
	default: return "no such type of entry";
	}
}

/* Walks all entries once, so that the replay need not check again. */
static int check_entries(const struct replay *replay, size_t len, struct pw_error *err)
{
	size_t pos = sizeof(struct header);
	struct entry entry = {0};
	const char *why;
	bool in_stream = false;

	while (entry.type != ENTRY_END) {
		if (len - pos < sizeof(entry))
			return pw_error_set(err, "offset %zu: the record is incomplete", pos);
		entry = entry_at(replay, pos);
		why = check_entry(&entry, len - pos - sizeof(entry), in_stream);
		if (why != NULL)
			return pw_error_set(err, "offset %zu: %s", pos, why);
		in_stream = in_stream || entry.type == ENTRY_STREAM;
		pos += sizeof(entry) + entry.length;
	}
	if (find_stream(replay, sizeof(struct header), PW_STREAM_RANGE) == 0)
		return pw_error_set(err, "offset %zu: the record has no port range", pos);
	return 0;
}

int pw_capture_input(struct pw_input *input, void *data, size_t len, struct pw_error *err)
{
	static const struct pw_input_ops ops = {.open = replay_open, .read = replay_read, .free = replay_free};
	struct replay *replay = calloc(1, sizeof(*replay));
	const char *why = check_header(data, len);

	if (replay == NULL) {
		free(data);
		return pw_error_set(err, "out of memory");
	}
	replay->data = data;
	for (size_t i = 0; i < PW_STREAM_COUNT; i++)
		replay->next[i] = sizeof(struct header);
	if (why != NULL)
		pw_error_set(err, "offset 0: %s", why);
	if (why != NULL || check_entries(replay, len, err) < 0) {
		replay_free(replay);
		return -1;
	}
	*input = (struct pw_input){.ops = &ops, .self = replay};
	return 0;
}

/* The whole file in memory from malloc(); NULL with errno. */
static void *read_file(FILE *file, size_t *len)
{
	size_t room = 0;
	char *data = NULL;

	for (*len = 0; *len == room && !ferror(file); *len += fread(data + *len, 1, room - *len, file))
		if (room >= FILE_MAX || !PW_ARRAY_ROOM(data, room, room + 65536)) {
			free(data);
			errno = room >= FILE_MAX ? EFBIG : ENOMEM;
			return NULL;
		}
	if (!ferror(file))
		return data;
	free(data);
	return NULL;
}

int pw_capture_input_file(struct pw_input *input, const char *path, struct pw_error *err)
{
	struct pw_error why;
	FILE *file = fopen(path, "rbe");
	void *data;
	size_t len;

	if (file == NULL)
		return pw_error_set(err, "%s: %s", path, strerror(errno));
	data = read_file(file, &len);
	if (data == NULL)
		pw_error_set(err, "%s: %s", path, strerror(errno));
	fclose(file);
	if (data == NULL)
		return -1;
	if (pw_capture_input(input, data, len, &why) < 0)
		return pw_error_set(err, "%s: %.400s", path, why.text);
	return 0;
}
