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

# Writes go.mod of controlplane and conformance for the Kubernetes version given, or for the one
# that controlplane names. k8s.io/kubernetes requires its staging modules at v0.0.0 and replaces
# them by folders of its own repository; outside of it they are the published modules of the same
# release, and every one of them must be named here.

set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

kubernetes=${1:-$(sed -n 's|^\(require\)\{0,1\}[[:space:]]*k8s.io/kubernetes \(v[^ ]*\).*|\2|p' controlplane/go.mod)}
staging=v0.${kubernetes#v1.}

for name in controlplane conformance; do
  (
    cd "$name"
    cat >go.mod <<END
module github.com/gatehouse-dev/gatehouse/test/e2e/$name

go 1.26.0

require k8s.io/kubernetes $kubernetes
END
    manifest=$(go mod download -json "k8s.io/kubernetes@$kubernetes" | sed -n 's|.*"GoMod": "\(.*\)".*|\1|p')
    for module in $(sed -n 's|^[[:space:]]*\(k8s.io/[^ ]*\) => ./staging/.*|\1|p' "$manifest"); do
      go mod edit -replace "$module=$module@$staging"
    done
    go mod tidy
  )
done
