# Copyright The Gatehouse Authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

# What the scripts in hack/ share. Source it first: it sets strict mode, goes to the root of
# the checkout and makes Go build as the Makefile does, so that the build cache is used twice.
# shellcheck shell=bash

set -o errexit -o nounset -o pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"

# Where scripts install tools; out of git.
# shellcheck disable=SC2034
tools_bin=${GATEHOUSE_TOOLS_BIN:-$root/_output/tools}

export CGO_ENABLED=0
for flag in -trimpath -buildvcs=false; do
  case " $(go env GOFLAGS) " in
    *" $flag "*) ;;
    *) GOFLAGS="$(go env GOFLAGS) $flag"; export GOFLAGS ;;
  esac
done

# files PATTERN...: the files of the project that match one of the extended regular
# expressions, sorted. Ignored files are left out; outside of git, what .gitignore would name.
files() {
  local all args=() pattern
  for pattern in "$@"; do args+=(-e "$pattern"); done
  if [ "$(git rev-parse --show-toplevel 2>/dev/null || true)" = "$root" ]; then
    all=$(git ls-files -co --exclude-standard)
  else
    all=$(find . \( -name .git -o -path ./bin -o -path ./_output \) -prune -o -type f -print | sed 's|^\./||')
  fi
  { grep -E "${args[@]}" <<<"$all" || true; } | sort -u | while IFS= read -r file; do
    # git also lists what is deleted but not yet committed.
    if [ -f "$file" ]; then printf '%s\n' "$file"; fi
  done
}

# go_files: the Go files that a person wrote.
go_files() {
  files '\.go$' | while IFS= read -r file; do
    if ! head -n 40 "$file" | grep -q '^// Code generated .* DO NOT EDIT\.$'; then printf '%s\n' "$file"; fi
  done
}

# modules: the directories of all Go modules that hold Go files, the main one (.) first.
modules() {
  files '(^|/)go\.mod$' | while IFS= read -r file; do
    local dir
    dir=$(dirname "$file")
    if [ -n "$(find "$dir" -maxdepth 3 -name '*.go' ! -name tools.go -print -quit)" ]; then printf '%s\n' "$dir"; fi
  done | sort
}

# refuse MESSAGE CURE: the last words of a failing check.
refuse() {
  printf '%s: %s\nTo cure it: %s\n' "$(basename "$0")" "$1" "$2" >&2
  exit 1
}
