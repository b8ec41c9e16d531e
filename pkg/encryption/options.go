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

package encryption

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
)

const (
	// defaultQPS leaves most of the disk of a small server to its clients.
	defaultQPS = 200
	// defaultTimeout is for a file that an operator copies to other machines meanwhile.
	defaultTimeout = 10 * time.Minute
)

// Options are the flags of the commands that talk to servers.
type Options struct {
	DataDir    string
	Kubeconfig string
	// Replicas are the URLs of all servers of the same data; that of the kubeconfig if empty.
	Replicas []string
	// QPS bounds the updates per second; 0 for no bound.
	QPS float32
	// Timeout bounds each wait for replicas.
	Timeout time.Duration
	// Resume begins no rotation: it ends one that was interrupted.
	Resume bool
	// Purge removes former versions from the data directory of an embedded etcd.
	Purge bool

	// KubeconfigName is the name of the administrator's kubeconfig in the data directory.
	KubeconfigName string
}

// New returns the defaults for a data directory.
func New(dataDir, kubeconfigName string) *Options {
	return &Options{DataDir: dataDir, KubeconfigName: kubeconfigName, QPS: defaultQPS, Timeout: defaultTimeout}
}

// AddFlags adds the flags of all commands to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "The server's data directory, with the administrator's kubeconfig and the embedded etcd.")
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Kubeconfig of an administrator, instead of the one in --data-dir.")
	fs.StringSliceVar(&o.Replicas, "replica", o.Replicas, "URL of a server of the same data, such as https://10.0.0.1:6443; repeated for each. Where empty, the server of the kubeconfig is the only one.")
}

// AddRewriteFlags adds the flags of commands that rewrite objects to a set.
func (o *Options) AddRewriteFlags(fs *pflag.FlagSet) {
	fs.Float32Var(&o.QPS, "qps", o.QPS, "Maximum number of updates per second; 0 for no bound.")
	fs.DurationVar(&o.Timeout, "timeout", o.Timeout, "Maximum time to wait until every replica has loaded the file.")
	fs.BoolVar(&o.Purge, "purge", o.Purge, "Then remove former versions of objects from the embedded etcd in --data-dir: compact, defragment, and write until its log drops the former part.")
}

// Validate returns an error for each invalid flag.
func (o *Options) Validate() []error {
	var errs []error
	for _, replica := range o.Replicas {
		if u, err := url.Parse(replica); err != nil || u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("--replica=%s is not the URL of a server: write it as https://10.0.0.1:6443", replica))
		}
	}
	if o.QPS < 0 {
		errs = append(errs, fmt.Errorf("--qps=%v must not be negative: use the number of updates per second, or 0 for no bound", o.QPS))
	}
	if o.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("--timeout=%v must be positive", o.Timeout))
	}
	return errs
}

// session holds the file and the clients of a command.
type session struct {
	file      *File
	replicas  []replica
	discovery discovery.DiscoveryInterface
	metadata  metadata.Interface
	// store is nil if no embedded etcd runs in the data directory.
	store *store
}

func (o *Options) open(path string) (*session, error) {
	file, err := Read(path)
	if err != nil {
		return nil, err
	}
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // the updates have a separate bound
	if len(o.Replicas) > 0 {
		// Behind a kube-apiserver, only the server itself lists just the kinds that it stores.
		config.Host = o.Replicas[0]
	}
	s := &session{file: file}
	if s.replicas, err = replicas(config, o.Replicas); err != nil {
		return nil, err
	}
	if s.discovery, err = discovery.NewDiscoveryClientForConfig(config); err != nil {
		return nil, err
	}
	if s.metadata, err = metadata.NewForConfig(config); err != nil {
		return nil, err
	}
	s.store, err = openStore(o.DataDir)
	if err == nil && s.store == nil && o.Purge {
		err = fmt.Errorf("--purge: no embedded etcd runs in --data-dir=%s: run the command on the machine of the server; an external etcd is purged by its operator, as docs/encryption.md says", o.DataDir)
	}
	return s, err
}

func (s *session) close() {
	if s.store != nil {
		_ = s.store.client.Close()
	}
}

func (o *Options) config() (*rest.Config, error) {
	if o.Kubeconfig == "" {
		return credentials.AdminConfig(o.DataDir, o.KubeconfigName)
	}
	config, err := failover.Load(o.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig=%s: %w", o.Kubeconfig, err)
	}
	return config, nil
}

// Rewrite stores every object again that was stored with another key than servers write with.
func (o *Options) Rewrite(ctx context.Context, path string, notes io.Writer) error {
	s, err := o.open(path)
	if err != nil {
		return err
	}
	defer s.close()
	return o.complete(ctx, s, notes)
}

// complete waits until all servers have loaded the file, and rewrites.
func (o *Options) complete(ctx context.Context, s *session, notes io.Writer) error {
	if err := waitLoaded(ctx, s.replicas, s.file, o.Timeout, notes); err != nil {
		return err
	}
	if err := o.rewriteAll(ctx, s, notes); err != nil {
		return err
	}
	return o.purgeIfWanted(ctx, s, notes)
}

func (o *Options) purgeIfWanted(ctx context.Context, s *session, notes io.Writer) error {
	switch {
	case o.Purge:
		if err := s.store.purge(ctx, notes); err != nil {
			return err
		}
		fmt.Fprintln(notes, "done; former versions of objects are gone from the data directory")
	default:
		fmt.Fprintln(notes, "done; the history, free pages and log of etcd still have former versions of objects: --purge removes them")
	}
	return nil
}
