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
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
)

func newUpCommand() *cobra.Command {
	o := options.NewOptions()
	o.Mode = options.ModeStandalone
	listen := fmt.Sprintf("127.0.0.1:%d", options.DefaultPort)
	transport := &o.Etcd.StorageConfig.Transport

	var sets cliflag.NamedFlagSets
	fs := sets.FlagSet("gatehouse")
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "Directory for everything that is kept on disk: certificates, kubeconfig, and the embedded etcd's data. Made with mode 0700. It must belong to this user or to root, and other users must not be able to replace it.")
	fs.StringVar(&listen, "listen", listen, "Address and port to listen on. Port 0 picks a free one. Other machines can connect only when this is not a loopback address.")
	fs.StringSliceVar(&o.TLSSANs, "tls-san", o.TLSSANs, "Further host names and IP addresses by which clients reach the server, comma separated.")
	o.AddStandaloneFlags(fs)
	o.AddMemoryFlag(fs)
	o.AddHostFlags(fs)
	fs = sets.FlagSet("etcd")
	fs.StringSliceVar(&transport.ServerList, "etcd-servers", nil, "URLs of an external etcd, comma separated, such as https://10.0.0.1:2379. Where empty, an etcd runs inside this process.")
	fs.StringVar(&transport.TrustedCAFile, "etcd-cafile", "", "Certificates of the authorities that vouch for the external etcd.")
	fs.StringVar(&transport.CertFile, "etcd-certfile", "", "Client certificate for the external etcd.")
	fs.StringVar(&transport.KeyFile, "etcd-keyfile", "", "Key of the client certificate for the external etcd.")
	o.AddEtcdQuotaFlag(fs)
	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))

	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a standalone server: one process, its own etcd, a kubeconfig",
		Long: `Start a standalone server and serve until stopped (Ctrl-C or SIGTERM).

The first start makes a certificate authority, a serving certificate and a client
certificate for you in the data directory; later starts keep them. Nothing listens
beyond this machine unless --listen says so. With --listen 0.0.0.0:PORT the serving
certificate is good for the machine's host name and every address that it has; --tls-san
adds other names.

With --simulate-hosts there are hosts to try things out on. They register, take instances and
report on them as the agents of real machines do, but nothing really runs on them.

"gatehouse apiserver --mode=standalone" is the same server with every flag.`,
		Example: `  gatehouse up
  gatehouse up --simulate-hosts 3
  gatehouse up --data-dir /var/lib/gatehouse --listen 127.0.0.1:0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Listen(listen); err != nil {
				return err
			}
			logTo := io.Writer(os.Stderr)
			if o.Logs.Verbosity == 0 && o.Logs.Format == logsapi.DefaultLogFormat {
				logTo = warningsOnly{os.Stderr} // -v=1 brings everything back
			}
			completed, err := prepare(o, logTo)
			if err != nil {
				return err
			}
			out := &lockedWriter{to: cmd.OutOrStdout()}
			// The first Ctrl-C is answered at once, also during the start; what it ends takes a moment.
			defer context.AfterFunc(cmd.Context(), func() { fmt.Fprintln(out, "Stopping.") })()
			fmt.Fprintf(out, "Gatehouse %s, data in %s\n", productVersion(), completed.DataDir)
			err = Run(cmd.Context(), completed, Observer{
				Phase: func(name string, took time.Duration) { fmt.Fprintf(out, "  %-38s %7s\n", name, milliseconds(took)) },
				Ready: func(r Ready) { printReady(out, r) },
			})
			if err == nil {
				fmt.Fprintln(out, "Stopped.")
			}
			return err
		},
	}
	addFlags(cmd, sets)
	return cmd
}

// lockedWriter takes lines from several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

// Write writes to the writer behind, one call at a time.
func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// warningsOnly drops klog's informational lines: the phases say the same in fewer words.
// Warnings and errors pass; klog's text format begins each line with its severity, and
// writes each line with one call. etcd's warnings, of a slow disk first of all, come as
// informational lines that say so.
type warningsOnly struct{ io.Writer }

func (w warningsOnly) Write(line []byte) (int, error) {
	if len(line) > 0 && line[0] == 'I' && !bytes.Contains(line, []byte(`severity="warn"`)) {
		return len(line), nil
	}
	return w.Writer.Write(line)
}

// printReady says how to go on: a shell that finds kubectl and the server, and an App that runs.
func printReady(out io.Writer, r Ready) {
	fmt.Fprintf(out, "Ready in %s at %s\n%s\nNext:\n", milliseconds(r.Took), r.URL, simulatedLine(r.SimulatedHosts))
	if dir := toolsDir(os.Args[0], os.Getenv("PATH")); dir != "" {
		fmt.Fprintf(out, "  export PATH=%s:$PATH\n", quoteForShell(dir))
	}
	fmt.Fprintf(out, "  export KUBECONFIG=%s\n", quoteForShell(r.Kubeconfig))
	if r.SimulatedHosts == 0 {
		fmt.Fprint(out, `  kubectl api-resources
  kubectl get hosts,instances --all-namespaces
There is no host yet: "gatehouse host add NAME" gives a machine access, and --simulate-hosts 3 plays three.
`)
		return
	}
	fmt.Fprint(out, `  kubectl get hosts
  kubectl gatehouse create app web --image=registry.example.com/web:1.0 --replicas=3
  kubectl gatehouse rollout status app/web
  kubectl get apps,instances
`)
}

// toolsDir is the directory of a program that was started by its path, where kubectl and its
// plugin are built as well; empty where a shell finds the program, or looks there anyway.
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

// simulatedLine is empty where there are no simulated hosts.
func simulatedLine(hosts int) string {
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

// quoteForShell leaves a plain path as it is and quotes any other.
func quoteForShell(path string) string {
	for _, r := range path {
		plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '/' || r == '.' || r == '-' || r == '_'
		if !plain {
			return strconv.Quote(path)
		}
	}
	return path
}
