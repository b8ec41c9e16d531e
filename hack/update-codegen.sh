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

# Regenerates everything that is generated: deepcopy, conversions, defaults, declarative
# validation, protobuf, OpenAPI, clientset, listers, informers, apply configurations, and the
# files in artifacts/tools that kustomize and editors read.
# Generators come from the versions in go.mod and hack/tools; protoc is installed from
# Debian's protobuf-compiler when it is missing. Same input, same output.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

module=github.com/gatehouse-dev/gatehouse
boilerplate=$root/hack/boilerplate.go.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bin=$tools_bin
mkdir -p "$bin"

if ! command -v protoc >/dev/null; then
  echo "update-codegen: installing protobuf-compiler" >&2
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq && $sudo apt-get install -y -qq protobuf-compiler >/dev/null
fi

echo "building the generators"
GOBIN=$bin go install \
  k8s.io/code-generator/cmd/{deepcopy-gen,defaulter-gen,conversion-gen,validation-gen,client-gen,lister-gen,informer-gen,applyconfiguration-gen,go-to-protobuf,go-to-protobuf/protoc-gen-gogo} \
  k8s.io/kube-openapi/cmd/openapi-gen
(cd hack/tools/goimports && GOBIN=$bin go install golang.org/x/tools/cmd/goimports)
export PATH=$bin:$PATH

# Directories of the API groups: a hub with its versions below it.
groups=(fleet diagnostics)
hubs=() versions=() client_inputs=()
for group in "${groups[@]}"; do
  hubs+=("$module/pkg/apis/$group")
  for dir in pkg/apis/"$group"/v*/; do
    version=$(basename "$dir")
    [ "$version" = validation ] && continue
    versions+=("$module/pkg/apis/$group/$version")
    client_inputs+=("$group/$version")
  done
done

# Types in these packages belong to Kubernetes: generators may read them, never write there.
readonly_pkgs=(
  k8s.io/apimachinery/pkg/apis/meta/v1
  k8s.io/api/autoscaling/v1
  k8s.io/apimachinery/pkg/api/resource
  k8s.io/apimachinery/pkg/runtime
  k8s.io/apimachinery/pkg/types
  k8s.io/apimachinery/pkg/util/intstr
  k8s.io/apimachinery/pkg/version
  time
)
# Packages of Kubernetes' own kinds that the standalone mode serves, and the kinds of the
# largest of them: the rest of it is left out.
builtins=(
  k8s.io/api/admissionregistration/v1
  k8s.io/api/authentication/v1
  k8s.io/api/authorization/v1
  k8s.io/api/certificates/v1
  k8s.io/api/coordination/v1
  k8s.io/api/core/v1
  k8s.io/api/events/v1
  k8s.io/api/flowcontrol/v1
  k8s.io/api/rbac/v1
  k8s.io/api/storagemigration/v1
)
core_kinds=(
  ConfigMap ConfigMapList Event EventList LimitRange LimitRangeList Namespace NamespaceList ResourceQuota ResourceQuotaList
  Secret SecretList ServiceAccount ServiceAccountList
)
# Kinds of certificates.k8s.io/v1; the certificates of pods are left out.
certificate_kinds=(CertificateSigningRequest CertificateSigningRequestList ClusterTrustBundle ClusterTrustBundleList)
readonly_args=()
for pkg in "${readonly_pkgs[@]}"; do readonly_args+=(--readonly-pkg "$pkg"); done

find pkg/apis -name 'zz_generated.*.go' -delete

# Protobuf first: it numbers the fields by struct tags in types_*.go, which the others read.
# protoc finds imported .proto files, and writes, by import path: a scratch directory of
# symbolic links lays the modules out that way.
echo "generating protobuf"
proto=$work/proto
mkdir -p "$proto/k8s.io" "$proto/github.com/gogo" "$proto/$(dirname "$module")"
ln -s "$(go list -m -f '{{.Dir}}' k8s.io/apimachinery)" "$proto/k8s.io/apimachinery"
ln -s "$(go list -m -f '{{.Dir}}' github.com/gogo/protobuf)" "$proto/github.com/gogo/protobuf"
ln -s "$root" "$proto/$module"
go-to-protobuf \
  --go-header-file "$boilerplate" \
  --apimachinery-packages '-k8s.io/apimachinery/pkg/util/intstr,-k8s.io/apimachinery/pkg/api/resource,-k8s.io/apimachinery/pkg/runtime/schema,-k8s.io/apimachinery/pkg/runtime,-k8s.io/apimachinery/pkg/apis/meta/v1' \
  --packages "$(IFS=,; echo "${versions[*]}")" \
  --output-dir "$proto" \
  --proto-import "$proto" \
  --proto-import "$proto/github.com/gogo/protobuf/protobuf"

echo "generating deepcopy, defaults, validation, conversions"
deepcopy-gen --output-file zz_generated.deepcopy.go --go-header-file "$boilerplate" "${hubs[@]}" "${versions[@]}"
defaulter-gen --output-file zz_generated.defaults.go --go-header-file "$boilerplate" "${versions[@]}"
# metav1 stays out of validation-gen's sight: its rules are generated in a package that we
# cannot name as read-only, so fields of its types are +k8s:opaqueType and checked by hand.
validation-gen --output-file zz_generated.validations.go --go-header-file "$boilerplate" "${readonly_args[@]:2}" "${versions[@]}"
conversion-gen --output-file zz_generated.conversion.go --go-header-file "$boilerplate" "${versions[@]}"

echo "generating OpenAPI"
rm -rf pkg/generated/openapi
openapi-gen \
  --output-file zz_generated.openapi.go \
  --output-model-name-file zz_generated.model_name.go \
  --output-dir pkg/generated/openapi --output-pkg "$module/pkg/generated/openapi" \
  --report-filename "$work/api-violations" \
  --go-header-file "$boilerplate" "${readonly_args[@]}" \
  k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime k8s.io/apimachinery/pkg/version k8s.io/apimachinery/pkg/api/resource k8s.io/apimachinery/pkg/util/intstr \
  k8s.io/api/autoscaling/v1 \
  "${versions[@]}"
if grep "$module" "$work/api-violations"; then
  echo "update-codegen: the types above break the API conventions; mend them" >&2
  exit 1
fi

# The kinds of Kubernetes that the standalone mode serves have a package of their own: the
# aggregated mode must not publish them. Types of apimachinery are in the package above; the
# generator must see them here, too, or it would not know by which names to refer to them.
openapi-gen \
  --output-file zz_generated.openapi.go \
  --output-dir pkg/generated/openapi/builtin --output-pkg "$module/pkg/generated/openapi/builtin" \
  --report-filename /dev/null \
  --go-header-file "$boilerplate" "${readonly_args[@]}" "${builtins[@]/#/--readonly-pkg=}" \
  k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime k8s.io/apimachinery/pkg/version k8s.io/apimachinery/pkg/api/resource \
  "${builtins[@]}"
go run ./hack/tools/openapi-subset -package k8s.io/api/core/v1 -elsewhere k8s.io/apimachinery \
  -keep "$(IFS=,; echo "${core_kinds[*]}")" pkg/generated/openapi/builtin/zz_generated.openapi.go
go run ./hack/tools/openapi-subset -package k8s.io/api/certificates/v1 -elsewhere k8s.io/apimachinery \
  -keep "$(IFS=,; echo "${certificate_kinds[*]}")" pkg/generated/openapi/builtin/zz_generated.openapi.go

echo "generating files for tools"
rm -rf artifacts/tools/json-schemas artifacts/tools/kustomize-openapi.json
go run ./hack/tools/tool-files artifacts/tools

echo "generating clients"
rm -rf pkg/generated/applyconfiguration pkg/generated/listers pkg/generated/informers
find pkg/generated/clientset -name '*.go' ! -name '*_expansion.go' -delete 2>/dev/null || true
go run ./hack/tools/models-schema >"$work/schema.json"
applyconfiguration-gen --go-header-file "$boilerplate" \
  --output-dir pkg/generated/applyconfiguration --output-pkg "$module/pkg/generated/applyconfiguration" \
  --openapi-schema "$work/schema.json" "${versions[@]}"
client_args=()
for input in "${client_inputs[@]}"; do client_args+=(--input "$input"); done
client-gen --go-header-file "$boilerplate" \
  --output-dir pkg/generated/clientset --output-pkg "$module/pkg/generated/clientset" \
  --clientset-name versioned --input-base "$module/pkg/apis" "${client_args[@]}" \
  --apply-configuration-package "$module/pkg/generated/applyconfiguration" --prefers-protobuf
lister-gen --go-header-file "$boilerplate" --output-dir pkg/generated/listers --output-pkg "$module/pkg/generated/listers" "${versions[@]}"
informer-gen --go-header-file "$boilerplate" --output-dir pkg/generated/informers --output-pkg "$module/pkg/generated/informers" \
  --versioned-clientset-package "$module/pkg/generated/clientset/versioned" --listers-package "$module/pkg/generated/listers" "${versions[@]}"
