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

# A Kubernetes cluster of one node, with a kubelet and containers that really run: what
# docs/install.md asks for. Sourced by run.sh, which has put this shell into namespaces of its
# own (network, mounts, processes), so nothing of the machine is changed but /sys/fs/cgroup/*/kubepods.
#
# Wants: $work, an empty directory; $controlplane, where make e2e-node has built the programs.

# The only address: the node's, the bridge's that pods are on, and the registry's.
readonly node_ip=10.244.0.1
readonly registry=127.0.0.1:5000
readonly pki=$work/pki logs=$work/logs

# start NAME COMMAND...: in the background, with a log of its own. All ends with the namespace.
start() {
  local name=$1
  shift
  "$@" >"$logs/$name.log" 2>&1 &
  echo "$!" >"$work/$name.pid"
}

# all_run names what was started and has ended.
all_run() {
  local file name
  for file in "$work"/*.pid; do
    name=$(basename "$file" .pid)
    if ! kill -0 "$(cat "$file")" 2>/dev/null; then
      echo "$name has ended; the last lines of $logs/$name.log:" >&2
      tail -n 5 "$logs/$name.log" >&2
      return 1
    fi
  done
}

# until_true WHAT COMMAND...: waits until the command succeeds, for three minutes at most, and
# no longer than everything runs.
until_true() {
  local what=$1 end=$((SECONDS + 180))
  shift
  until "$@" >"$work/last" 2>&1; do
    if [ "$SECONDS" -ge "$end" ] || ! all_run; then
      echo "waited in vain until $what; the last answer:" >&2
      cat "$work/last" >&2
      return 1
    fi
    sleep 0.5
  done
}

# fixed_places hides what the node's programs write to places that cannot be chosen.
fixed_places() {
  local place
  for place in /run /var/run /var/lib/kubelet /var/lib/cni /var/log/containers /opt/containerd; do
    if [ -L "$place" ]; then continue; fi
    mkdir -p "$place"
    mount -t tmpfs tmpfs "$place"
  done
}

network() {
  ip link set lo up
  ip link add gatehouse0 type bridge
  ip addr add "$node_ip/24" dev gatehouse0
  ip link set gatehouse0 up
  # kube-proxy's rules send Services to pods; this route only has to exist.
  ip route add 10.96.0.0/24 dev gatehouse0
  sysctl -qw net.ipv4.ip_forward=1
  mkdir -p "$work/cni"
  cat >"$work/cni/10-pods.conflist" <<END
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "gatehouse0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$work/cni-addresses",
            "ranges": [[{"subnet": "10.244.0.0/24", "gateway": "$node_ip"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
END
}

# authority NAME
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
    -keyout "$pki/$1.key" -out "$pki/$1.crt" 2>"$work/last"
}

# certificate AUTHORITY FILE SUBJECT [NAMES]
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$3" -keyout "$pki/$2.key" -out "$pki/$2.csr" 2>"$work/last"
  printf 'extendedKeyUsage=clientAuth,serverAuth\n%s\n' "${4:+subjectAltName=$4}" >"$pki/$2.ext"
  openssl x509 -req -in "$pki/$2.csr" -CA "$pki/$1.crt" -CAkey "$pki/$1.key" -CAcreateserial -days 2 \
    -extfile "$pki/$2.ext" -out "$pki/$2.crt" 2>"$work/last"
}

# kubeconfig FILE SUBJECT: with a client certificate of the cluster's authority.
kubeconfig() {
  certificate cluster-ca "$1" "$2"
  local config=$work/$1.kubeconfig
  kubectl config --kubeconfig "$config" set-cluster e2e --server="https://$node_ip:6443" --certificate-authority="$pki/cluster-ca.crt"
  kubectl config --kubeconfig "$config" set-credentials "$1" --client-certificate="$pki/$1.crt" --client-key="$pki/$1.key"
  kubectl config --kubeconfig "$config" set-context e2e --cluster=e2e --user="$1"
  kubectl config --kubeconfig "$config" use-context e2e
} >"$work/last"

control_plane() {
  mkdir -p "$pki"
  authority cluster-ca
  authority proxy-ca
  certificate proxy-ca front-proxy /CN=front-proxy-client
  certificate cluster-ca kube-apiserver /CN=kube-apiserver "IP:$node_ip,IP:10.96.0.1,DNS:kubernetes.default.svc"
  certificate cluster-ca kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  openssl ecparam -name prime256v1 -genkey -noout -out "$pki/service-accounts.key"
  kubeconfig admin /O=system:masters/CN=admin
  kubeconfig kubelet /O=system:nodes/CN=system:node:node-1
  local component
  for component in kube-controller-manager kube-scheduler kube-proxy; do
    kubeconfig "$component" "/CN=system:$component"
  done

  start etcd "$controlplane/etcd" --data-dir "$work/etcd" --log-level warn --listen-peer-urls http://127.0.0.1:2380
  start kube-apiserver "$controlplane/kube-apiserver" \
    --advertise-address="$node_ip" --kubelet-preferred-address-types=InternalIP --etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range=10.96.0.0/24 \
    --tls-cert-file="$pki/kube-apiserver.crt" --tls-private-key-file="$pki/kube-apiserver.key" \
    --client-ca-file="$pki/cluster-ca.crt" --authorization-mode=Node,RBAC \
    --requestheader-client-ca-file="$pki/proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-username-headers=X-Remote-User --requestheader-uid-headers=X-Remote-Uid \
    --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$pki/front-proxy.crt" --proxy-client-key-file="$pki/front-proxy.key" \
    --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$pki/service-accounts.key" --service-account-signing-key-file="$pki/service-accounts.key"
  export KUBECONFIG=$work/admin.kubeconfig
  until_true "kube-apiserver is ready" kubectl get --raw /readyz

  local as=--kubeconfig=$work/kube-controller-manager.kubeconfig
  start kube-controller-manager "$controlplane/kube-controller-manager" "$as" --leader-elect=false \
    --use-service-account-credentials --root-ca-file="$pki/cluster-ca.crt" --service-account-private-key-file="$pki/service-accounts.key"
  start kube-scheduler "$controlplane/kube-scheduler" --kubeconfig="$work/kube-scheduler.kubeconfig" --leader-elect=false
  # Conntrack's limits belong to the machine.
  start kube-proxy "$controlplane/kube-proxy" --kubeconfig="$work/kube-proxy.kubeconfig" --hostname-override=node-1 \
    --cluster-cidr=10.244.0.0/24 --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
  kubectl create clusterrolebinding kube-proxy --clusterrole=system:node-proxier --user=system:kube-proxy
}

# What a registry would otherwise be asked for: the program that holds a pod's namespaces.
pause_image() {
  mkdir "$work/pause"
  cat >"$work/pause/main.go" <<'END'
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
END
  printf 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n' >"$work/pause/Containerfile"
  (cd "$work/pause" && GO111MODULE=off go build -o pause main.go)
  buildah build --tls-verify=false -t "$registry/pause:e2e" "$work/pause" >"$work/last"
  buildah push --tls-verify=false "$registry/pause:e2e"
} >"$logs/pause.log" 2>&1

local_registry() {
  cat >"$work/registry.yaml" <<END
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $work/registry}, delete: {enabled: true}}
http: {addr: $registry}
END
  start registry docker-registry serve "$work/registry.yaml"
  until_true "the registry answers" curl -fsS "http://$registry/v2/"
}

node() {
  cat >"$work/containerd.toml" <<END
version = 2
root = "$work/containerd"
state = "$work/containerd-state"
[grpc]
address = "$work/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$registry/pause:e2e"
# Not every machine's root may make a process less likely to be killed.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$work/cni"
END
  start containerd containerd --config "$work/containerd.toml"
  until_true "containerd answers" ctr --address "$work/containerd.sock" version

  cat >"$work/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://$work/containerd.sock
podLogsDir: $work/pod-logs
authentication: {x509: {clientCAFile: $pki/cluster-ca.crt}}
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDNS: [10.96.0.10]
resolvConf: ""
evictionHard: {nodefs.available: 1%, imagefs.available: 1%, memory.available: 100Mi}
imageGCHighThresholdPercent: 99
imageGCLowThresholdPercent: 98
END
  start kubelet "$controlplane/kubelet" --config="$work/kubelet.yaml" --kubeconfig="$work/kubelet.kubeconfig" \
    --hostname-override=node-1 --node-ip="$node_ip" --root-dir="$work/kubelet" --cert-dir="$work/kubelet-pki" -v=2
  until_true "the node is registered" kubectl get node node-1
  kubectl wait --for=condition=Ready node/node-1 --timeout=2m
}

# An etcd of three members for Gatehouse, with TLS, as docs/install.md asks for.
gatehouse_etcd() {
  local i cluster='' servers=''
  authority etcd-ca
  certificate etcd-ca etcd-server /CN=etcd "IP:$node_ip"
  certificate etcd-ca etcd-client /CN=gatehouse
  for i in 1 2 3; do cluster+=${cluster:+,}etcd-$i=http://127.0.0.1:24${i}1; done
  for i in 1 2 3; do
    start "etcd-$i" "$controlplane/etcd" --name "etcd-$i" --data-dir "$work/etcd-$i" --log-level warn \
      --listen-client-urls "https://$node_ip:24${i}0" --advertise-client-urls "https://$node_ip:24${i}0" \
      --cert-file "$pki/etcd-server.crt" --key-file "$pki/etcd-server.key" --trusted-ca-file "$pki/etcd-ca.crt" --client-cert-auth \
      --listen-peer-urls "http://127.0.0.1:24${i}1" --initial-advertise-peer-urls "http://127.0.0.1:24${i}1" \
      --initial-cluster "$cluster" --initial-cluster-state new
    servers+=${servers:+,}https://$node_ip:24${i}0
  done
  etcd_servers=$servers
}

# start_cluster brings all of it up.
start_cluster() {
  mkdir -p "$logs"
  cat >"$work/registries.conf" <<END
[[registry]]
location = "$registry"
insecure = true
END
  printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$work/images" "$work/images-run" >"$work/storage.conf"
  export CONTAINERS_REGISTRIES_CONF=$work/registries.conf CONTAINERS_STORAGE_CONF=$work/storage.conf
  fixed_places
  network
  local_registry
  pause_image
  control_plane
  gatehouse_etcd
  node
}
