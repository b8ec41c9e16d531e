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
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/serving"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
	"github.com/gatehouse-dev/gatehouse/pkg/logging"
)

// serviceAccountNamespace has the namespace of a pod.
const serviceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// controllersCommand holds the flags of gatehouse controllers.
type controllersCommand struct {
	manager.Options
	kubeconfig    string
	healthAddress string
	serving       serving.Options
	logs          *logs.Options
}

func newControllersCommand() *cobra.Command {
	c := controllersCommand{Options: manager.NewOptions(), serving: serving.DefaultOptions(), logs: logs.NewOptions()}
	cmd := &cobra.Command{
		Use:   "controllers",
		Short: "Run the controllers of apps, releases, instances and hosts",
		Long: `Run the controllers of Apps, Releases, Instances and Hosts, and the one that computes the usage
of resource quotas by instances, in a separate process, against any Gatehouse: a standalone
server, or a kube-apiserver with Gatehouse behind it.

A standalone server runs them itself, unless its --controllers excludes them; one in a cluster
does not. Only one replica is active: the one that holds the Lease ` + manager.Lease + `.

Each controller acts as a separate user, ` + authentication.ControllerUserPrefix + `NAME, with the permissions of the role of
that name; objects that several of them watch are watched once, by
` + authentication.ControllerUserPrefix + manager.InformersName + `. The user in the kubeconfig must be allowed to impersonate all
of these, and to get, create and update the Lease; artifacts/deploy grants this in a cluster.`,
		Example: `  gatehouse controllers --kubeconfig ~/.local/share/gatehouse/kubeconfig
  gatehouse controllers --controllers='*,-` + manager.SeparateControllers()[0] + `'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.Invalid(slices.Concat(c.Validate(), c.serving.Validate(), serving.ValidateHealthAddress(c.healthAddress))); err != nil {
				return err
			}
			config, servers, err := c.config()
			if err != nil {
				return err
			}
			if err := logging.Apply(c.logs, os.Stderr, nil); err != nil {
				return err
			}
			return logging.End(c.logs, c.run(cmd.Context(), config, servers, cmd.OutOrStdout()))
		},
	}
	var sets cliflag.NamedFlagSets
	fs := sets.FlagSet("controllers")
	fs.StringVar(&c.kubeconfig, "kubeconfig", c.kubeconfig, "Kubeconfig of the server, or of several (docs/several-servers.md). If empty, the service account of the pod is used.")
	c.AddFlags(fs, sets.FlagSet("leader election"))
	fs.StringVar(&c.healthAddress, "health-address", c.healthAddress, "Address and port, such as 127.0.0.1:8081, for /healthz, /livez and /readyz over plain HTTP. If empty, they are served on --secure-port only.")
	c.serving.AddFlags(fs)
	logsapi.AddFlags(c.logs, sets.FlagSet("logs"))
	addFlags(cmd, sets)
	return cmd
}

func (c *controllersCommand) run(ctx context.Context, config *rest.Config, servers string, out io.Writer) error {
	if c.Election.Namespace == "" {
		c.Election.Namespace = ownNamespace()
	}
	work, watchdog, err := manager.NewSeparate(config, authentication.ControllerUserPrefix, c.Options)
	if err != nil {
		return err
	}
	stop, err := c.serving.ServeAll(ctx, c.healthAddress, serving.Health{WatchDog: watchdog, HasSynced: work.HasSynced}, config)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(out, "Controllers for %s.\n", servers)
	if err := work.Run(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "Stopped.")
	return nil
}

// config connects to the servers as the user that may impersonate the controllers. names are the URLs of the servers.
func (c *controllersCommand) config() (config *rest.Config, names string, err error) {
	if c.kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, "", errors.New("--kubeconfig is required outside a cluster: name one, such as the kubeconfig in the server's data directory")
		}
		if err != nil {
			return nil, "", err
		}
		return config, config.Host, nil
	}
	config, servers, err := failover.ReadFile(c.kubeconfig)
	if err != nil {
		return nil, "", fmt.Errorf("--kubeconfig=%s: %w", c.kubeconfig, err)
	}
	servers.Apply(config)
	return config, servers.Names(config), nil
}

func ownNamespace() string {
	if name, err := os.ReadFile(serviceAccountNamespace); err == nil && len(name) > 0 {
		return strings.TrimSpace(string(name))
	}
	return manager.LeaseNamespace
}
