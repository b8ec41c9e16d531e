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

# Checks that every source file begins with the licence header, which names no year.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source hack/boilerplate.sh

if grep -Eq '[0-9]{4}' <<<"$(grep -i copyright hack/boilerplate.go.txt)"; then
  refuse "the header names a year" "remove the year from hack/boilerplate.go.txt, then run hack/update-boilerplate.sh"
fi
bad=$(files_without_header)
if [ -n "$bad" ]; then
  printf '%s\n' "$bad" >&2
  refuse "the files above do not begin with the licence header" "hack/update-boilerplate.sh"
fi
