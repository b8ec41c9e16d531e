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


# Refuses manifests that differ from what the descriptors of the controllers give.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

before=$(mktemp)
trap 'cp "$before" artifacts/deploy/controllers-rbac.yaml; rm -f "$before"' EXIT
cp artifacts/deploy/controllers-rbac.yaml "$before"
hack/update-manifests.sh
if ! diff -u "$before" artifacts/deploy/controllers-rbac.yaml >&2; then
  refuse "artifacts/deploy/controllers-rbac.yaml is not up to date" "hack/update-manifests.sh"
fi
