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
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	internalapi "k8s.io/cri-api/pkg/apis"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/agent"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/checkpoint"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/join"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/machine"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/provision"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/cri"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/streaming"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/logging"
	"github.com/gatehouse-dev/gatehouse/pkg/systemd"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
	"github.com/gatehouse-dev/gatehouse/pkg/version"
)

const (
	// reportInterval is the time between comparisons of the status of the Host with the machine.
	reportInterval = time.Minute
	// relistInterval is the time between synchronizations of all instances without a change.
	relistInterval = 30 * time.Second
	// connectTimeout is the time limit of the first connection to the runtime.
	connectTimeout = 10 * time.Second
)

func newRunCommand() *cobra.Command {
	o, logOptions := &runOptions{}, logs.NewOptions()
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the agent of this host",
		Long: `Run the agent of this host: register the Host, run the instances that are bound to it in the
container runtime, and report their status.

Instances go on running while the agent is stopped or the server does not answer. The agent
adopts them when it starts again. After a reboot without the server, it starts those that it had
accepted before.`,
		Example: `  gatehouse-agent run --kubeconfig edge-1.kubeconfig`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.Invalid(o.validate()); err != nil {
				return err
			}
			if err := logging.Apply(logOptions, cmd.ErrOrStderr(), nil); err != nil {
				return err
			}
			return logging.End(logOptions, run(cmd.Context(), o, cmd.OutOrStdout()))
		},
	}
	o.addFlags(cmd.Flags())
	logsapi.AddFlags(logOptions, cmd.Flags())
	return cmd
}

// run runs the agent until the context ends.
func run(ctx context.Context, o *runOptions, out io.Writer) error {
	id, err := o.identity()
	if err != nil {
		return err
	}
	config, host := id.config, id.host
	if err := files.MakeDirectory(o.root); err != nil {
		return files.Flag("root-dir", err)
	}
	unlock, err := lock(o.root)
	if err != nil {
		return err
	}
	defer unlock()
	saved, err := checkpoint.Open(filepath.Join(o.root, "instances"))
	if err != nil {
		return files.Flag("root-dir", err)
	}
	renewer, err := join.NewRenewer(config, host, filepath.Join(o.root, "pki", "host.pem"))
	if err != nil {
		return fmt.Errorf("--kubeconfig=%s: %w", o.kubeconfig, err)
	}
	id.tunnel.TLSClientConfig = config.TLSClientConfig
	capacity, err := machine.Capacity(o.instances)
	if err != nil {
		return err
	}
	service, images, endpoint, err := connect(ctx, o.endpoint)
	if err != nil {
		return err
	}
	if err := o.ensureNetwork(out); err != nil {
		return err
	}
	provider, err := o.provider(config)
	if err != nil {
		return err
	}
	renewing, stopRenewing := context.WithCancel(ctx)
	defer stopRenewing()
	go provider.Run(renewing)
	go renewer.Run(renewing)
	containers := cri.New(ctx, service, images, cri.Options{
		HostName: host, LogDir: filepath.Join(o.root, "logs"), CgroupParent: o.cgroup, Provider: provider,
	})
	a, err := agent.New(config, hostRuntime{containers, o.root, renewer}, agent.Options{
		HostName: host, Labels: o.labels, Capacity: capacity, Addresses: machine.Addresses(config.Host), Info: machine.Info(version.Product()),
		LeaseDuration: o.lease, ReportInterval: reportInterval, RelistInterval: relistInterval,
		RestartBackOff: cri.RestartBackOff, RequestTimeout: o.lease / 4, Checkpoint: saved,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s runs its instances in %s, for %s.\n", host, endpoint, id.servers)
	// The host serves without its server, too: see startFromCheckpoint.
	manager := systemd.FromEnvironment()
	manager.Ready(fmt.Sprintf("%s runs its instances in %s", host, endpoint))
	defer context.AfterFunc(ctx, manager.Stopping)()
	var way sync.WaitGroup
	way.Go(func() { tunnel.Serve(ctx, id.tunnel, id.list, host, streaming.New(a, containers), nil) })
	a.RunRegistering(ctx, func() { fmt.Fprintf(out, "%s is registered.\n", host) })
	way.Wait()
	fmt.Fprintln(out, "Stopped. Instances go on running.")
	return nil
}

// ensureNetwork gives the runtime a network if it has none.
func (o *runOptions) ensureNetwork(out io.Writer) error {
	if !o.network {
		return nil
	}
	written, err := machine.EnsureNetwork(o.networkDir, o.networkRange)
	if err != nil {
		return fmt.Errorf("--cni: the configuration of the network cannot be written to --cni-conf-dir: %w", err)
	}
	if written {
		fmt.Fprintf(out, "The runtime had no network: wrote one with the range %s to %s.\n", o.networkRange, o.networkDir)
	}
	return nil
}

// provider returns what prepares the variables and volumes of containers.
func (o *runOptions) provider(config *rest.Config) (*provision.Manager, error) {
	if err := files.MakeDirectory(o.runDir); err != nil {
		return nil, files.Flag("run-dir", err)
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig=%s: %q is not the URL of a server: %w", o.kubeconfig, config.Host, err)
	}
	authority := config.CAData
	if config.CAFile != "" {
		if authority, err = os.ReadFile(config.CAFile); err != nil {
			return nil, fmt.Errorf("--kubeconfig=%s: %w", o.kubeconfig, err)
		}
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	port := server.Port()
	if port == "" {
		port = "443"
	}
	return provision.New(provision.Requests(client.FleetV1alpha1().RESTClient()), provision.Options{
		StateDir: o.root, RunDir: o.runDir, ServerHost: server.Hostname(), ServerPort: port, CA: authority,
	})
}

// lock keeps a second agent from the directory.
func lock(root string) (unlock func(), err error) {
	file, err := files.Open(filepath.Join(root, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, files.Flag("root-dir", err)
	}
	if err := files.TryLock(file); err != nil {
		return nil, errors.Join(fmt.Errorf("--root-dir=%s: another agent uses the directory: stop it, or name another directory", root), file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// hostRuntime adds the state of the machine to that of the runtime.
type hostRuntime struct {
	*cri.Runtime
	root    string
	renewer *join.Renewer
}

// Info implements runtime.Runtime.
func (r hostRuntime) Info(ctx context.Context) (runtime.Info, error) {
	info, err := r.Runtime.Info(ctx)
	info.Conditions = append(append(info.Conditions, machine.Pressure(r.root)...), r.renewer.Condition())
	return info, err
}

// connect connects to the runtime: at the endpoint, or where containerd and CRI-O have their sockets.
func connect(ctx context.Context, endpoint string) (internalapi.RuntimeService, internalapi.ImageManagerService, string, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if endpoint != "" {
		service, images, err := cri.Connect(ctx, endpoint)
		if err != nil {
			return nil, nil, "", fmt.Errorf("--runtime-endpoint=%s: no container runtime answers: %w", endpoint, err)
		}
		return service, images, endpoint, nil
	}
	for _, usual := range []string{"/run/containerd/containerd.sock", "/run/crio/crio.sock"} {
		if _, err := os.Stat(usual); err == nil {
			return connect(ctx, "unix://"+usual)
		}
	}
	return nil, nil, "", errors.New("no container runtime is running: install one (on Debian: apt-get install containerd containernetworking-plugins), or name its socket with --runtime-endpoint")
}
