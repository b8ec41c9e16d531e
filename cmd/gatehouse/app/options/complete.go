/*
Copyright The Gatehouse Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package options

import (
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gatehouse-dev/gatehouse/pkg/apiserver/memory"
)

// KubeconfigName is the name of the administrator's kubeconfig in the data directory.
const KubeconfigName = "kubeconfig"

// CertificateDirName is the name of the directory with the certificates and keys that the
// server makes, in the data directory.
const CertificateDirName = "pki"

// shutdownWatchGrace is how long watches are drained at the end.
const shutdownWatchGrace = 5 * time.Second

type completedOptions struct {
	*Options
	embeddedEtcd bool
}

// CompletedOptions are options with all that can be derived filled in. Only Complete makes
// them.
type CompletedOptions struct {
	*completedOptions
}

// EmbeddedEtcd says whether etcd runs in this process.
func (o CompletedOptions) EmbeddedEtcd() bool { return o.embeddedEtcd }

// Aggregated says whether the server serves behind a kube-apiserver.
func (o CompletedOptions) Aggregated() bool { return o.Mode == ModeAggregated }

// ApproveHosts says whether operators register hosts.
func (o CompletedOptions) ApproveHosts() bool { return o.HostRegistration == ApprovedRegistration }

// LockFile keeps other processes off the data directory.
func (o CompletedOptions) LockFile() string { return filepath.Join(o.DataDir, "lock") }

// EtcdDir is where an embedded etcd keeps its data.
func (o CompletedOptions) EtcdDir() string { return filepath.Join(o.DataDir, "etcd") }

// CertificateDir is where the server keeps the certificates that it makes.
func (o CompletedOptions) CertificateDir() string {
	return filepath.Join(o.DataDir, CertificateDirName)
}

// KubeconfigFile is where the administrator's kubeconfig is written.
func (o CompletedOptions) KubeconfigFile() string { return filepath.Join(o.DataDir, KubeconfigName) }

// MemoryBytes is the memory that the process may use: what --memory-limit says, or the limit of
// its control group; 0 for no limit. The flag must be valid.
func (o CompletedOptions) MemoryBytes(root fs.FS) int64 {
	if o.MemoryLimit == "" {
		limit, _ := memory.CgroupLimit(root)
		return limit
	}
	limit := resource.MustParse(o.MemoryLimit)
	return limit.Value()
}

// OwnServingCertificate says whether the server makes its serving certificate itself.
func (o CompletedOptions) OwnServingCertificate() bool {
	return o.Serving.ServerCert.CertKey.CertFile == "" && o.Serving.ServerCert.CertKey.KeyFile == ""
}

// SANs are the names that the server's own serving certificate must carry besides those
// of this machine's loopback.
func (o CompletedOptions) SANs() []string {
	sans := append([]string{}, o.TLSSANs...)
	if ip := o.Serving.BindAddress; !ip.IsLoopback() && !ip.IsUnspecified() {
		sans = append(sans, ip.String())
	}
	if o.ServerRun.ExternalHost != "" {
		sans = append(sans, o.ServerRun.ExternalHost)
	}
	return sans
}

// ClientURL is how clients on this machine reach the server that listens at the address.
func ClientURL(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return "https://" + address.String()
	}
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

// Complete derives what is not given. The options belong to the result from then on.
func (o *Options) Complete() (CompletedOptions, error) {
	c := &completedOptions{Options: o}
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return CompletedOptions{}, fmt.Errorf("--data-dir %q has no absolute path: %w", o.DataDir, err)
	}
	if o.DataDir != "" {
		o.DataDir = dir
	}
	o.Callers.complete()
	c.embeddedEtcd = len(o.Etcd.StorageConfig.Transport.ServerList) == 0
	if o.Mode == ModeAggregated && !o.EmbedEtcd {
		c.embeddedEtcd = false
	}
	if err := o.ServerRun.Complete(); err != nil {
		return CompletedOptions{}, err
	}
	if o.ServerRun.AdvertiseAddress == nil && !o.Serving.BindAddress.IsUnspecified() {
		o.ServerRun.AdvertiseAddress = o.Serving.BindAddress
	}
	return CompletedOptions{c}, nil
}
