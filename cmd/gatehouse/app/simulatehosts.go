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
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/simulation"
)

// simulateHostsCommand holds the flags of gatehouse simulate-hosts.
type simulateHostsCommand struct {
	options     simulation.Options
	cpu, memory string

	dataDir     string
	kubeconfig  string
	impersonate bool
}

func newSimulateHostsCommand() *cobra.Command {
	c := simulateHostsCommand{options: simulation.DefaultOptions(), dataDir: options.DefaultDataDir()}
	c.cpu, c.memory = c.options.CPU.String(), c.options.Memory.String()
	cmd := &cobra.Command{
		Use:   "simulate-hosts",
		Short: "Play hosts that do not exist, for demonstrations, tests and load",
		Long: `Play the agents of hosts that do not exist. Nothing really runs on them.

Each registers its Host, renews its HostLease, watches for the instances that are bound to it
and reports on them: that they start, fail, start again and stop, by the flags and by chance.
With the same --seed, instances of the same names fare alike on hosts of the same names. An
image whose name contains one of --bad-images is never fetched, as if it did not exist.

Each host has a client certificate of its own, signed with the authority in the server's data
directory, so the command runs where the server does. Behind a kube-apiserver, or where hosts'
certificates come from elsewhere, use --kubeconfig with --impersonate: the user in that
kubeconfig must be allowed to impersonate the users ` + v1alpha1.HostUserPrefix + `NAME and the group
` + v1alpha1.HostsGroup + `.

The hosts are gone when the command stops (Ctrl-C or SIGTERM), as if the power had failed:
their leases run out, and their Hosts and instances stay. "kubectl delete hosts -l
` + v1alpha1.SimulatedHostLabel + `=true" removes them.`,
		Example: `  gatehouse simulate-hosts
  gatehouse simulate-hosts --count 1000 --failure-rate 0.05 --start-delay 3s
  gatehouse simulate-hosts --kubeconfig ~/.kube/config --impersonate`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := utilerrors.NewAggregate(c.complete(cmd.Flags())); err != nil {
				return err
			}
			identity, server, err := c.identity()
			if err != nil {
				return err
			}
			hosts, err := simulation.New(c.options, identity)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%d simulated hosts for %s. Nothing really runs on them.\n", c.options.Count, server)
			hosts.OnRegistered(func() { c.sayRegistered(out) })
			hosts.Run(cmd.Context())
			fmt.Fprintln(out, "Stopped. Hosts and instances are still there; their leases run out.")
			return nil
		},
	}
	c.addFlags(cmd.Flags())
	return cmd
}

func (c *simulateHostsCommand) sayRegistered(out io.Writer) {
	if c.options.Count == 1 {
		fmt.Fprintf(out, "%s is registered.\n", c.options.HostName(1))
		return
	}
	fmt.Fprintf(out, "%s to %s are registered.\n", c.options.HostName(1), c.options.HostName(c.options.Count))
}

func (c *simulateHostsCommand) addFlags(fs *pflag.FlagSet) {
	o := &c.options
	fs.IntVar(&o.Count, "count", o.Count, "How many hosts to play.")
	fs.StringVar(&o.NamePrefix, "name-prefix", o.NamePrefix, "What the hosts' names begin with; a number from 1 follows.")
	fs.Int64Var(&o.Seed, "seed", o.Seed, "Decides on all that is left to chance.")
	fs.StringVar(&c.cpu, "cpu", c.cpu, "Processors of each host, in cores.")
	fs.StringVar(&c.memory, "memory", c.memory, "Memory of each host, in bytes.")
	fs.IntVar(&o.Instances, "instances", o.Instances, "How many instances each host takes.")
	fs.DurationVar(&o.LeaseDuration, "lease-duration", o.LeaseDuration, "For how long a host counts as alive after a heartbeat. Heartbeats come four times as often.")
	fs.DurationVar(&o.StartDelay, "start-delay", o.StartDelay, "How long containers take to start, on average: from half as long to one and a half times.")
	fs.DurationVar(&o.StopDelay, "stop-delay", o.StopDelay, "How long instances take to stop, on average, but no longer than their grace period.")
	fs.Float64Var(&o.FailureRate, "failure-rate", o.FailureRate, "Which part of all runs of containers end with an error, from 0 (none) to 1 (all).")
	fs.DurationVar(&o.FailureAfter, "failure-after", o.FailureAfter, "How long these run, on average.")
	fs.DurationVar(&o.RunTime, "run-time", o.RunTime, "How long containers run, before they end without an error, whose restartPolicy is not Always; 0 for ever.")
	fs.StringSliceVar(&o.BadImages, "bad-images", o.BadImages, "Parts of the names of images that are never fetched, comma separated.")
	fs.StringVar(&c.dataDir, "data-dir", c.dataDir, "The server's data directory, with the authority that signs the hosts' certificates.")
	fs.StringVar(&c.kubeconfig, "kubeconfig", c.kubeconfig, "Kubeconfig that leads to the server. With --impersonate, and instead of --data-dir.")
	fs.BoolVar(&c.impersonate, "impersonate", c.impersonate, "Let the user of --kubeconfig impersonate the hosts, instead of giving each a certificate.")
}

// complete fills in what flags say, and returns all that is wrong with them.
func (c *simulateHostsCommand) complete(fs *pflag.FlagSet) []error {
	o := &c.options
	o.Version = productVersion()
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Count < 1 || o.Count > simulation.MaxHosts {
		wrong("--count=%d is not a number from 1 to %d: ask for one host at least", o.Count, simulation.MaxHosts)
	}
	if problems := validation.IsDNS1123Subdomain(o.HostName(simulation.MaxHosts)); len(problems) > 0 {
		wrong("--name-prefix=%q cannot begin the name of a host (%s): use lower-case letters, digits, dots and dashes, as in sim-", o.NamePrefix, problems[0])
	}
	for _, amount := range []struct {
		flag, value string
		to          *resource.Quantity
	}{{"cpu", c.cpu, &o.CPU}, {"memory", c.memory, &o.Memory}} {
		quantity, err := resource.ParseQuantity(amount.value)
		if err != nil || quantity.Sign() < 0 {
			wrong("--%s=%q is not an amount: write it as 4, 500m or 8Gi", amount.flag, amount.value)
		}
		*amount.to = quantity
	}
	if o.Instances < 0 || o.Instances > simulation.MaxInstances {
		wrong("--instances=%d is not a number from 0 to %d: play more hosts instead", o.Instances, simulation.MaxInstances)
	}
	if o.LeaseDuration < time.Second || o.LeaseDuration%time.Second != 0 {
		wrong("--lease-duration=%s is not a number of whole seconds, 1s at least: write it as 40s", o.LeaseDuration)
	}
	for _, duration := range []struct {
		flag  string
		value time.Duration
	}{{"start-delay", o.StartDelay}, {"stop-delay", o.StopDelay}, {"failure-after", o.FailureAfter}, {"run-time", o.RunTime}} {
		if duration.value < 0 {
			wrong("--%s=%s is less than nothing: use 0s or more", duration.flag, duration.value)
		}
	}
	if !(o.FailureRate >= 0 && o.FailureRate <= 1) { // so that NaN is wrong as well
		wrong("--failure-rate=%v is not a part: use a number from 0 (none fails) to 1 (all fail)", o.FailureRate)
	}
	for _, part := range o.BadImages {
		if part == "" {
			wrong("--bad-images has an empty part in it, which every name contains: leave it out; --bad-images= without any lets all images be fetched")
		}
	}
	if c.impersonate != (c.kubeconfig != "") {
		wrong("--kubeconfig and --impersonate belong together: give both, or neither for certificates from --data-dir")
	}
	if c.impersonate && fs.Changed("data-dir") {
		wrong("--data-dir is not used with --impersonate: leave one of them out")
	}
	return errs
}

// identity says how hosts reach which server.
func (c *simulateHostsCommand) identity() (identity func(string) (*rest.Config, error), server string, err error) {
	if c.impersonate {
		config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
		if err != nil {
			return nil, "", fmt.Errorf("--kubeconfig=%s: %w", c.kubeconfig, err)
		}
		return impersonatedHost(config), config.Host, nil
	}
	ca, err := certificates.LoadCA(filepath.Join(c.dataDir, options.CertificateDirName))
	if err != nil {
		return nil, "", fmt.Errorf("--data-dir=%s: %w; where the server is elsewhere, use --kubeconfig and --impersonate", c.dataDir, err)
	}
	path := filepath.Join(c.dataDir, options.KubeconfigName)
	data, err := readOwn(path)
	var config *rest.Config
	if err == nil {
		config, err = clientcmd.RESTConfigFromKubeConfig(data)
	}
	if err != nil {
		return nil, "", fmt.Errorf("--data-dir=%s: where the server is cannot be read from %s: %w", c.dataDir, path, err)
	}
	return certifiedHost(config, ca), config.Host, nil
}

// certifiedHost gives each host a certificate of its own, and so a connection of its own.
func certifiedHost(server *rest.Config, ca certificates.KeyPair) func(string) (*rest.Config, error) {
	return func(name string) (*rest.Config, error) {
		now := time.Now()
		ttl := min(userLifetime, ca.Cert.NotAfter.Sub(now))
		if ttl <= 0 {
			return nil, errors.New("the authority in the data directory has ended: nothing that it signs is trusted")
		}
		cert, key, err := certificates.IssueHost(ca, v1alpha1.HostUserPrefix+name, []string{v1alpha1.HostsGroup}, ttl, now)
		if err != nil {
			return nil, err
		}
		config := hostConfig(rest.AnonymousClientConfig(server))
		config.CertData, config.KeyData = cert, key
		return config, nil
	}
}

// impersonatedHost lets one user pass for each host.
func impersonatedHost(user *rest.Config) func(string) (*rest.Config, error) {
	return func(name string) (*rest.Config, error) {
		config := hostConfig(rest.CopyConfig(user))
		config.Impersonate = rest.ImpersonationConfig{UserName: v1alpha1.HostUserPrefix + name, Groups: []string{v1alpha1.HostsGroup}}
		return config, nil
	}
}

func hostConfig(config *rest.Config) *rest.Config {
	config.UserAgent = "gatehouse/simulated-host"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.QPS = -1 // the server's flow control is enough
	return config
}

// simulatedHosts run in the server's own process, and come in by the front door as others do.
func simulatedHosts(o options.CompletedOptions, server *apiserver.Server, ca certificates.KeyPair) (manager.Controller, error) {
	simulated := simulation.DefaultOptions()
	simulated.Count, simulated.Version = o.SimulateHosts, productVersion()
	hosts, err := simulation.New(simulated, certifiedHost(server.Generic.LoopbackClientConfig, ca))
	if err != nil {
		return nil, fmt.Errorf("--simulate-hosts=%d: %w", o.SimulateHosts, err)
	}
	return hosts, nil
}
