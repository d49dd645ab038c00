# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Sourced by the scripts that build portwatch: they do so from a copy of the source tree, so that they neither depend on what
# was configured in the tree nor leave anything in it.

# The jobs that make may run at once.
jobs() {
	getconf _NPROCESSORS_ONLN
}

# Files of the tree as they are now, NUL-separated: those that git tracks or would take, or all where git can't tell.
source_files() {
	git ls-files -z --cached --others --exclude-standard 2>/dev/null ||
		find . -name .git -prune -o -path './build*' -prune -o -path './_*' -prune -o -type f -print0
}

# Copies the source tree ROOT to the new directory DESTINATION.
copy_source() {
	local root=$1 destination=$2

	mkdir -p "$destination"
	(
		cd "$root" || exit 1
		source_files | while IFS= read -r -d '' file; do
			[ ! -f "$file" ] || printf '%s\0' "$file"
		done | tar --null -T - -cf -
	) | tar -xf - -C "$destination"
}
