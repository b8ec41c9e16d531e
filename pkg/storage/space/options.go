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

package space

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

// Options are the flags of the commands: which etcd they connect to.
type Options struct {
	DataDir string
	// External has the addresses and TLS files of an external etcd; no endpoint for the embedded one of DataDir.
	External storage.Connection
	// Prefix is that of the keys of objects.
	Prefix string
	// Timeout bounds the whole command.
	Timeout time.Duration
}

// NewOptions returns the defaults for a data directory.
func NewOptions(dataDir string) *Options {
	return &Options{DataDir: dataDir, Prefix: storage.Prefix, Timeout: 10 * time.Minute}
}

// AddFlags adds the flags to a set. They have the names of those of the server.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "Data directory of the server on this machine, with the socket of the embedded etcd.")
	fs.StringSliceVar(&o.External.Endpoints, "etcd-servers", nil, "URLs of an external etcd, comma separated, such as https://10.0.0.1:2379, instead of the embedded etcd of --data-dir.")
	fs.StringVar(&o.External.CAFile, "etcd-cafile", "", "Certificates of the authorities that sign the external etcd's certificate.")
	fs.StringVar(&o.External.CertFile, "etcd-certfile", "", "Client certificate for the external etcd.")
	fs.StringVar(&o.External.KeyFile, "etcd-keyfile", "", "Key of the client certificate for the external etcd.")
	fs.StringVar(&o.Prefix, "etcd-prefix", o.Prefix, "Prefix of the keys of objects, as of the server.")
	fs.DurationVar(&o.Timeout, "timeout", o.Timeout, "Maximum time of the command.")
}

// Validate returns an error for each invalid flag.
func (o *Options) Validate() []error {
	var errs []error
	for _, server := range o.External.Endpoints {
		if u, err := url.Parse(server); err != nil || !slices.Contains([]string{"http", "https", "unix"}, u.Scheme) || u.Host == "" && u.Path == "" {
			errs = append(errs, fmt.Errorf("--etcd-servers: %q is not the URL of an etcd: write it as https://10.0.0.1:2379", server))
		}
	}
	files := o.External.CAFile + o.External.CertFile + o.External.KeyFile
	switch {
	case len(o.External.Endpoints) == 0 && files != "":
		errs = append(errs, errors.New("--etcd-cafile, --etcd-certfile and --etcd-keyfile have no effect without --etcd-servers: name the external etcd, or leave them out"))
	case (o.External.CertFile == "") != (o.External.KeyFile == ""):
		errs = append(errs, errors.New("--etcd-certfile and --etcd-keyfile belong together: give both or neither"))
	}
	if o.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("--timeout=%v must be positive", o.Timeout))
	}
	if !strings.HasPrefix(o.Prefix, "/") || strings.HasSuffix(o.Prefix, "/") {
		errs = append(errs, fmt.Errorf("--etcd-prefix=%s must begin with / and not end with it: the default is %s", o.Prefix, storage.Prefix))
	}
	return errs
}

// Open connects to the etcd of the flags. It returns an error if no member takes a connection. peers has the TLS files by
// which the members of an embedded etcd authenticate each other.
func (o *Options) Open(ctx context.Context, peers storage.Connection) (*Etcd, error) {
	if len(o.External.Endpoints) > 0 {
		if err := storage.CheckReachable(ctx, o.External); err != nil {
			return nil, fmt.Errorf("--etcd-servers: no etcd takes a connection: %w", err)
		}
		return Connect(ctx, o.External)
	}
	endpoint, err := storage.LocalEndpoint(o.DataDir)
	if err != nil {
		return nil, err
	}
	if endpoint == "" {
		return nil, fmt.Errorf("no server with an embedded etcd runs in --data-dir=%s: start it, name its data directory, or name an external etcd with --etcd-servers", o.DataDir)
	}
	peers.Endpoints = []string{endpoint}
	e, err := Connect(ctx, peers)
	if err == nil {
		e.peers = true
	}
	return e, err
}
