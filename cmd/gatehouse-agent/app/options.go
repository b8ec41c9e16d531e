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

package app

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	defaultRoot   = "/var/lib/gatehouse-agent"
	defaultRunDir = "/run/gatehouse-agent"
	// kubeconfigName is the name of the kubeconfig in the agent's directory.
	kubeconfigName = "kubeconfig"
	// maxInstances is the default capacity of a host, as that of a node of Kubernetes.
	maxInstances = 110
)

// runOptions are the flags of "gatehouse-agent run".
type runOptions struct {
	kubeconfig string
	root       string
	runDir     string
	endpoint   string
	labels     map[string]string
	instances  int64
	lease      time.Duration
	cgroup     string

	network      bool
	networkDir   string
	networkRange string
}

func (o *runOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "Kubeconfig with the certificate of the host; \"gatehouse host add\" creates it. If empty, the file "+kubeconfigName+" in --root-dir.")
	fs.StringVar(&o.root, "root-dir", defaultRoot, "Directory of the agent: accepted instances, and the logs of containers.")
	fs.StringVar(&o.runDir, "run-dir", defaultRunDir, "Directory of tokens, and of the files of ConfigMaps and Secrets: in memory, so that they do not survive a reboot.")
	fs.StringVar(&o.endpoint, "runtime-endpoint", "", "CRI socket of the container runtime, such as unix:///run/containerd/containerd.sock. If empty, those of containerd and CRI-O are tried.")
	fs.StringToStringVar(&o.labels, "labels", nil, "Labels of the Host when the agent creates it, as in zone=a,disk=ssd.")
	fs.Int64Var(&o.instances, "instances", maxInstances, "Maximum number of instances of the host.")
	fs.DurationVar(&o.lease, "lease-duration", 40*time.Second, "How long the host counts as alive after a heartbeat. Heartbeats are four times as frequent.")
	fs.StringVar(&o.cgroup, "cgroup-parent", "/gatehouse", "Parent of the cgroups of containers. With the systemd cgroup driver of the runtime, a slice, such as gatehouse.slice.")
	fs.BoolVar(&o.network, "cni", true, "Write a CNI configuration of a bridge if the runtime has none.")
	fs.StringVar(&o.networkDir, "cni-conf-dir", "/etc/cni/net.d", "Directory of the CNI configurations of the runtime.")
	fs.StringVar(&o.networkRange, "instance-cidr", "10.89.0.0/24", "Range of the addresses of instances in the configuration that --cni writes.")
}

func (o *runOptions) validate() []error {
	var errs []error
	if o.root == "" {
		errs = append(errs, errors.New("--root-dir is empty: name a directory, such as "+defaultRoot))
	}
	if o.runDir == "" {
		errs = append(errs, errors.New("--run-dir is empty: name a directory in memory, such as "+defaultRunDir))
	}
	if o.instances < 1 {
		errs = append(errs, fmt.Errorf("--instances=%d is not a number from 1 on", o.instances))
	}
	if o.lease < 4*time.Second || o.lease%time.Second != 0 {
		errs = append(errs, fmt.Errorf("--lease-duration=%s is not a number of whole seconds, 4s at least: write it as 40s", o.lease))
	}
	if o.kubeconfig == "" {
		o.kubeconfig = filepath.Join(o.root, kubeconfigName)
	}
	return errs
}

// identity is what a kubeconfig says: who the host is, and where its servers are.
type identity struct {
	host string
	// config is for requests, which go to the next server when one fails. Tunnels choose from the list by
	// themselves; it is empty if there is one server.
	config, tunnel *rest.Config
	list           failover.Servers
	// servers are the URLs, for messages.
	servers string
}

// identity reads the kubeconfig, which must have the certificate of a host.
func (o *runOptions) identity() (*identity, error) {
	fail := func(err error) (*identity, error) {
		return nil, fmt.Errorf("--kubeconfig=%s: %w", o.kubeconfig, err)
	}
	data, err := files.ReadTrusted(o.kubeconfig)
	if errors.Is(err, os.ErrNotExist) {
		return fail(errors.New("the file does not exist: join with a token (\"gatehouse host token create\" on the server), or create it there with \"gatehouse host add NAME\" and copy it here"))
	}
	if err != nil {
		return fail(err)
	}
	config, servers, err := failover.Read(data)
	if err != nil {
		return fail(err)
	}
	certificate := config.CertData
	if config.CertFile != "" {
		if certificate, err = os.ReadFile(config.CertFile); err != nil {
			return fail(err)
		}
	}
	host, err := hostOf(certificate)
	if err != nil {
		return fail(err)
	}
	config.UserAgent = "gatehouse-agent"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.QPS = -1 // the server has flow control
	id := &identity{host: host, config: config, tunnel: rest.CopyConfig(config), list: servers, servers: servers.Names(config)}
	servers.Apply(config)
	return id, nil
}

// hostOf returns the name of the host in a client certificate.
func hostOf(certificate []byte) (string, error) {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return "", errors.New("it has no client certificate: a host needs one, see \"gatehouse host add\"")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	host, ok := strings.CutPrefix(parsed.Subject.CommonName, v1alpha1.HostUserPrefix)
	if !ok || host == "" {
		return "", fmt.Errorf("its certificate is that of the user %q and not of a host: create one with \"gatehouse host add NAME\"", parsed.Subject.CommonName)
	}
	return host, nil
}
