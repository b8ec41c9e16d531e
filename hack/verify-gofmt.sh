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

# Checks that hand-written Go files are formatted and simplified.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bad=$(go_files | xargs -r "$(go env GOROOT)/bin/gofmt" -s -l)
if [ -n "$bad" ]; then
  printf '%s\n' "$bad" >&2
  refuse "the files above are not formatted" "hack/update-gofmt.sh"
fi
