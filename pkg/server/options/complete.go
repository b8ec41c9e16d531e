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
	"path/filepath"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
)

// KubeconfigName is the name of the administrator's kubeconfig in the data directory, and
// CertificateDirName that of the directory with the server's own certificates and keys.
const (
	KubeconfigName     = "kubeconfig"
	CertificateDirName = "pki"
)

type completedOptions struct {
	Options
	embeddedEtcd bool
	plugins      []string
}

// CompletedOptions are options with all derived values. Only Complete makes them. They are a copy:
// neither the options from which they were made nor a running server changes them.
type CompletedOptions struct {
	completedOptions
}

// EmbeddedEtcd reports whether etcd runs in this process.
func (o CompletedOptions) EmbeddedEtcd() bool { return o.embeddedEtcd }

// AdmissionPlugins returns the enabled admission plugins, in the order of the chain. The caller
// must not change the slice.
func (o CompletedOptions) AdmissionPlugins() []string { return o.plugins }

// MakesBackups reports whether the server makes backups by itself.
func (o CompletedOptions) MakesBackups() bool { return o.Backups.Enabled(o.embeddedEtcd) }

// Aggregated reports whether the server serves behind a kube-apiserver.
func (o CompletedOptions) Aggregated() bool { return o.Mode == ModeAggregated }

// ApproveHosts reports whether only operators register hosts.
func (o CompletedOptions) ApproveHosts() bool { return o.HostRegistration == ApprovedRegistration }

// LockFile is locked by the process that uses the data directory.
func (o CompletedOptions) LockFile() string { return filepath.Join(o.DataDir, "lock") }

// EtcdDir holds the data of an embedded etcd.
func (o CompletedOptions) EtcdDir() string { return filepath.Join(o.DataDir, "etcd") }

// CertificateDir holds the certificates that the server makes.
func (o CompletedOptions) CertificateDir() string {
	return filepath.Join(o.DataDir, CertificateDirName)
}

// KubeconfigFile is the path of the administrator's kubeconfig.
func (o CompletedOptions) KubeconfigFile() string { return filepath.Join(o.DataDir, KubeconfigName) }

// AuditFile is the log of OperationsAudit.
func (o CompletedOptions) AuditFile() string {
	return filepath.Join(o.DataDir, "audit", "audit.log")
}

// CertificateOptions returns the options of the certificates that the server makes.
func (o CompletedOptions) CertificateOptions() certificates.Options {
	return certificates.Options{
		ExtraSANs: o.Serving.Names(o.ServerRun.ExternalHost), Changing: o.Serving.ChangingNames(), ServingOnly: o.Aggregated(),
	}
}

// ReplicaIdentity returns the identity of this server in elections. A server with an embedded etcd
// is the only replica and keeps its identity across restarts, so that it does not wait for the end
// of its own lease.
func (o CompletedOptions) ReplicaIdentity() string {
	if o.EmbeddedEtcd() {
		return "gatehouse-with-embedded-etcd"
	}
	return leader.Identity()
}

// Complete returns a copy of the options with all derived values.
func (o *Options) Complete() (CompletedOptions, error) {
	c := completedOptions{Options: *o}
	serverRun, secure, etcd, audit := *o.ServerRun, *o.Serving.SecureServingOptions, *o.Etcd.EtcdOptions, *o.Audit
	c.ServerRun, c.Serving.SecureServingOptions, c.Etcd.EtcdOptions, c.Audit = &serverRun, &secure, &etcd, &audit
	c.Admission = o.Admission.Copy()
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return CompletedOptions{}, fmt.Errorf("--data-dir %q has no absolute path: %w", o.DataDir, err)
	}
	if o.DataDir != "" {
		c.DataDir = dir
	}
	c.Callers.Complete()
	c.embeddedEtcd = o.Etcd.Embedded(o.Mode == ModeAggregated)
	c.plugins = o.Admission.Enabled()
	if err := c.ServerRun.Complete(); err != nil {
		return CompletedOptions{}, err
	}
	if c.ServerRun.AdvertiseAddress == nil && !c.Serving.BindAddress.IsUnspecified() {
		c.ServerRun.AdvertiseAddress = c.Serving.BindAddress
	}
	return CompletedOptions{c}, nil
}
