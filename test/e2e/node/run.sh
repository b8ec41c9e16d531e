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

# Follows docs/install.md to the letter on a cluster of one node: the commands are taken from
# the page, and only the names of registry, builder, etcd and directory are put in. README.md
# beside this says what it needs. Run by `make e2e-node`.

set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
root=$PWD

if [ "${1:-}" != inside ]; then
  if [ "$(id -u)" -ne 0 ]; then
    echo "a node needs root: run make e2e-node as root" >&2
    exit 1
  fi
  for command in containerd runc buildah docker-registry iptables conntrack curl openssl ip; do
    if ! command -v "$command" >/dev/null; then
      echo "$command is missing: apt-get install --no-install-recommends containerd runc containernetworking-plugins buildah docker-registry iptables conntrack curl openssl iproute2" >&2
      exit 1
    fi
  done
  work=$(mktemp -d)
  # What the kubelet leaves outside of the namespaces, and the directory, unless it is wanted.
  clean_up() {
    find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + 2>/dev/null || true
    if [ -z "${KEEP:-}" ]; then rm -rf "$work"; else echo "kept: $work" >&2; fi
  }
  trap clean_up EXIT
  # The first process of the namespaces takes all others with it: containers, mounts and rules
  # too. unshare itself does not end on a polite signal.
  unshare --net --mount --pid --fork --kill-child --mount-proc "$PWD/test/e2e/node/run.sh" inside "$work" &
  trap 'kill -KILL "$!"; exit 130' INT TERM
  wait "$!"
  exit
fi

readonly work=$2 controlplane=$root/_output/e2e
# shellcheck source=test/e2e/node/cluster.sh
source test/e2e/node/cluster.sh
readonly page=$root/docs/install.md

# block HEADING NUMBER prints an indented block of the page with what is special here put in.
block() {
  awk -v heading="$1" -v number="$2" '
    /^#/ && !/^#!/ { inside = ($0 == heading) }
    !inside { next }
    /^    / { if (!code) { code = 1; n++ } if (n == number) { print substr($0, 5); found = 1 } next }
    /^$/ { next }
    { code = 0 }
    END { exit !found }' "$page" |
    sed -e "s|https://github.com/gatehouse-dev/gatehouse|$root gatehouse|" -e 's|^docker |buildah |' \
      -e 's|^git pull$|git -c user.name=e2e -c user.email=e2e@localhost commit --quiet --allow-empty --message "A new version"|' \
      -e "s|registry.example.com|$registry|" -e "s|^export ETCD_SERVERS=.*|export ETCD_SERVERS=$etcd_servers|" \
      -e "s|/srv/gatehouse|$work/volume|" -e 's|type=LoadBalancer|type=NodePort|'
}

# follow HEADING NUMBER... runs blocks of the page, in this shell as the page says.
follow() {
  local heading=$1 number text
  shift
  for number in "$@"; do
    text=$(block "$heading" "$number") || { echo "docs/install.md: '$heading' has no block $number" >&2; return 1; }
    printf '\n[%s %s]\n%s\n' "${heading##*# }" "$number" "$text"
    eval "$text"
  done
}

# says WHAT COMMAND...: the command's output must hold the words.
says() {
  local what=$1 output
  shift
  output=$("$@" 2>&1) || true
  if [[ $output != *"$what"* ]]; then
    printf '%s\nsays no "%s" but:\n%s\n' "$*" "$what" "$output" >&2
    return 1
  fi
}

fleet=/apis/fleet.gatehouse.dev/v1alpha1
installed() {
  follow '### 6. Apply, and wait' 1
  follow '### 7. Check' 2
  says 'readyz check passed' follow '### 7. Check' 1
  says hostleases follow '### 7. Check' 1
}

# work_without_end reads and writes through the cluster until a file appears, and notes what fails.
work_without_end() {
  local n=0 code call
  call=(curl -sS -o "$work/body" -w '%{http_code}' --cacert "$pki/cluster-ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key")
  while [ ! -e "$work/enough" ]; do
    n=$((n + 1))
    code=$("${call[@]}" "https://$node_ip:6443$fleet/hosts/box-1" || true)
    [ "$code" = 200 ] || echo "read $n: $code $(cat "$work/body")" >>"$work/failed"
    code=$("${call[@]}" -X PATCH -H 'Content-Type: application/merge-patch+json' \
      -d "{\"metadata\":{\"labels\":{\"n\":\"$n\"}}}" "https://$node_ip:6443$fleet/hosts/box-1" || true)
    [ "$code" = 200 ] || echo "write $n: $code $(cat "$work/body")" >>"$work/failed"
  done
  echo "$n" >"$work/rounds"
}

# rolls COMMAND...: a change of pods during which no request may fail.
rolls() {
  rm -f "$work/enough" "$work/failed"
  until_true "there are no pods but the two" two_pods
  work_without_end &
  local worker=$!
  "$@"
  until_true "the old pods are gone" two_pods
  touch "$work/enough"
  wait "$worker"
  if [ -s "$work/failed" ]; then
    echo "requests failed meanwhile:" >&2
    cat "$work/failed" >&2
    return 1
  fi
  echo "none of $(cat "$work/rounds") reads and as many writes failed"
}

two_pods() { [ "$(kubectl -n gatehouse-system get pods -l app.kubernetes.io/name=gatehouse -o name | wc -l)" -eq 2 ]; }

# confined: what the manifests ask for has reached the processes.
confined() {
  local pid status
  for pid in $(pgrep -x gatehouse); do
    status=$(cat "/proc/$pid/status")
    for want in '^Uid:\s+65532\s+65532\s+65532\s+65532$' '^CapEff:\s+0+$' '^NoNewPrivs:\s+1$' '^Seccomp:\s+2$'; do
      grep -qE "$want" <<<"$status" || { echo "process $pid has not $want" >&2; return 1; }
    done
    grep -qE '^overlay / overlay ro,' "/proc/$pid/mounts" || { echo "process $pid may write to its root" >&2; return 1; }
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q '^[^ ]* controllers ' && continue # they keep nothing on disk
    [ "$(stat -c %a "/proc/$pid/root/var/lib/gatehouse/data")" = 2700 ] || { echo "others may look into the data of $pid" >&2; return 1; }
  done
  [ -n "${pid:-}" ]
}

evict() {
  printf '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"%s"}}' "$1" |
    kubectl create --raw "/api/v1/namespaces/gatehouse-system/pods/$1/eviction" -f -
}

drained() {
  local pods
  mapfile -t pods < <(kubectl -n gatehouse-system get pods -l app.kubernetes.io/name=gatehouse -o name)
  evict "${pods[0]#pod/}"
  says 'disruption budget' evict "${pods[1]#pod/}"
  kubectl -n gatehouse-system rollout status deployment/gatehouse --timeout=2m
}

eight_times() {
  local i
  for i in 1 2 3 4 5 6 7 8; do "$@" || return; done
}

direct() {
  follow '## Direct connections' 1
  gatehouse certificates --dir my-cluster/pki --tls-san gatehouse.example.com >/dev/null
  follow '## The certificate' 2
  local port token call
  port=$(kubectl -n gatehouse-system get service gatehouse-direct -o jsonpath='{.spec.ports[0].nodePort}')
  token=$(kubectl -n team-a create token default)
  kubectl create clusterrolebinding agents --clusterrole=gatehouse:hosts-view --serviceaccount=team-a:default
  call=(curl -sS --cacert my-cluster/pki/ca.crt --connect-to "::$node_ip:$port" "https://gatehouse.example.com:$port$fleet/hosts")
  until_true "both replicas have the certificate with the new name" eight_times "${call[@]}"
  until_true "the service account is let in" says HostList "${call[@]}" -H "Authorization: Bearer $token"
  says HostList "${call[@]}" --cert "$pki/admin.crt" --key "$pki/admin.key"
  says Unauthorized "${call[@]}"
}

uninstalled() {
  follow '## Uninstall' 1
  says 'NotFound' kubectl get namespace gatehouse-system
}

# mistaken puts a wrong authority into the Secret, and gets out of it as the page says.
mistaken() {
  kubectl -n gatehouse-system create secret generic gatehouse-etcd-client --from-file=ca.crt=my-cluster/pki/ca.crt \
    --from-file=tls.crt=my-cluster/etcd-client.crt --from-file=tls.key=my-cluster/etcd-client.key
  kubectl apply -k my-cluster
  until_true "the log names the flag" says '--etcd-cafile must hold' kubectl -n gatehouse-system logs deployment/gatehouse
  kubectl -n gatehouse-system delete secret gatehouse-etcd-client
  follow '### 4. Put certificates into the cluster' 2
  kubectl -n gatehouse-system rollout restart deployment/gatehouse
}

external_etcd() {
  follow '### 3. Make the serving certificate' 1
  cp "$pki"/etcd-ca.crt "$pki"/etcd-client.{crt,key} my-cluster/
  follow '### 4. Put certificates into the cluster' 1
  follow '### 5. Set the values of your cluster' 1
  mistaken
  installed
  confined
  follow '### 8. Grant access' 1
  until_true "edit holds our kinds" says yes kubectl --as=alice -n team-a auth can-i create instances.fleet.gatehouse.dev
  # The last command of this block is refused, as the page says.
  says 'is forbidden: User "alice"' follow '### 9. First objects' 1
  says box-1 kubectl get hosts
  rolls drained
  rolls follow '## Upgrade, and back' 1
  direct
  follow '## The certificate' 1 2 3
  rolls new_authority
  uninstalled
}

new_authority() {
  follow '## The certificate' 4
  kubectl -n gatehouse-system create secret tls gatehouse-serving --cert=my-cluster/pki-new/serving.crt --key=my-cluster/pki-new/serving.key \
    --dry-run=client -o yaml | kubectl replace -f -
  kubectl -n gatehouse-system rollout restart deployment/gatehouse
  kubectl -n gatehouse-system rollout status deployment/gatehouse --timeout=5m
  follow '## The certificate' 5
}

embedded_etcd() {
  rm -r my-cluster
  mkdir "$work/volume"
  follow '### 3. Make the serving certificate' 1
  follow '### 4. Put certificates into the cluster' 1
  follow '### 5. Set the values of your cluster' 2 3
  installed
  confined
  kubectl apply -f artifacts/examples/host.yaml
  kubectl -n gatehouse-system delete pod -l app.kubernetes.io/name=gatehouse
  kubectl -n gatehouse-system rollout status deployment/gatehouse --timeout=5m
  kubectl wait --for=condition=Available apiservice/v1alpha1.fleet.gatehouse.dev apiservice/v1alpha1.diagnostics.gatehouse.dev --timeout=2m
  says edge-1 kubectl get hosts
  [ "$(stat -c '%a %u' "$work/volume/data/etcd/member/snap/db")" = '600 65532' ]
  uninstalled
}

start_cluster
cd "$work"
follow '### 1. Build' 1 2
follow '### 2. Make the image and bring it to your registry' 1
external_etcd
embedded_etcd
printf '\ndocs/install.md holds, in %d s\n' "$SECONDS"
