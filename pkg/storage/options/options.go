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

// Package options has the flags of etcd, embedded and external.
package options

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/spf13/pflag"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

// minQuotaBytes holds the objects of a first start and one object of the largest size.
const minQuotaBytes = 16 << 20

// Options are the flags of etcd.
type Options struct {
	*genericoptions.EtcdOptions
	// Embed runs an etcd in this process in the aggregated mode, which uses an external one by
	// default.
	Embed bool
	// QuotaBytes is the maximum size of the database of an embedded etcd.
	QuotaBytes int64
	// Plaintext allows an external etcd without TLS in the aggregated mode.
	Plaintext bool
	// Member has the flags of a member of a cluster.
	Member Member
	// reloadEncryption makes every given encryption configuration be reloaded when its file changes.
	reloadEncryption bool
}

// New returns the defaults.
func New() Options {
	return Options{EtcdOptions: storage.NewOptions(), QuotaBytes: embedded.DefaultQuotaBytes}
}

// AddFlags adds all flags to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	o.EtcdOptions.AddFlags(fs)
	fs.BoolVar(&o.Embed, "embedded-etcd", o.Embed, "Run an etcd in this process in aggregated mode, too. Only for a single replica, because each replica would have separate data.")
	fs.BoolVar(&o.Plaintext, "etcd-allow-plaintext", o.Plaintext, "Allow --etcd-servers with http URLs in aggregated mode. Any client that reaches such an etcd can read and change everything.")
	o.addQuotaFlag(fs)
	o.Member.addFlags(fs)
	fs.Lookup(encryptionFlag).Usage = encryptionUsage + " It is read again when it changes only with --encryption-provider-config-automatic-reload."
	fs.Lookup("etcd-servers").Usage = "URLs of an external etcd, comma separated, such as https://10.0.0.1:2379. Where empty, an etcd runs inside this process and keeps its data in the data directory."
}

// AddUpFlags adds the few flags of gatehouse up to a set.
func (o *Options) AddUpFlags(fs *pflag.FlagSet) {
	transport := &o.StorageConfig.Transport
	fs.StringSliceVar(&transport.ServerList, "etcd-servers", nil, "URLs of an external etcd, comma separated, such as https://10.0.0.1:2379. If empty, an etcd runs in this process.")
	fs.StringVar(&transport.TrustedCAFile, "etcd-cafile", "", "Certificates of the authorities that sign the external etcd's certificate.")
	fs.StringVar(&transport.CertFile, "etcd-certfile", "", "Client certificate for the external etcd.")
	fs.StringVar(&transport.KeyFile, "etcd-keyfile", "", "Key of the client certificate for the external etcd.")
	o.addQuotaFlag(fs)
	o.Member.addFlags(fs)
	o.Member.addJoinFlags(fs)
	o.reloadEncryption = true
	fs.StringVar(&o.EncryptionProviderConfigFilepath, encryptionFlag, "", encryptionUsage+" It is read again when it changes.")
}

const (
	encryptionFlag  = "encryption-provider-config"
	encryptionUsage = "File with the EncryptionConfiguration (apiserver.config.k8s.io/v1) by which objects are encrypted in etcd. \"gatehouse encryption init\" writes one. Where empty, objects are stored without encryption."
)

func (o *Options) addQuotaFlag(fs *pflag.FlagSet) {
	fs.Int64Var(&o.QuotaBytes, "etcd-quota-bytes", o.QuotaBytes, "Maximum size in bytes of the database of the embedded etcd. At this size the server refuses creates and updates with 507 and /readyz fails with the check etcd-space, while reads and deletes continue. A restart compacts and defragments the database and takes writes again if that leaves 10 % of the quota free.")
}

// Embedded reports whether etcd runs in this process.
func (o *Options) Embedded(aggregated bool) bool {
	return len(o.StorageConfig.Transport.ServerList) == 0 && (!aggregated || o.Embed)
}

// External returns the connection to the external etcd.
func (o *Options) External() storage.Connection {
	transport := o.StorageConfig.Transport
	return storage.Connection{
		Endpoints: transport.ServerList,
		CAFile:    transport.TrustedCAFile, CertFile: transport.CertFile, KeyFile: transport.KeyFile,
	}
}

// CheckExternal returns an error if no external etcd accepts a connection, and logs a warning about
// a number of members that gains no availability.
func (o *Options) CheckExternal(ctx context.Context) error {
	external := o.External()
	if warning := storage.QuorumOf(storage.DistinctEndpoints(external.Endpoints)).Warning(); warning != "" {
		klog.Warning("--etcd-servers: " + warning)
	}
	if err := storage.CheckReachable(ctx, external); err != nil {
		return fmt.Errorf("--etcd-servers: no etcd takes a connection: %w", err)
	}
	return nil
}

// Connected returns the library's options for the endpoints of an embedded etcd, or for the
// external one if there are none. The options do not change.
func (o *Options) Connected(endpoints []string) *genericoptions.EtcdOptions {
	connected := *o.EtcdOptions
	if len(endpoints) > 0 {
		storage.Connect(&connected, storage.Connection{Endpoints: endpoints})
	}
	if o.reloadEncryption && connected.EncryptionProviderConfigFilepath != "" {
		connected.EncryptionProviderConfigAutomaticReload = true
	}
	warnOfOpenKeys(connected.EncryptionProviderConfigFilepath)
	return &connected
}

// warnOfOpenKeys logs a warning if other users of the machine can read or replace the file of the keys, if there is
// one.
func warnOfOpenKeys(path string) {
	if path == "" {
		return
	}
	for _, err := range []error{files.OpenToAll(path), files.Replaceable(path)} {
		if err != nil {
			klog.Warning("--" + encryptionFlag + ": other users have access to the keys: " + err.Error())
		}
	}
}

// Validate returns an error for each invalid flag.
func (o *Options) Validate(aggregated bool) []error {
	if o.Embedded(aggregated) {
		return o.validateEmbedded(aggregated)
	}
	transport := o.StorageConfig.Transport
	if len(transport.ServerList) == 0 {
		return []error{fmt.Errorf("--etcd-servers is required with --mode=aggregated: name an external etcd as https://etcd.example:2379, or run one in this process with --embedded-etcd")}
	}
	errs := append(o.EtcdOptions.Validate(), o.validateEncryption()...)
	if o.QuotaBytes != embedded.DefaultQuotaBytes {
		errs = append(errs, fmt.Errorf("--etcd-quota-bytes is for the embedded etcd: leave it out, and give the external etcd its --quota-backend-bytes"))
	}
	if o.Embed {
		errs = append(errs, fmt.Errorf("--embedded-etcd and --etcd-servers exclude each other: leave one out"))
	}
	for _, server := range transport.ServerList {
		if u, err := url.Parse(server); err != nil || !slices.Contains([]string{"http", "https", "unix"}, u.Scheme) || (u.Host == "" && u.Path == "") {
			errs = append(errs, fmt.Errorf("--etcd-servers: %q is not the URL of an etcd: write it as https://10.0.0.1:2379", server))
		} else if aggregated && u.Scheme == "http" && !o.Plaintext {
			errs = append(errs, fmt.Errorf("--etcd-servers: %q has no TLS, so any client that reaches it can read and change everything: use https with --etcd-cafile, --etcd-certfile and --etcd-keyfile, or accept it with --etcd-allow-plaintext", server))
		}
	}
	errs = append(errs, o.Member.validateUnused()...)
	if (transport.CertFile == "") != (transport.KeyFile == "") {
		errs = append(errs, fmt.Errorf("--etcd-certfile and --etcd-keyfile belong together: give both or neither"))
	}
	for _, file := range o.files() {
		errs = append(errs, files.ValidateFlag(file.flag, file.path)...)
	}
	return errs
}

// validateEncryption checks the file of the keys, and its reload, which the library checks for an external etcd
// only.
func (o *Options) validateEncryption() []error {
	switch {
	case o.EncryptionProviderConfigFilepath != "":
		return files.ValidateFlag(encryptionFlag, o.EncryptionProviderConfigFilepath)
	case o.EncryptionProviderConfigAutomaticReload && len(o.StorageConfig.Transport.ServerList) == 0:
		return []error{fmt.Errorf("--encryption-provider-config-automatic-reload has no effect without --%s: name the file, or leave it out", encryptionFlag)}
	}
	return nil
}

func (o *Options) validateEmbedded(aggregated bool) []error {
	errs := append(o.validateEncryption(), o.Member.validate(aggregated)...)
	for _, file := range o.files() {
		errs = append(errs, fmt.Errorf("--%s has no effect without --etcd-servers: the embedded etcd is reached by a unix socket", file.flag))
	}
	if o.QuotaBytes < minQuotaBytes {
		errs = append(errs, fmt.Errorf("--etcd-quota-bytes=%d is too small: use %d (16 MiB) or more; the default is %d", o.QuotaBytes, minQuotaBytes, int64(embedded.DefaultQuotaBytes)))
	}
	return errs
}

// file is a flag that names a file.
type file struct{ flag, path string }

// files returns the files that are given.
func (o *Options) files() []file {
	t := o.StorageConfig.Transport
	return slices.DeleteFunc([]file{{"etcd-cafile", t.TrustedCAFile}, {"etcd-certfile", t.CertFile}, {"etcd-keyfile", t.KeyFile}},
		func(f file) bool { return f.path == "" })
}
