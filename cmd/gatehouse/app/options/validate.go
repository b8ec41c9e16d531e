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

package options

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/limits"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

// Validate returns everything that is wrong with the flags, each naming the flag and the cure.
func (o CompletedOptions) Validate() []error {
	var errs []error
	switch o.Mode {
	case ModeStandalone:
		errs = append(errs, o.Cluster.validateUnused()...)
		errs = append(errs, o.Callers.validate(o.Cluster.AnyProxyName)...)
		if o.PlaintextEtcd {
			errs = append(errs, fmt.Errorf("--etcd-allow-plaintext is for --mode=aggregated: leave it out"))
		}
		if o.EventTTL < time.Second {
			errs = append(errs, fmt.Errorf("--event-ttl=%s is too short: events are kept for whole seconds, one at least", o.EventTTL))
		}
	case ModeAggregated:
		errs = append(errs, o.Cluster.validate()...)
		errs = append(errs, o.Callers.validateUnused()...)
		if o.EventTTL != defaultEventTTL {
			errs = append(errs, fmt.Errorf("--event-ttl is for --mode=standalone: leave it out; the cluster keeps events"))
		}
	case "":
		errs = append(errs, fmt.Errorf("--mode is required: standalone (the server knows its users itself) or aggregated (behind a kube-apiserver)"))
	default:
		errs = append(errs, fmt.Errorf("--mode=%s is unknown: use standalone or aggregated", o.Mode))
	}
	errs = append(errs, o.validateMemory()...)
	errs = append(errs, o.validateControllers()...)
	errs = append(errs, ValidateEndedInstances(o.EndedInstances)...)
	errs = append(errs, o.validateSimulation()...)
	errs = append(errs, o.validateRegistration()...)
	if o.DataDir == "" {
		errs = append(errs, fmt.Errorf("--data-dir must not be empty: name a directory"))
	}
	errs = append(errs, o.validateServing()...)
	errs = append(errs, o.validateEtcd()...)
	if o.ClientCAFile != "" {
		errs = append(errs, readable("client-ca-file", o.ClientCAFile)...)
	}
	errs = append(errs, o.ServerRun.Validate()...)
	if o.ServerRun.MaxRequestsInFlight+o.ServerRun.MaxMutatingRequestsInFlight <= 0 {
		errs = append(errs, fmt.Errorf("--max-requests-inflight and --max-mutating-requests-inflight must add up to at least 1: flow control shares their sum out"))
	}
	errs = append(errs, o.Watches.validate()...)
	for _, flag := range []struct {
		name  string
		value int
	}{{limits.PerUserFlag, o.MaxWatchesPerUser}, {limits.AllFlag, o.MaxWatches}} {
		if flag.value < 0 {
			errs = append(errs, fmt.Errorf("--%s=%d must not be negative: use 0 for no limit", flag.name, flag.value))
		}
	}
	errs = append(errs, o.Admission.validate()...)
	errs = append(errs, o.Audit.Validate()...)
	errs = append(errs, o.Features.Validate()...)
	if !o.Features.EnablePriorityAndFairness {
		errs = append(errs, fmt.Errorf("--enable-priority-and-fairness=false is not supported: leave the flag out"))
	}
	errs = append(errs, o.Metrics.Validate()...)
	for _, err := range logsapi.Validate(o.Logs, o.ServerRun.ComponentGlobalsRegistry.FeatureGateFor(o.ServerRun.ComponentName), nil) {
		errs = append(errs, err)
	}
	return errs
}

// minMemoryLimit is what a server with a few thousand objects needs.
const minMemoryLimit = 128 << 20

func (o CompletedOptions) validateMemory() []error {
	if o.MemoryLimit == "" {
		return nil
	}
	limit, err := resource.ParseQuantity(o.MemoryLimit)
	switch {
	case err != nil:
		return []error{fmt.Errorf("--memory-limit=%s is not a quantity: give bytes such as 512Mi or 2Gi", o.MemoryLimit)}
	case limit.Sign() != 0 && limit.Cmp(*resource.NewQuantity(minMemoryLimit, resource.BinarySI)) < 0:
		return []error{fmt.Errorf("--memory-limit=%s is less than 128Mi, which the server needs for itself: give more, or 0 for no limit", o.MemoryLimit)}
	}
	return nil
}

func (o CompletedOptions) validateControllers() []error {
	if o.Aggregated() && !slices.Equal(o.Controllers, Controllers{AllControllers}) {
		return []error{fmt.Errorf("--controllers is for --mode=standalone: leave it out, and run \"gatehouse controllers\" beside the server")}
	}
	return o.Controllers.Validate(o.knownControllers())
}

// maxSimulatedHosts is far more than one process can play beside its server.
const maxSimulatedHosts = 1000

func (o CompletedOptions) validateSimulation() []error {
	var errs []error
	if o.SimulateHosts < 0 || o.SimulateHosts > maxSimulatedHosts {
		errs = append(errs, fmt.Errorf("--simulate-hosts=%d is not a number from 0 to %d: ask for fewer, or for none with 0; \"gatehouse simulate-hosts\" plays more in a process of its own", o.SimulateHosts, maxSimulatedHosts))
	}
	if o.SimulateHosts != 0 && o.Aggregated() {
		errs = append(errs, fmt.Errorf("--simulate-hosts is for --mode=standalone: leave it out, and run \"gatehouse simulate-hosts --kubeconfig FILE --impersonate\" beside the server"))
	}
	if o.SimulateHosts != 0 && o.ClientCAFile != "" {
		errs = append(errs, fmt.Errorf("--simulate-hosts cannot be used with --client-ca-file: the hosts' certificates come from the authority in the data directory; run \"gatehouse simulate-hosts --kubeconfig FILE --impersonate\" beside the server"))
	}
	return errs
}

func (o CompletedOptions) validateRegistration() []error {
	switch {
	case o.HostRegistration != SelfRegistration && o.HostRegistration != ApprovedRegistration:
		return []error{fmt.Errorf("--host-registration=%s is unknown: use self or approve", o.HostRegistration)}
	case o.ApproveHosts() && o.SimulateHosts != 0:
		return []error{fmt.Errorf("--simulate-hosts cannot be used with --host-registration=approve: simulated hosts register themselves; leave one out")}
	}
	return nil
}

func (o CompletedOptions) validateServing() []error {
	errs := o.Serving.Validate()
	certFile, keyFile := o.Serving.ServerCert.CertKey.CertFile, o.Serving.ServerCert.CertKey.KeyFile
	switch {
	case certFile == "" && keyFile == "":
	case certFile == "":
		errs = append(errs, fmt.Errorf("--tls-private-key-file needs --tls-cert-file beside it"))
	case keyFile == "":
		errs = append(errs, fmt.Errorf("--tls-cert-file needs --tls-private-key-file beside it"))
	default:
		errs = append(errs, readable("tls-cert-file", certFile)...)
		errs = append(errs, readable("tls-private-key-file", keyFile)...)
	}
	return errs
}

// minEtcdQuotaBytes holds the objects of a first start and one object of the largest size.
const minEtcdQuotaBytes = 16 << 20

func (o CompletedOptions) validateEtcd() []error {
	transport := o.Etcd.StorageConfig.Transport
	if o.embeddedEtcd {
		var errs []error
		for flag, value := range map[string]string{"etcd-cafile": transport.TrustedCAFile, "etcd-certfile": transport.CertFile, "etcd-keyfile": transport.KeyFile} {
			if value != "" {
				errs = append(errs, fmt.Errorf("--%s is of no use without --etcd-servers: the embedded etcd is reached by a unix socket", flag))
			}
		}
		slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		if o.EtcdQuotaBytes < minEtcdQuotaBytes {
			errs = append(errs, fmt.Errorf("--etcd-quota-bytes=%d is too small: use %d (16 MiB) or more; the default is %d", o.EtcdQuotaBytes, minEtcdQuotaBytes, int64(embedded.DefaultQuotaBytes)))
		}
		return errs
	}
	if len(transport.ServerList) == 0 {
		return []error{fmt.Errorf("--etcd-servers is required with --mode=aggregated: name an external etcd as https://etcd.example:2379, or ask for one inside this process with --embedded-etcd")}
	}
	errs := o.Etcd.Validate()
	if o.EtcdQuotaBytes != embedded.DefaultQuotaBytes {
		errs = append(errs, fmt.Errorf("--etcd-quota-bytes is for the embedded etcd: leave it out, and give the external etcd its --quota-backend-bytes"))
	}
	if o.EmbedEtcd {
		errs = append(errs, fmt.Errorf("--embedded-etcd and --etcd-servers exclude each other: leave one out"))
	}
	for _, server := range transport.ServerList {
		if u, err := url.Parse(server); err != nil || !slices.Contains([]string{"http", "https", "unix"}, u.Scheme) || (u.Host == "" && u.Path == "") {
			errs = append(errs, fmt.Errorf("--etcd-servers: %q is not the URL of an etcd: write it as https://10.0.0.1:2379", server))
		} else if o.Aggregated() && u.Scheme == "http" && !o.PlaintextEtcd {
			errs = append(errs, fmt.Errorf("--etcd-servers: %q has no TLS, so whoever reaches it can read and change everything: use https with --etcd-cafile, --etcd-certfile and --etcd-keyfile, or say --etcd-allow-plaintext", server))
		}
	}
	if (transport.CertFile == "") != (transport.KeyFile == "") {
		errs = append(errs, fmt.Errorf("--etcd-certfile and --etcd-keyfile belong together: give both or neither"))
	}
	for flag, value := range map[string]string{"etcd-cafile": transport.TrustedCAFile, "etcd-certfile": transport.CertFile, "etcd-keyfile": transport.KeyFile} {
		if value != "" {
			errs = append(errs, readable(flag, value)...)
		}
	}
	return errs
}

// readable refuses a file that cannot be read, or that another user owns or may write: what these
// files hold is the authority of the server.
func readable(flag, path string) []error {
	err := files.Given(path)
	if untrusted := (*files.UntrustedError)(nil); errors.As(err, &untrusted) {
		return []error{fmt.Errorf("--%s: %w", flag, err)}
	}
	if err != nil {
		return []error{fmt.Errorf("--%s: the file cannot be read (%w): name one that exists and that this user may read", flag, err)}
	}
	return nil
}

func listenError(value, why string) error {
	return fmt.Errorf("--listen=%q: %s; write it as 127.0.0.1:6443, or 127.0.0.1:0 for a free port", value, why)
}
