/* SPDX-License-Identifier: BSD-2-Clause */
/* reader.h: takes the values out of a checked text by libconfuse */
#ifndef PW_CONFIG_READER_H
#define PW_CONFIG_READER_H

#include "config/config.h"
#include "config/mistakes.h"

/* Reads what pw_config_check() wrote into a configuration that holds the defaults. Adds every mistake in a value, and
 * those between values. The configuration is of use only when there is none, and must be freed in any case. */
void pw_config_values(struct pw_config *config, const char *checked, struct pw_mistakes *mistakes);

#endif
