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

# Runs the pinned linter, staticcheck of hack/tools/lint, over what a person wrote: generated
# packages are left out, and generated files elsewhere it passes over by itself. So are the
# modules of hack/tools and test/e2e/conformance, whose dependencies would take minutes for a few
# lines.
# staticcheck.conf says which checks are made. Comments for other linters are refused first.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# staticcheck reads lint:ignore only.
mapfile -t sources < <(go_files)
if grep -nE '//\s*nolint\b' "${sources[@]}"; then
  refuse "the comments above are for a linter that does not run here" \
    "remove them, or give the reason without the directive, then run hack/verify-lint.sh again"
fi
(cd hack/tools/lint && GOBIN=$tools_bin go install honnef.co/go/tools/cmd/staticcheck)
bad=
while IFS= read -r dir; do
  case $dir in hack/tools/* | test/e2e/conformance) continue ;; esac
  packages=$(cd "$dir" && go list ./... | grep -v /pkg/generated)
  (cd "$dir" && xargs "$tools_bin/staticcheck" -tags e2e <<<"$packages") || bad+=" $dir"
done < <(modules)
if [ -n "$bad" ]; then
  refuse "staticcheck complains in:$bad" \
    "mend the code ('$tools_bin/staticcheck -explain CHECK' tells more about a check), then run hack/verify-lint.sh again"
fi
