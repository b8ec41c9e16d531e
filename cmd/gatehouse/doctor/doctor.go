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

// Package doctor has "gatehouse doctor". Its logic is in pkg/doctor.
package doctor

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/grpclog"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/version"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	admissionoptions "github.com/gatehouse-dev/gatehouse/pkg/admission/options"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/delegation"
	"github.com/gatehouse-dev/gatehouse/pkg/doctor"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/space"
	product "github.com/gatehouse-dev/gatehouse/pkg/version"
)

// Values of --fail-on.
const (
	failOnWarning = "warning"
	failOnBroken  = "broken"
)

// Exit is the error with the exit code of the command.
type Exit struct {
	Code int
	// Err is why nothing was checked; nil for a report, which has been printed.
	Err error
}

// Error implements error.
func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns the error for which nothing was checked.
func (e *Exit) Unwrap() error { return e.Err }

// flags are the flags of the command.
type flags struct {
	mode, listen, output, failOn string
	backupAge                    time.Duration
	// etcd has the data directory and the external etcd; its Timeout is that of each check.
	etcd *space.Options

	kubeconfig, serviceAccount, servingCert, connect string
	beforeStart, noTokenReview                       bool
}

// NewCommand returns "gatehouse doctor".
func NewCommand() *cobra.Command {
	f := &flags{mode: options.ModeStandalone, failOn: failOnWarning, backupAge: 24 * time.Hour, etcd: space.NewOptions(options.DefaultDataDir()), serviceAccount: "gatehouse-system:gatehouse"}
	f.etcd.Timeout = 10 * time.Second
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what is wrong with a server, its data directory or its cluster, and name the cure",
		Long: `Check the data directory of "gatehouse up" and the server that runs there, or, with --mode=aggregated, a
server behind a kube-apiserver. Each line says ok, warning or broken, what was found, and the cure. Nothing
is changed: no file is written, and no object.

The data directory is checked with or without a running server. Run the command as the user of the server.

With --mode=aggregated the command reads the cluster of --kubeconfig or, in a pod without that flag, the
cluster of the pod, with the rights of its service account. In an init container of the server's pod, use
--before-start and --fail-on=broken.

Exit codes: 0 if all is ok, 1 if there are warnings, 2 if something is broken or a flag is wrong. With
--fail-on=broken, warnings exit with 0.`,
		Example: `  gatehouse doctor
  gatehouse doctor --data-dir /var/lib/gatehouse -o json
  gatehouse doctor --mode=aggregated --kubeconfig ~/.kube/config
  gatehouse doctor --mode=aggregated --before-start --fail-on=broken --tls-cert-file=/etc/gatehouse/serving/tls.crt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.Invalid(f.validate(cmd)); err != nil {
				return &Exit{doctor.ExitBroken, err}
			}
			// Errors of connections are in the report.
			grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
			checks, err := f.checks()
			if err != nil {
				return &Exit{doctor.ExitBroken, err}
			}
			return f.run(cmd.Context(), cmd.OutOrStdout(), checks)
		},
	}
	f.addFlags(cmd)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &Exit{doctor.ExitBroken, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	return cmd
}

func (f *flags) addFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	f.etcd.AddFlags(fs)
	fs.Lookup("timeout").Usage = "Maximum time of each check."
	fs.Lookup("data-dir").Usage = "Data directory of the server, in the standalone mode."
	fs.Lookup("etcd-servers").Usage = "URLs of an external etcd, comma separated, such as https://10.0.0.1:2379. Where empty, in the standalone mode, the etcd of the server in --data-dir."
	_ = fs.MarkHidden("etcd-prefix")
	fs.StringVar(&f.mode, "mode", f.mode, "standalone: check a data directory and its server. aggregated: check a server behind a kube-apiserver, through that kube-apiserver.")
	fs.StringVarP(&f.output, "output", "o", f.output, "Output format: json, or lines if empty.")
	fs.StringVar(&f.failOn, "fail-on", f.failOn, "What makes the exit code other than 0. warning: warnings (1) and what is broken (2). broken: only what is broken.")
	fs.StringVar(&f.listen, "listen", f.listen, "Address and port of the server that is to be started, whose port must be free. Where empty, that in the administrator's kubeconfig. Only in the standalone mode.")
	fs.DurationVar(&f.backupAge, "backup-age", f.backupAge, "Age from which the newest backup is a warning; 0 if the server makes no backups. Only in the standalone mode.")
	fs.StringVar(&f.kubeconfig, "kubeconfig", f.kubeconfig, "Kubeconfig of an administrator of the cluster; the service account of the pod if empty. Only in the aggregated mode.")
	fs.StringVar(&f.serviceAccount, "service-account", f.serviceAccount, "Service account of the server, as NAMESPACE:NAME, whose rights are reviewed with --kubeconfig. Where empty, and in a pod, those of the user of this command are.")
	fs.StringVar(&f.servingCert, "tls-cert-file", f.servingCert, "File of the certificate that the server serves, which is verified by caBundle. Where empty, the certificate at the service. Only in the aggregated mode.")
	fs.StringVar(&f.connect, "connect", f.connect, "Address and port at which the server is reached, to verify its certificate, where the name of the service cannot be resolved. Only in the aggregated mode.")
	fs.BoolVar(&f.beforeStart, "before-start", f.beforeStart, "Leave out what only a running server has: endpoints, availability, its groups in discovery. For an init container of the server's pod. Only in the aggregated mode.")
	fs.BoolVar(&f.noTokenReview, "disable-token-review", f.noTokenReview, "The server runs with this flag, so that it needs no right to create token reviews. Only in the aggregated mode.")
}

// validate returns an error for each invalid flag.
func (f *flags) validate(cmd *cobra.Command) []error {
	errs := f.etcd.Validate()
	if f.output != "" && f.output != "json" {
		errs = append(errs, fmt.Errorf("--output=%s is unknown: use json, or leave the flag out", f.output))
	}
	if f.failOn != failOnWarning && f.failOn != failOnBroken {
		errs = append(errs, fmt.Errorf("--fail-on=%s is unknown: use %s or %s", f.failOn, failOnWarning, failOnBroken))
	}
	if f.backupAge < 0 {
		errs = append(errs, fmt.Errorf("--backup-age=%v must not be negative: use 0 if the server makes no backups", f.backupAge))
	}
	only := map[string][]string{
		options.ModeStandalone: {"data-dir", "listen", "backup-age"},
		options.ModeAggregated: {"kubeconfig", "service-account", "tls-cert-file", "connect", "before-start", "disable-token-review"},
	}
	if only[f.mode] == nil {
		return append(errs, fmt.Errorf("--mode=%s is unknown: use %s or %s", f.mode, options.ModeStandalone, options.ModeAggregated))
	}
	for _, mode := range []string{options.ModeStandalone, options.ModeAggregated} {
		for _, name := range only[mode] {
			if mode != f.mode && cmd.Flags().Changed(name) {
				errs = append(errs, fmt.Errorf("--%s is for --mode=%s: leave it out, or change the mode", name, mode))
			}
		}
	}
	if namespace, name, found := strings.Cut(f.serviceAccount, ":"); f.serviceAccount != "" && (!found || namespace == "" || name == "") {
		errs = append(errs, fmt.Errorf("--service-account=%s has not the form NAMESPACE:NAME", f.serviceAccount))
	}
	if f.kubeconfig != "" {
		errs = append(errs, files.ValidateFlag("kubeconfig", f.kubeconfig)...)
	}
	return errs
}

func (f *flags) checks() ([]doctor.Check, error) {
	if f.mode == options.ModeAggregated {
		aggregated, err := f.aggregated()
		if err != nil {
			return nil, err
		}
		return aggregated.Checks()
	}
	standalone, err := f.standalone()
	if err != nil {
		return nil, err
	}
	return standalone.Checks(), nil
}

func (f *flags) standalone() (*doctor.Standalone, error) {
	dir, err := filepath.Abs(f.etcd.DataDir)
	if err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	return &doctor.Standalone{
		DataDir: dir, CertificateDir: options.CertificateDirName, Kubeconfig: options.KubeconfigName,
		Listen: f.listen, External: f.etcd.External, BackupAge: f.backupAge, Version: product.Product(),
		LoadEncryption: func(ctx context.Context, path string) error {
			_, err := apiserver.LoadStoredObjects(ctx, path)
			return err
		},
		Clock: clock.RealClock{}, Disk: doctor.RealDisk{},
	}, nil
}

func (f *flags) aggregated() (*doctor.Aggregated, error) {
	config, err := f.cluster()
	if err != nil {
		return nil, err
	}
	_, minor, _ := strings.Cut(version.DefaultKubeBinaryVersion, ".")
	number, err := strconv.Atoi(minor)
	if err != nil {
		return nil, fmt.Errorf("the version of Kubernetes of this program, %s, is not understood", version.DefaultKubeBinaryVersion)
	}
	a := &doctor.Aggregated{
		Config: config, ServiceAccount: f.serviceAccount, BeforeStart: f.beforeStart, ServingCert: f.servingCert, Connect: f.connect, Etcd: f.etcd,
		Groups: []schema.GroupVersion{fleetv1alpha1.SchemeGroupVersion, v1alpha1.SchemeGroupVersion},
		Minor:  number, Clock: clock.RealClock{},
	}
	if f.kubeconfig == "" {
		a.ServiceAccount = "" // that of this pod
	}
	admission := admissionoptions.New()
	for _, need := range delegation.Needs(admission.Enabled(), !f.noTokenReview) {
		a.Needs = append(a.Needs, doctor.Need{
			Verbs: need.Verbs, Resource: need.Resource, Namespace: need.Namespace, Object: need.Object,
			Without: need.Without, Cure: need.Cure, Newer: need.Newer,
		})
	}
	return a, nil
}

// cluster returns the configuration of clients of the cluster. An error contains nothing of the kubeconfig.
func (f *flags) cluster() (*rest.Config, error) {
	if f.kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("the cluster cannot be reached: %w; name its kubeconfig with --kubeconfig, or run in a pod with a service account", err)
		}
		return config, nil
	}
	data, err := os.ReadFile(f.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("--kubeconfig=%s is empty: name the kubeconfig of an administrator of the cluster", f.kubeconfig)
	}
	config, err := clientcmd.BuildConfigFromFlags("", f.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig=%s is damaged or has no current context: see \"kubectl config view --kubeconfig=%s\"", f.kubeconfig, f.kubeconfig)
	}
	return config, nil
}

// run runs the checks and prints the report. The error is an *Exit.
func (f *flags) run(ctx context.Context, out io.Writer, checks []doctor.Check) error {
	report := doctor.Run(ctx, checks, f.etcd.Timeout)
	write := report.Print
	if f.output == "json" {
		write = report.PrintJSON
	}
	if err := write(out); err != nil {
		return &Exit{doctor.ExitBroken, err}
	}
	if code := report.ExitCode(f.failOn == failOnWarning); code != doctor.ExitOK {
		return &Exit{Code: code}
	}
	return nil
}
