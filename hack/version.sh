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

# Prints the linker flags that stamp a version into a binary.
#   version.sh gatehouse   the Kubernetes version whose API machinery is built in, so that
#                          kubectl can judge the skew, with our own version as build metadata:
#                          v1.37.2+gatehouse.0.1.0. Ours comes from git: a tag as it is; commits
#                          after it as 1.2.3-5.0123abcd; without a tag 0.1.0-dev.0123abcd;
#                          without git 0.1.0-dev
#   version.sh product     only our own version: v0.1.0-dev.0123abcd
#   version.sh debian      the same as a version of Debian, whose snapshots are ordered by the time
#                          of the commit and come before the release: 0.1.0~dev.20261201T120000.0123abcd
#   version.sh epoch       the time of the commit in seconds, as SOURCE_DATE_EPOCH
#   version.sh controlplane  from test/e2e/controlplane/go.mod: the version of k8s.io/kubernetes
#   version.sh kubectl     from hack/tools/kubectl/go.mod: k8s.io/kubectl v0.x.y is kubectl v1.x.y
# The build date is that of the commit, so that the same commit gives the same binary.

set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What the version is on the way to where there is no tag yet.
next=v0.1.0

commit='' state=archive date=1970-01-01T00:00:00Z
case ${1:-} in
  gatehouse | product | debian | epoch)
    version=$next-dev
    if [ "$(git rev-parse --show-toplevel 2>/dev/null || true)" = "$(pwd -P)" ] && commit=$(git rev-parse HEAD 2>/dev/null); then
      date=$(TZ=UTC0 git show --no-patch --no-show-signature --date='format-local:%Y-%m-%dT%H:%M:%SZ' --format=%cd HEAD)
      state=clean
      if [ -n "$(git status --porcelain)" ]; then state=dirty; fi

      version=$version+${commit:0:8}
      if described=$(git describe --tags --long --match 'v[0-9]*' 2>/dev/null); then
        # described is TAG-COMMITS-gHASH; the tag may hold dashes of its own.
        rest=${described%-g*}
        version=${rest%-*}
        if [ "${rest##*-}" != 0 ]; then version=$rest+${commit:0:8}; fi
      fi
      if [ "$state" = dirty ]; then
        case $version in
          *+*) version=$version.dirty ;;
          *) version=$version+dirty ;;
        esac
      fi
    else
      commit=''
    fi
    kubernetes=$(sed -n 's|^[[:space:]]*k8s.io/apiserver v0\.\([0-9.]*\).*|v1.\1|p' go.mod)
    product=${version#v}
    product=${product//+/.}
    case $1 in
      product) printf 'v%s\n' "$product" && exit ;;
      epoch) date -u -d "$date" +%s && exit ;;
      debian)
        time=${date//[-:Z]/}
        case $product in
          *-dev*) product=${product/-dev/"~dev.$time"} ;; # on the way to the first release
          *-[0-9]*.*) product=${product%-*}+$time.${product##*-} ;; # commits after a tag
        esac
        printf '%s\n' "${product//-/'~'}" && exit # an alpha, a beta or a candidate is before the release
        ;;
    esac
    version=$kubernetes+gatehouse.$product
    ;;
  kubectl)
    version=$(sed -n 's|^[[:space:]]*k8s.io/kubectl v0\.\([0-9.]*\).*|v1.\1|p' hack/tools/kubectl/go.mod)
    ;;
  controlplane)
    version=$(sed -n 's|^\(require\)\{0,1\}[[:space:]]*k8s.io/kubernetes \(v[^ ]*\).*|\2|p' test/e2e/controlplane/go.mod)
    ;;
  *)
    echo "usage: $0 gatehouse|product|debian|epoch|kubectl|controlplane" >&2
    exit 2
    ;;
esac

numbers=${version#v}
major=${numbers%%.*}
minor=${numbers#*.}
minor=${minor%%.*}
flags=
# component-base answers `version` and /version, client-go's copy is the user agent.
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
  flags+=" -X $package.gitCommit=$commit -X $package.gitTreeState=$state -X $package.buildDate=$date"
done
printf '%s\n' "${flags# }"
