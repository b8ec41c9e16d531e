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

// Package options composes the flags of the server from the options of its parts. Complete
// derives values that are not given, and CompletedOptions.Validate checks all of them.
package options

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/pflag"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
	"k8s.io/component-base/metrics"
	metricsfeatures "k8s.io/component-base/metrics/features"

	admissionoptions "github.com/gatehouse-dev/gatehouse/pkg/admission/options"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver/memory"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/endedinstances"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/delegation"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/limits"
	"github.com/gatehouse-dev/gatehouse/pkg/serving"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
	storageoptions "github.com/gatehouse-dev/gatehouse/pkg/storage/options"
	"github.com/gatehouse-dev/gatehouse/pkg/tracing"
	"github.com/gatehouse-dev/gatehouse/pkg/ui/onserver"
)

// The two modes. --mode is required and never inferred, because the modes trust different
// authorities.
const (
	// ModeStandalone authenticates users itself and has the built-in kinds that kubectl needs.
	ModeStandalone = "standalone"
	// ModeAggregated serves behind a kube-apiserver, which authenticates and authorizes callers.
	ModeAggregated = "aggregated"
)

// Values of --host-registration.
const (
	// SelfRegistration lets agents create their Hosts.
	SelfRegistration = "self"
	// ApprovedRegistration lets only operators create Hosts.
	ApprovedRegistration = "approve"
)

// defaultEventTTL is that of kube-apiserver.
const defaultEventTTL = time.Hour

// shutdownWatchGrace is the time in which watches are drained at the end.
const shutdownWatchGrace = 5 * time.Second

// Options are the flags of gatehouse apiserver. gatehouse up has few of them.
type Options struct {
	// Mode is ModeStandalone or ModeAggregated.
	Mode string
	// DataDir holds everything that the server keeps on disk: certificates, kubeconfig, the lock
	// and the data of an embedded etcd.
	DataDir string
	// ClientCAFile verifies client certificates; the authority in the data directory if empty.
	ClientCAFile string
	// EventTTL is the time for which an event is kept in the standalone mode.
	EventTTL time.Duration
	// HostRegistration is SelfRegistration or ApprovedRegistration.
	HostRegistration string

	// Controllers run inside the server, in the standalone mode.
	Controllers manager.Selection
	// EndedInstances is the number of ended instances to keep; 0 for all.
	EndedInstances int
	// SimulateHosts is the number of simulated hosts beside the server, in the standalone mode.
	SimulateHosts int

	// Callers are for the standalone mode.
	Callers authentication.StandaloneOptions
	// Authorization is for the standalone mode.
	Authorization authorization.StandaloneOptions
	// Cluster is for the aggregated mode, except AnyProxyName.
	Cluster delegation.Options

	Serving   serving.Options
	Etcd      storageoptions.Options
	Admission admissionoptions.Options
	Watches   limits.WatchOptions
	Memory    memory.Options
	Tracing   tracing.Options
	Traces    diagnostics.Options
	UI        onserver.Options
	Backups   backup.Options

	// OperationsAudit records writes and refused requests in AuditFile; a flag of gatehouse up.
	OperationsAudit bool

	ServerRun *genericoptions.ServerRunOptions
	Audit     *genericoptions.AuditOptions
	Features  *genericoptions.FeatureOptions
	Metrics   *metrics.Options
	Logs      *logs.Options
}

// addFeatureGates adds the feature gates of logging and of metrics to those of the process, once:
// after a command line has been parsed, the library accepts no more of them.
var addFeatureGates = sync.OnceFunc(func() {
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
	utilruntime.Must(metricsfeatures.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
})

// NewOptions returns the defaults.
func NewOptions() *Options {
	addFeatureGates()
	o := &Options{
		DataDir:          DefaultDataDir(),
		EventTTL:         defaultEventTTL,
		HostRegistration: SelfRegistration,
		Controllers:      manager.Selection{manager.AllControllers},
		EndedInstances:   endedinstances.DefaultThreshold,
		Callers:          authentication.NewStandaloneOptions(),
		Cluster:          delegation.NewOptions(),
		Serving:          serving.NewOptions(),
		Etcd:             storageoptions.New(),
		Admission:        admissionoptions.New(),
		Watches:          limits.NewWatchOptions(),
		Traces:           diagnostics.NewOptions(),
		Backups:          backup.NewOptions(),
		ServerRun:        genericoptions.NewServerRunOptions(),
		Audit:            genericoptions.NewAuditOptions(),
		Features:         genericoptions.NewFeatureOptions(),
		Metrics:          metrics.NewOptions(),
		Logs:             logs.NewOptions(),
	}
	o.Features.EnableProfiling = false
	// Watches end within this time after the start of the shutdown.
	o.ServerRun.ShutdownWatchTerminationGracePeriod = shutdownWatchGrace
	return o
}

// DefaultDataDir returns the directory for a user's data (XDG Base Directory Specification), or a
// directory in the working directory if the user has no home.
func DefaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "gatehouse")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "gatehouse")
	}
	return "gatehouse-data"
}

// Flags returns all flags in named sections.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	fs := sets.FlagSet("gatehouse")
	fs.StringVar(&o.Mode, "mode", o.Mode, "Required. standalone: the server authenticates and authorizes users itself. aggregated: it serves behind a kube-apiserver and delegates both to that cluster.")
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "Directory for all files of the server: certificates, kubeconfig, and the data of an embedded etcd. Created with mode 0700. It must belong to this user or to root, and other users must not be able to replace it.")
	o.addStandaloneFlags(fs)
	o.addHostFlags(fs)
	fs.DurationVar(&o.EventTTL, "event-ttl", o.EventTTL, "Time for which an event is kept after its last update. Only in standalone mode; in aggregated mode, the cluster keeps events.")

	o.Serving.AddFlags(sets.FlagSet("serving"))
	sets.FlagSet("authentication").StringVar(&o.ClientCAFile, "client-ca-file", o.ClientCAFile, "Certificates of the authorities whose client certificates are accepted; user = CN, groups = O. Where empty, the authority in the data directory.")
	o.Callers.AddFlags(sets.FlagSet("authentication (standalone mode)"))
	o.Authorization.AddFlags(sets.FlagSet("authorization (standalone mode)"))
	o.Cluster.AddFlags(sets.FlagSet("cluster (aggregated mode)"))
	o.Etcd.AddFlags(sets.FlagSet("etcd"))
	o.Backups.AddFlags(sets.FlagSet("etcd"))
	o.ServerRun.AddUniversalFlags(sets.FlagSet("server"))
	o.Memory.AddFlags(sets.FlagSet("server"))
	o.Watches.AddFlags(sets.FlagSet("server"))
	o.Traces.AddFlags(sets.FlagSet("server"))
	o.UI.AddFlags(sets.FlagSet("serving"))
	o.Admission.AddFlags(sets.FlagSet("admission"))
	o.Audit.AddFlags(sets.FlagSet("audit"))
	sets.FlagSet("audit").Lookup("audit-policy-file").Usage = "Path to the file that defines the audit policy configuration. Where empty, --audit-log-path and --audit-webhook-config-file get every request but health checks at level Metadata, when it is answered."
	o.Features.AddFlags(sets.FlagSet("features"))
	// Flow control is mandatory: without it one busy client starves all others.
	_ = sets.FlagSet("features").MarkHidden("enable-priority-and-fairness")
	o.Metrics.AddFlags(sets.FlagSet("metrics"))
	o.Tracing.AddFlags(sets.FlagSet("tracing"))
	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))
	return sets
}

// UpFlags returns the flags of gatehouse up in named sections.
func (o *Options) UpFlags(listen *string) cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	fs := sets.FlagSet("gatehouse")
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "Directory for all files of the server: certificates, kubeconfig, and the data of the embedded etcd. Created with mode 0700. It must belong to this user or to root, and other users must not be able to replace it.")
	fs.StringVar(listen, "listen", *listen, "Address and port to listen on. Port 0 selects a free port. Other machines can connect only if this is not a loopback address.")
	fs.StringSliceVar(&o.Serving.SANs, "tls-san", o.Serving.SANs, "Additional host names and IP addresses at which clients reach the server, comma separated.")
	o.addStandaloneFlags(fs)
	fs.BoolVar(&o.OperationsAudit, "audit", o.OperationsAudit, "Record writes and refused requests, without bodies, in audit/audit.log in the data directory, with rotation: 11 files of 100 MB, 30 days. \"gatehouse apiserver\" has flags for every other policy and destination.")
	o.Memory.AddFlags(fs)
	o.Traces.AddFlags(fs)
	o.UI.AddFlags(fs)
	o.addHostFlags(fs)
	o.Callers.AddUpFlags(sets.FlagSet("authentication"))
	o.Cluster.AddTokenCacheFlag(sets.FlagSet("authentication"))
	o.Authorization.AddFlags(sets.FlagSet("authorization"))
	o.Etcd.AddUpFlags(sets.FlagSet("etcd"))
	o.Backups.AddFlags(sets.FlagSet("etcd"))
	o.Tracing.AddFlags(sets.FlagSet("tracing"))
	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))
	return sets
}

// addStandaloneFlags adds the flags of what runs beside a standalone server.
func (o *Options) addStandaloneFlags(fs *pflag.FlagSet) {
	o.Controllers.AddFlag(fs, "Controllers that run inside the server, in standalone mode. \"gatehouse controllers\" runs those of apps, releases and hosts in a separate process.", knownControllers())
	manager.AddEndedInstancesFlag(fs, &o.EndedInstances)
	fs.IntVar(&o.SimulateHosts, "simulate-hosts", o.SimulateHosts, "Number of simulated hosts to run beside the server, sim-1 and so on, for trying it out: they register and report like real hosts, but nothing really runs on them. Only in standalone mode. \"gatehouse simulate-hosts\" does the same in a separate process, with more flags.")
}

// addHostFlags adds the flags of hosts, which both modes have.
func (o *Options) addHostFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.HostRegistration, "host-registration", o.HostRegistration, "How hosts are registered. self: the agent of a host creates its Host. approve: an operator creates the Host (kubectl create) before the agent may register, so that a deleted host does not reappear.")
}

func knownControllers() []string {
	return slices.Concat(manager.FleetControllers(), manager.ClusterControllers())
}
