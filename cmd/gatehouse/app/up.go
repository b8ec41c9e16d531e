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
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/term"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/backup"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/logging"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/serving"
	"github.com/gatehouse-dev/gatehouse/pkg/version"
)

func newUpCommand() *cobra.Command {
	o := options.NewOptions()
	o.Mode = options.ModeStandalone
	o.Callers.BootstrapTokens = true // hosts join with them
	listen := fmt.Sprintf("127.0.0.1:%d", serving.DefaultPort)
	sets := o.UpFlags(&listen)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a standalone server: one process, its own etcd, a kubeconfig",
		Long: `Start a standalone server and serve until stopped (Ctrl-C or SIGTERM).

The first start creates a certificate authority, a serving certificate and a client
certificate for you in the data directory; later starts keep them. The server listens on
loopback only unless --listen names another address. With --listen 0.0.0.0:PORT the serving
certificate is valid for the machine's host name and all its addresses; --tls-san adds other
names.

With --simulate-hosts the server simulates hosts. They register, accept instances and
report their status like the agents of real machines, but nothing really runs on them.

"gatehouse apiserver --mode=standalone" is the same server with every flag.`,
		Example: `  gatehouse up
  gatehouse up --simulate-hosts 3
  gatehouse up --data-dir /var/lib/gatehouse --listen 127.0.0.1:0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Serving.SetAddress(listen); err != nil {
				return err
			}
			logTo := io.Writer(os.Stderr)
			if o.Logs.Verbosity == 0 && o.Logs.Format == logsapi.DefaultLogFormat {
				logTo = logging.WarningsOnly{Writer: os.Stderr} // -v=1 shows all lines
			}
			completed, err := prepare(o, logTo)
			if err != nil {
				return err
			}
			out := &logging.Locked{To: cmd.OutOrStdout()}
			// The first Ctrl-C is confirmed at once, also during the start; the shutdown takes a moment.
			defer context.AfterFunc(cmd.Context(), func() { fmt.Fprintln(out, "Stopping.") })()
			fmt.Fprintf(out, "Gatehouse %s, data in %s\n", version.Product(), completed.DataDir)
			err = Run(cmd.Context(), completed, Observer{
				Phase: func(name string, took time.Duration) { fmt.Fprintf(out, "  %-38s %7s\n", name, milliseconds(took)) },
				Ready: func(r Ready) {
					printReady(out, r)
					if completed.MakesBackups() {
						_, _, notTerminal := term.TerminalSize(cmd.OutOrStdout())
						backup.FirstKey(out, completed.DataDir, notTerminal == nil)
					}
				},
			})
			if err == nil {
				fmt.Fprintln(out, "Stopped.")
			}
			return logging.End(o.Logs, err)
		},
	}
	addFlags(cmd, sets)
	return cmd
}

// printReady prints the next steps: the environment of a shell, and an App that runs.
func printReady(out io.Writer, r Ready) {
	fmt.Fprintf(out, "Ready in %s at %s\n%s\nNext:\n", milliseconds(r.Took), r.URL, simulatedNote(r.SimulatedHosts))
	if dir := toolsDir(os.Args[0], os.Getenv("PATH")); dir != "" {
		fmt.Fprintf(out, "  export PATH=%s:$PATH\n", command.QuoteForShell(dir))
	}
	fmt.Fprintf(out, "  export KUBECONFIG=%s\n", command.QuoteForShell(r.Kubeconfig))
	if r.SimulatedHosts == 0 {
		fmt.Fprint(out, `  kubectl api-resources
  kubectl get hosts,instances --all-namespaces
There is no host yet: "gatehouse host add NAME" gives a machine access, and --simulate-hosts 3 simulates three.
`)
		return
	}
	fmt.Fprint(out, `  kubectl get hosts
  kubectl gatehouse create app web --image=registry.example.com/web:1.0 --replicas=3
  kubectl gatehouse rollout status app/web
  kubectl get apps,instances
`)
}

// toolsDir returns the directory of a program that was started by its path, where kubectl and its
// plugin are built as well. It is empty if the directory is in the PATH.
func toolsDir(program, path string) string {
	if !strings.ContainsRune(program, filepath.Separator) {
		return ""
	}
	program, err := filepath.Abs(program)
	if err != nil || slices.Contains(filepath.SplitList(path), filepath.Dir(program)) {
		return ""
	}
	return filepath.Dir(program)
}

// simulatedNote is empty without simulated hosts.
func simulatedNote(hosts int) string {
	switch hosts {
	case 0:
		return ""
	case 1:
		return "With 1 simulated host: nothing really runs on it.\n"
	}
	return fmt.Sprintf("With %d simulated hosts: nothing really runs on them.\n", hosts)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
