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

# Puts the licence header on every source file that lacks it. A file with another copyright
# line is left alone and named, since only a person can say whose it is.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source hack/boilerplate.sh

tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT
foreign=
while IFS= read -r file; do
  if head -n 20 "$file" | grep -qi 'copyright '; then
    foreign+="$file"$'\n'
    continue
  fi
  before=$(lines_before "$file")
  {
    head -n "$before" "$file"
    if [ "$before" -eq 1 ] && head -n 1 "$file" | grep -q '^#!'; then printf '#\n'; fi
    header_for "$file"
    printf '\n\n'
    tail -n +$((before + 1)) "$file"
  } >"$tmp"
  cat "$tmp" >"$file"
  printf 'added the header to %s\n' "$file"
done < <(files_without_header)
if [ -n "$foreign" ]; then
  printf '%s' "$foreign" >&2
  refuse "the files above carry another header" "replace it by hand with that of hack/boilerplate.go.txt"
fi
