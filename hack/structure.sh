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

# Prints figures of the structure of a checkout, of this one by default:
#   hack/structure.sh [DIRECTORY]
# docs/bench/structure.md has them of two commits. The commands of each figure are below it.

set -euo pipefail
tree=$(cd "${1:-.}" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."

figure() { printf '%-72s %s\n' "$1" "$2"; }
# product prints the hand-written Go files of the product.
product() { (cd "$tree" && git ls-files 'cmd/*.go' 'pkg/*.go' | grep -Ev '_test\.go$|/zz_generated|^pkg/generated/|/generated\.pb\.go$'); }
# copies counts the files of the product that have a string literal, including doc.go and imports of no kind.
copies() { (cd "$tree" && product | xargs grep -lF -- "\"$1\"" | wc -l); }

mapfile -t sources < <(cd "$tree" && git ls-files '*.go' | sed "s|^|$tree/|")
words=$({ go run ./hack/tools/language "${sources[@]}" || true; } 2>/dev/null | tail -1)
figure "personifying words in comments" "$words"

figure "lines of cmd/gatehouse/app without tests" \
  "$(cd "$tree" && find cmd/gatehouse/app -name '*.go' ! -name '*_test.go' -print0 | xargs -0 cat | wc -l)"

# The longest chain of imports within the module that begins at the command.
levels=$(cd "$tree" && module=$(go list -m) &&
  go list -deps -f '{{.ImportPath}}{{range .Imports}} {{.}}{{end}}' ./cmd/gatehouse/app |
  awk -v module="$module" '
    # go list -deps prints a package after all that it imports.
    index($1, module) == 1 { most = 0; for (i = 2; i <= NF; i++) if (level[$i] > most) most = level[$i]; level[$1] = most + 1; last = level[$1] }
    END { print last }')
figure "levels of import below cmd/gatehouse/app, itself included" "$levels"

for name in fleet.gatehouse.dev system:host: system:hosts spec.hostName; do
  figure "files of the product with the literal \"$name\"" "$(copies "$name")"
done

figure "packages in test/integration" "$(cd "$tree" && git ls-files 'test/integration/*.go' | xargs -n1 dirname | sort -u | wc -l)"

sizes=$(go test -count=1 ./test/imports -run TestFilesAndFunctionsAreWithinTheirLimits -v -args -tree="$tree" 2>&1 | grep -o '[0-9]* files of .*' || true)
figure "files over 400 lines and functions over 60, of these in the product" "$sizes"

# A pair of places with at least 75 equal tokens.
figure "clone groups of github.com/mibk/dupl v1.1.0, 75 tokens, in the product" \
  "$(cd "$tree" && product | go run github.com/mibk/dupl@v1.1.0 -files -t 75 | tail -1)"
