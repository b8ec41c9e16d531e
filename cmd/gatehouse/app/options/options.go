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

// Package options holds the server's flags, and nothing but flags: what they mean is
// completed by Complete and checked by CompletedOptions.Validate. cmd/gatehouse/app turns
// the result into a running server.
package options

import (
	"net"
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
	"k8s.io/component-base/metrics"
	netutils "k8s.io/utils/net"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/endedinstances"
	"github.com/gatehouse-dev/gatehouse/pkg/limits"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

// The two modes. Which one it is must be said, and is never inferred: they trust
// different people.
const (
	// ModeStandalone knows its users itself and has what kubectl needs built in.
	ModeStandalone = "standalone"
	// ModeAggregated serves behind a kube-apiserver, which it asks who callers are and
	// what they may.
	ModeAggregated = "aggregated"
)

// DefaultPort is where the server listens unless told otherwise.
const DefaultPort = 6443

// defaultEventTTL is that of a kube-apiserver.
const defaultEventTTL = time.Hour

// A host's agent holds a handful of watches, a controller one for each kind that it reads, and one
// connection carries 1000: a user who needs more is an exception. A watch takes 26 kB to 100 kB,
// so one user can take 100 MB at the most. Ten thousand hosts hold less than the bound of all.
const (
	defaultMaxWatchesPerUser = 1000
	defaultMaxWatches        = 50_000
)

// Options are the flags of gatehouse apiserver. gatehouse up sets them from its own few.
type Options struct {
	// Mode is ModeStandalone or ModeAggregated.
	Mode string
	// DataDir holds everything that the server keeps on disk: certificates, kubeconfig,
	// the lock and, where etcd is embedded, its data.
	DataDir string
	// ClientCAFile verifies client certificates; the CA in the data directory where empty.
	ClientCAFile string
	// EventTTL is how long an event is kept in the standalone mode.
	EventTTL time.Duration
	// TLSSANs are further names and addresses by which clients reach the server.
	TLSSANs []string

	// Controllers are those that run inside the server, in the standalone mode.
	Controllers Controllers
	// EndedInstances is how many instances that have ended are kept; 0 for all.
	EndedInstances int
	// SimulateHosts is how many simulated hosts run beside the server, in the standalone mode.
	SimulateHosts int

	// MemoryLimit is how many bytes of memory the process may use, as a quantity; the limit of its
	// control group where empty, and none where 0.
	MemoryLimit string
	// HostRegistration is SelfRegistration or ApprovedRegistration.
	HostRegistration string

	// EmbedEtcd asks for an etcd in this process in the aggregated mode, where an external
	// one is expected.
	EmbedEtcd bool
	// EtcdQuotaBytes is the size that the database of an embedded etcd may grow to.
	EtcdQuotaBytes int64
	// MaxWatchesPerUser and MaxWatches bound the requests that run long; 0 for no bound.
	MaxWatchesPerUser, MaxWatches int
	// PlaintextEtcd allows an external etcd without TLS in the aggregated mode.
	PlaintextEtcd bool
	// Callers is used in the standalone mode only.
	Callers Callers
	// Cluster is used in the aggregated mode only, but for AnyProxyName.
	Cluster Cluster

	// Watches bound how long watches last.
	Watches Watches

	ServerRun *genericoptions.ServerRunOptions
	Etcd      *genericoptions.EtcdOptions
	Serving   *genericoptions.SecureServingOptions
	// Admission says which plugins decide about writes.
	Admission Admission
	Audit     *genericoptions.AuditOptions
	Features  *genericoptions.FeatureOptions
	Metrics   *metrics.Options
	Logs      *logs.Options
}

// addLoggingGates adds the feature gates of logging to those of the process. Once a command line
// has been parsed the library takes no more, not even the same again.
var addLoggingGates = sync.OnceFunc(func() {
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
})

// NewOptions returns the defaults.
func NewOptions() *Options {
	addLoggingGates()
	o := &Options{
		DataDir:           DefaultDataDir(),
		Controllers:       Controllers{AllControllers},
		EndedInstances:    endedinstances.DefaultThreshold,
		HostRegistration:  SelfRegistration,
		Callers:           newCallers(),
		EventTTL:          defaultEventTTL,
		Cluster:           newCluster(),
		Watches:           newWatches(),
		ServerRun:         genericoptions.NewServerRunOptions(),
		MaxWatchesPerUser: defaultMaxWatchesPerUser,
		MaxWatches:        defaultMaxWatches,
		EtcdQuotaBytes:    embedded.DefaultQuotaBytes,
		Etcd:              storage.NewOptions(),
		Serving:           genericoptions.NewSecureServingOptions(),
		Admission:         newAdmission(),
		Audit:             genericoptions.NewAuditOptions(),
		Features:          genericoptions.NewFeatureOptions(),
		Metrics:           metrics.NewOptions(),
		Logs:              logs.NewOptions(),
	}
	// Nothing listens beyond loopback unless asked, and profiling is off.
	o.Serving.BindAddress = netutils.ParseIPSloppy("127.0.0.1")
	o.Serving.BindPort = DefaultPort
	o.Features.EnableProfiling = false
	// Certificates lie in the data directory.
	o.Serving.ServerCert.CertDirectory = ""
	// Every client that can speak to a Gatehouse speaks TLS 1.3.
	o.Serving.MinTLSVersion = "VersionTLS13"
	// As k8s.io/apiserver's RecommendedOptions, and for the same reason: the default of 100
	// would stall a client that holds many watches on one connection.
	o.Serving.HTTP2MaxStreamsPerConnection = 1000
	// Watches get this long to be told that the server stops, before it stops.
	o.ServerRun.ShutdownWatchTerminationGracePeriod = shutdownWatchGrace
	return o
}

// DefaultDataDir is where a user's programs keep their data (XDG Base Directory
// Specification), or a directory in the working directory where there is no home.
func DefaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "gatehouse")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "gatehouse")
	}
	return "gatehouse-data"
}

// Who creates the Host of an agent.
const (
	// SelfRegistration lets the agent do it.
	SelfRegistration = "self"
	// ApprovedRegistration leaves it to operators.
	ApprovedRegistration = "approve"
)

// Flags returns all flags in named sections.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	fs := sets.FlagSet("gatehouse")
	fs.StringVar(&o.Mode, "mode", o.Mode, "Required. standalone: the server knows its users itself. aggregated: it serves behind a kube-apiserver and asks that cluster who callers are and what they may.")
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "Directory for everything that the server keeps on disk: certificates, kubeconfig, and the data of an embedded etcd. Made with mode 0700. It must belong to this user or to root, and other users must not be able to replace it.")
	o.AddStandaloneFlags(fs)
	o.AddHostFlags(fs)
	fs.DurationVar(&o.EventTTL, "event-ttl", o.EventTTL, "How long an event is kept after the last write to it. For the standalone mode; in the other the cluster keeps events.")

	o.Serving.AddFlags(sets.FlagSet("serving"))
	sets.FlagSet("serving").StringSliceVar(&o.TLSSANs, "tls-san", o.TLSSANs, "Further host names and IP addresses for the serving certificate that the server makes for itself, comma separated. Not used with --tls-cert-file.")
	// The server's own certificates lie in the data directory, so the flag has no effect.
	_ = sets.FlagSet("serving").MarkHidden("cert-dir")
	sets.FlagSet("authentication").StringVar(&o.ClientCAFile, "client-ca-file", o.ClientCAFile, "Certificates of the authorities whose client certificates are accepted; user = CN, groups = O. Where empty, the authority in the data directory.")
	o.Callers.addFlags(sets.FlagSet("authentication (standalone mode)"))
	o.Cluster.addFlags(sets.FlagSet("cluster (aggregated mode)"))
	o.Etcd.AddFlags(sets.FlagSet("etcd"))
	sets.FlagSet("etcd").BoolVar(&o.EmbedEtcd, "embedded-etcd", o.EmbedEtcd, "Run an etcd inside this process also in the aggregated mode. One replica only: each would have data of its own.")
	sets.FlagSet("etcd").BoolVar(&o.PlaintextEtcd, "etcd-allow-plaintext", o.PlaintextEtcd, "Allow --etcd-servers with http URLs in the aggregated mode. Whoever can reach such an etcd can read and change everything.")
	o.AddEtcdQuotaFlag(sets.FlagSet("etcd"))
	sets.FlagSet("etcd").Lookup("etcd-servers").Usage = "URLs of an external etcd, comma separated, such as https://10.0.0.1:2379. Where empty, an etcd runs inside this process and keeps its data in the data directory."
	o.ServerRun.AddUniversalFlags(sets.FlagSet("server"))
	o.AddMemoryFlag(sets.FlagSet("server"))
	o.Watches.addFlags(sets.FlagSet("server"))
	sets.FlagSet("server").IntVar(&o.MaxWatchesPerUser, limits.PerUserFlag, o.MaxWatchesPerUser, "The maximum number of watches that one user may have open at a time. When it is reached, the server refuses further watches of the user with 429. The group system:masters and the server's own controllers are exempt. 0 for no limit.")
	sets.FlagSet("server").IntVar(&o.MaxWatches, limits.AllFlag, o.MaxWatches, "The maximum number of watches that all users together may have open at a time. When it is reached, the server refuses further watches with 429. The group system:masters and the server's own controllers are exempt. 0 for no limit.")
	o.Admission.addFlags(sets.FlagSet("admission"))
	o.Audit.AddFlags(sets.FlagSet("audit"))
	sets.FlagSet("audit").Lookup("audit-policy-file").Usage = "Path to the file that defines the audit policy configuration. Where empty, --audit-log-path and --audit-webhook-config-file get every request but health checks at level Metadata, when it is answered."
	o.Features.AddFlags(sets.FlagSet("features"))
	// Flow control is not optional: without it one busy client starves all others.
	_ = sets.FlagSet("features").MarkHidden("enable-priority-and-fairness")
	o.Metrics.AddFlags(sets.FlagSet("metrics"))
	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))
	return sets
}

// AddStandaloneFlags adds those that gatehouse up has in common with gatehouse apiserver word
// for word.
func (o *Options) AddStandaloneFlags(fs *pflag.FlagSet) {
	o.Controllers.AddFlag(fs, "Controllers that run inside the server, in the standalone mode. \"gatehouse controllers\" runs those of apps, releases and hosts in a process of its own.", o.knownControllers())
	AddEndedInstancesFlag(fs, &o.EndedInstances)
	fs.IntVar(&o.SimulateHosts, "simulate-hosts", o.SimulateHosts, "How many simulated hosts to run beside the server, sim-1 and so on, to try it out: they register and report as real ones do, but nothing really runs on them. For the standalone mode. \"gatehouse simulate-hosts\" does the same in a process of its own, with more flags.")
}

// AddMemoryFlag adds the one about memory, which gatehouse up has, too.
func (o *Options) AddMemoryFlag(fs *pflag.FlagSet) {
	fs.StringVar(&o.MemoryLimit, "memory-limit", o.MemoryLimit, "Memory that the process may use, as a quantity such as 2Gi. Requests that need much are answered with 429 while there is not enough for them, and the garbage collector works harder near it. Where empty, the memory limit of the process's control group, if it has one. 0 means no limit.")
}

// AddHostFlags adds those about hosts, which both modes have, and which gatehouse up has in common
// with gatehouse apiserver word for word.
func (o *Options) AddHostFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.HostRegistration, "host-registration", o.HostRegistration, "How hosts are registered. self: the agent of a host creates its Host. approve: an operator creates the Host (kubectl create) before the agent is let register, so that a host that was deleted does not come back by itself.")
}

// AddEtcdQuotaFlag adds the flag of the embedded etcd that gatehouse up has, too.
func (o *Options) AddEtcdQuotaFlag(fs *pflag.FlagSet) {
	fs.Int64Var(&o.EtcdQuotaBytes, "etcd-quota-bytes", o.EtcdQuotaBytes, "Size in bytes that the database of the embedded etcd may grow to. At this size the server refuses creates and updates with 507 and /readyz fails with the check etcd-space, while reads and deletes go on. A restart compacts and defragments the database and takes writes again if that leaves 10 % of the quota free.")
}

func (o *Options) knownControllers() []string {
	return slices.Concat(FleetControllers(), ClusterControllers())
}

// Listen sets the address from ADDR:PORT; port 0 picks a free one.
func (o *Options) Listen(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return listenError(address, "it is not of the form ADDR:PORT")
	}
	ip := netutils.ParseIPSloppy(host)
	if ip == nil {
		return listenError(address, "its address is not an IP address")
	}
	number, err := netutils.ParsePort(port, true)
	if err != nil {
		return listenError(address, "its port is not a number from 0 to 65535")
	}
	o.Serving.BindAddress, o.Serving.BindPort = ip, number
	return nil
}
