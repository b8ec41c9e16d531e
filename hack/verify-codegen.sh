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

# Generates everything anew in a copy of the tree and proves that nothing differs.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
files . | tar -cf - -T - | tar -xf - -C "$scratch"
if ! GATEHOUSE_TOOLS_BIN=$tools_bin "$scratch/hack/update-codegen.sh" >"$scratch/log" 2>&1; then
  cat "$scratch/log" >&2
  refuse "the generators failed" "mend what they say above, then hack/update-codegen.sh"
fi
stale=
for dir in pkg/apis pkg/generated artifacts/tools; do
  diff -ruN "$dir" "$scratch/$dir" >&2 || stale+=" $dir"
done
if [ -n "$stale" ]; then
  refuse "what is generated is not up to date in:$stale" "hack/update-codegen.sh"
fi
