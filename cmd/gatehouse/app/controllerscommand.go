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
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/endedinstances"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
)

// serviceAccountNamespace is where a process in a cluster finds its own namespace.
const serviceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// controllersCommand holds the flags of gatehouse controllers.
type controllersCommand struct {
	kubeconfig     string
	controllers    options.Controllers
	endedInstances int
	leaderElect    bool
	election       leader.Config
	healthAddress  string
	logs           *logs.Options
}

func newControllersCommand() *cobra.Command {
	c := controllersCommand{
		controllers:    options.Controllers{options.AllControllers},
		endedInstances: endedinstances.DefaultThreshold,
		leaderElect:    true,
		election: leader.Config{
			LeaseName: leader.Lease, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		},
		logs: logs.NewOptions(),
	}
	cmd := &cobra.Command{
		Use:   "controllers",
		Short: "Run the controllers of apps, releases, instances and hosts",
		Long: `Run the controllers that move Apps, Releases, Instances and Hosts along, and the one that
adds up what resource quotas limit of instances, in a process of their own, against any Gatehouse: a standalone server, or a kube-apiserver with Gatehouse
behind it.

A standalone server runs them itself, unless its --controllers says otherwise; one in a
cluster does not. Of several replicas one works at a time: the one that holds the Lease ` + leader.Lease + `.

Each controller acts as a user of its own, ` + authentication.ControllerUserPrefix + `NAME, and may do what the role of
that name says; what several of them watch is watched once, by
` + authentication.ControllerUserPrefix + informers.Name + `. The user in the kubeconfig must be allowed to impersonate all
of these, and to get, create and update the Lease; in a cluster, artifacts/deploy has all that.`,
		Example: `  gatehouse controllers --kubeconfig ~/.local/share/gatehouse/kubeconfig
  gatehouse controllers --controllers='*,-` + options.SeparateControllers()[0] + `'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := utilerrors.NewAggregate(c.validate()); err != nil {
				return err
			}
			config, err := c.config()
			if err != nil {
				return err
			}
			if err := logsapi.ValidateAndApply(c.logs, nil); err != nil {
				return err
			}
			return c.run(cmd.Context(), config, cmd.OutOrStdout())
		},
	}
	var sets cliflag.NamedFlagSets
	fs := sets.FlagSet("controllers")
	fs.StringVar(&c.kubeconfig, "kubeconfig", c.kubeconfig, "Kubeconfig that leads to the server. Where empty, the service account of the pod that this runs in.")
	c.controllers.AddFlag(fs, "Controllers to run.", options.SeparateControllers())
	options.AddEndedInstancesFlag(fs, &c.endedInstances)
	fs.StringVar(&c.healthAddress, "health-address", c.healthAddress, "Address and port, such as 127.0.0.1:8081, for /healthz over plain HTTP: whether this replica leads and renews, or waits. Where empty, nothing listens.")
	fs = sets.FlagSet("leader election")
	fs.BoolVar(&c.leaderElect, "leader-elect", c.leaderElect, "Work only while holding the lease. Without, nothing else may run the same controllers.")
	fs.StringVar(&c.election.Namespace, "leader-elect-resource-namespace", c.election.Namespace, "Namespace of the lease. Where empty, that of the pod that this runs in, or "+leaseNamespace+".")
	fs.StringVar(&c.election.LeaseName, "leader-elect-resource-name", c.election.LeaseName, "Name of the lease.")
	fs.DurationVar(&c.election.LeaseDuration, "leader-elect-lease-duration", c.election.LeaseDuration, "How long others wait for a holder that no longer renews the lease.")
	fs.DurationVar(&c.election.RenewDeadline, "leader-elect-renew-deadline", c.election.RenewDeadline, "How long the holder tries to renew the lease before it stops. Shorter than the lease duration.")
	fs.DurationVar(&c.election.RetryPeriod, "leader-elect-retry-period", c.election.RetryPeriod, "Time between attempts to take or renew the lease.")
	logsapi.AddFlags(c.logs, sets.FlagSet("logs"))
	addFlags(cmd, sets)
	return cmd
}

// validate returns everything that is wrong with the flags.
func (c *controllersCommand) validate() []error {
	errs := append(c.controllers.Validate(options.SeparateControllers()), options.ValidateEndedInstances(c.endedInstances)...)
	running := 0
	for _, name := range options.SeparateControllers() {
		if c.controllers.Has(name) {
			running++
		}
	}
	if len(errs) == 0 && running == 0 {
		errs = append(errs, errors.New("--controllers leaves none to run: name one, or use *"))
	}
	e := c.election
	if c.leaderElect {
		if e.LeaseName == "" {
			errs = append(errs, errors.New("--leader-elect-resource-name must not be empty: name the lease"))
		}
		if e.LeaseDuration <= e.RenewDeadline {
			errs = append(errs, fmt.Errorf("--leader-elect-lease-duration=%s must be longer than --leader-elect-renew-deadline=%s, or two replicas could lead", e.LeaseDuration, e.RenewDeadline))
		}
		if e.RetryPeriod <= 0 || e.RenewDeadline <= time.Duration(leaderelection.JitterFactor*float64(e.RetryPeriod)) {
			errs = append(errs, fmt.Errorf("--leader-elect-retry-period=%s must be more than 0s and less than --leader-elect-renew-deadline=%s divided by %g", e.RetryPeriod, e.RenewDeadline, leaderelection.JitterFactor))
		}
	}
	if c.healthAddress != "" {
		if _, _, err := net.SplitHostPort(c.healthAddress); err != nil {
			errs = append(errs, fmt.Errorf("--health-address=%q is not of the form ADDR:PORT: write it as 127.0.0.1:8081", c.healthAddress))
		}
	}
	return errs
}

func (c *controllersCommand) run(ctx context.Context, config *rest.Config, out io.Writer) error {
	work, err := c.work(config)
	if err != nil {
		return err
	}
	stopHealth, err := c.serveHealth(ctx)
	if err != nil {
		return err
	}
	defer stopHealth()
	fmt.Fprintf(out, "Controllers for %s.\n", config.Host)
	work.Run(ctx)
	fmt.Fprintln(out, "Stopped.")
	return nil
}

// config leads to the server as the user who may impersonate the controllers.
func (c *controllersCommand) config() (*rest.Config, error) {
	if c.kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("--kubeconfig is required outside a cluster: name one, such as the kubeconfig in the server's data directory")
		}
		return config, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig=%s: %w", c.kubeconfig, err)
	}
	return config, nil
}

// work is what runs: the controllers, behind an election unless somebody wants none.
func (c *controllersCommand) work(config *rest.Config) (controller, error) {
	make := func() (controllers, error) {
		return newTerm(separateControllers(c.endedInstances), c.controllers, impersonatedControllers(config))
	}
	if !c.leaderElect {
		all, err := make()
		return all, err
	}
	election := c.election
	election.Client, election.Identity = electionConfig(config), leader.Identity()
	election.WatchDog = leaderelection.NewLeaderHealthzAdaptor(election.RenewDeadline)
	if election.Namespace == "" {
		election.Namespace = ownNamespace()
	}
	c.election = election
	return newElected(election, make)
}

// RunFleetControllers is one replica of what `gatehouse controllers` runs, for tests that need
// several of them in one process and cannot wait for hours: with times of their own, and with
// a configuration whose transport they may disturb. The election's Client is made of config.
// It returns when the context has ended and nothing works any more.
func RunFleetControllers(ctx context.Context, config *rest.Config, election leader.Config, hosts hostlifecycle.Options) error {
	election.Client = electionConfig(config)
	replica, err := newElected(election, func() (controllers, error) {
		return newTerm(fleetControllers(hosts, endedinstances.DefaultThreshold), options.Controllers{options.AllControllers}, impersonatedControllers(config))
	})
	if err == nil {
		replica.Run(ctx)
	}
	return err
}

// electionConfig is how a replica reaches its lease: as the user of the kubeconfig.
func electionConfig(config *rest.Config) *rest.Config {
	return clientConfig(rest.CopyConfig(config), leader.Name)
}

func impersonatedControllers(config *rest.Config) func(name string) *rest.Config {
	return func(name string) *rest.Config { return impersonatedController(config, name) }
}

// impersonatedController is the same server, as the controller's own user.
func impersonatedController(config *rest.Config, name string) *rest.Config {
	config = clientConfig(rest.CopyConfig(config), name)
	config.Impersonate = rest.ImpersonationConfig{UserName: authentication.ControllerUserPrefix + name}
	return config
}

func ownNamespace() string {
	if name, err := os.ReadFile(serviceAccountNamespace); err == nil && len(name) > 0 {
		return strings.TrimSpace(string(name))
	}
	return leaseNamespace
}

// serveHealth answers /healthz, where that is asked for, until the function returned is called.
func (c *controllersCommand) serveHealth(ctx context.Context) (stop func(), err error) {
	if c.healthAddress == "" {
		return func() {}, nil
	}
	checks := []healthz.HealthChecker{healthz.PingHealthz}
	if c.election.WatchDog != nil {
		checks = append(checks, c.election.WatchDog)
	}
	mux := http.NewServeMux()
	healthz.InstallHandler(mux, checks...)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.healthAddress)
	if err != nil {
		return nil, fmt.Errorf("--health-address=%s: %w", c.healthAddress, err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			klog.FromContext(ctx).Error(err, "Nobody answers at the health address any more")
		}
	}()
	return func() { _ = server.Close() }, nil
}
