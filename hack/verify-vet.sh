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

# Runs go vet in every module, over the end-to-end tests as well.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bad=
while IFS= read -r dir; do
  (cd "$dir" && go vet -tags e2e ./...) || bad+=" $dir"
done < <(modules)
if [ -n "$bad" ]; then
  refuse "go vet complains in:$bad" "mend the code as the lines above say, then run hack/verify-vet.sh again"
fi
