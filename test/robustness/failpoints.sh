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


# Builds gatehouse and etcd with the failpoints of etcd and bbolt, for test/robustness:
#
#   test/robustness/failpoints.sh OUTPUT
#
# gofail rewrites copies of the modules in a temporary directory, and a separate go.mod, by
# -modfile, replaces the modules by the copies. go.mod of the tree stays as it is. A process
# serves its failpoints by HTTP at $GOFAIL_HTTP.

set -o errexit -o nounset -o pipefail

if [ "$#" -ne 1 ]; then
  echo "usage: $0 OUTPUT" >&2
  exit 2
fi
mkdir -p "$1"
output=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly gofail=v0.2.0
# The path is the same for each build, so that Go's build cache has the packages of the last one.
readonly copies=${TMPDIR:-/tmp}/gatehouse-failpoints-$(id -u)
rm -rf "$copies"
mkdir -m 0700 "$copies"
trap 'rm -rf "$copies"' EXIT

cp go.mod "$copies/go.mod"
cp go.sum "$copies/go.sum"
for module in go.etcd.io/etcd/server/v3 go.etcd.io/bbolt; do
  name=${module#go.etcd.io/}
  name=${name%%/*}
  cp -r "$(go list -m -f '{{.Dir}}' "$module")" "$copies/$name"
  chmod -R u+w "$copies/$name"
  go mod edit -replace "$module=$copies/$name" "$copies/go.mod"
done
(cd "$copies" && GOBIN=$copies go install "go.etcd.io/gofail@$gofail")
"$copies/gofail" enable \
  "$copies"/etcd/{etcdserver,etcdserver/api/{membership,rafthttp,snap,v3rpc},lease,lease/leasehttp,storage,storage/{backend,mvcc,wal}} \
  "$copies/bbolt"
go mod edit -require "go.etcd.io/gofail@$gofail" "$copies/go.mod"

build() { # build NAME ARGUMENTS...
  go build -mod=mod -modfile "$copies/go.mod" -o "$output/$1" "${@:2}"
}
build gatehouse -ldflags "$(hack/version.sh gatehouse)" ./cmd/gatehouse
build etcd go.etcd.io/etcd/server/v3
