#!/usr/bin/env bash
#
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

# Builds a release twice, in two directories, and compares every byte:
#   hack/release-check.sh
# PLATFORMS is linux/amd64 by default. The second build compiles everything again, with a build cache
# of its own, unless CACHE=shared.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export PLATFORMS=${PLATFORMS:-linux/amd64}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The files as they are, with those that are not committed, and with git for the version.
copy() {
  mkdir -p "$1"
  files . | tar --create --files-from=- | tar --extract --directory "$1"
  if [ -e .git ]; then
    git clone --quiet --bare --shared . "$1/.git"
    git -C "$1" config core.bare false
    git -C "$1" reset --quiet
  fi
}
copy "$work/one"
copy "$work/another/directory"

(cd "$work/one" && hack/release.sh)
if [ "${CACHE:-}" != shared ]; then export GOCACHE=$work/cache; fi
(cd "$work/another/directory" && hack/release.sh)

first=$work/one/_output/release second=$work/another/directory/_output/release
if ! diff "$first/SHA256SUMS" "$second/SHA256SUMS"; then
  refuse "the two builds differ in the files above" "find what they record of the directory or the time ('diffoscope' shows it), then run hack/release-check.sh again"
fi
(cd "$second" && sha256sum --quiet --check SHA256SUMS)
echo "two builds of $(wc -l <"$first/SHA256SUMS") files have the same bytes"
