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

# What verify-boilerplate.sh and update-boilerplate.sh share: which files carry the licence
# header of hack/boilerplate.go.txt, and where in them it stands. Source hack/lib.sh first.
# shellcheck shell=bash

go_header=$(cat hack/boilerplate.go.txt)
# The same words as # comments: without the lines that open and close the Go comment.
hash_header=$(sed -e '1d;$d' -e 's/^/# /' -e 's/ *$//' hack/boilerplate.go.txt)

# licensed_files: every file that has to carry the header.
licensed_files() {
  files '\.(go|proto|sh|mk)$' '(^|/)(Makefile|Dockerfile)$' '^\.ci/' | { grep -v '/testdata/' || true; }
}

# header_for FILE: the header in the comments of the file's language.
header_for() {
  case $1 in
    *.go | *.proto) printf '%s' "$go_header" ;;
    *) printf '%s' "$hash_header" ;;
  esac
}

# lines_before FILE: how many lines may stand before the header: build constraints in Go, the
# #! line and the empty comment after it in scripts, and empty lines.
lines_before() {
  local skip
  case $1 in
    *.go | *.proto) skip='^(//go:build .*|// \+build .*|)$' ;;
    *) skip='^(#!.*|#|)$' ;;
  esac
  local line n=0
  while IFS= read -r line; do
    if ! [[ $line =~ $skip ]]; then break; fi
    n=$((n + 1))
  done <"$1"
  printf '%s' "$n"
}

# has_header FILE
has_header() {
  local before body
  before=$(lines_before "$1")
  body=$(tail -n +$((before + 1)) "$1" | head -n 20 || true)
  [[ $body == "$(header_for "$1")"* ]]
}

# files_without_header: those of licensed_files that lack it.
files_without_header() {
  local file
  while IFS= read -r file; do
    if ! has_header "$file"; then printf '%s\n' "$file"; fi
  done < <(licensed_files)
}
