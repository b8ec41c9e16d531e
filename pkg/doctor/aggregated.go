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

package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/space"
)

const (
	// slowDiscovery is the time from which discovery is a warning: every kubectl without a cache waits for it.
	slowDiscovery = time.Second
	// olderMinors is the number of minor versions by which a cluster may be older than the libraries of the server.
	olderMinors = 2
)

// Need is a permission that the server needs in the cluster.
type Need struct {
	Verbs             []string
	Resource          schema.GroupVersionResource
	Namespace, Object string
	// Without is the consequence if it is missing, and Cure the remedy.
	Without, Cure string
	// Newer needs are met if the cluster does not serve the resource: a part of admission is off then.
	Newer bool
}

// Aggregated checks a server behind a kube-apiserver, through that kube-apiserver.
type Aggregated struct {
	// Config is the cluster.
	Config *rest.Config
	// ServiceAccount is the account of the server, as namespace:name, whose rights are reviewed; empty for the user of
	// Config.
	ServiceAccount string
	// Groups are the versions of API groups that the server serves.
	Groups []schema.GroupVersion
	Needs  []Need
	// BeforeStart leaves out what only a running server has, for an init container of its pod.
	BeforeStart bool
	// ServingCert is the file of the certificate that the server serves; empty to connect to the server.
	ServingCert string
	// Connect is the address of the server; empty for its service.
	Connect string
	// Etcd is the external etcd; without endpoints it is not checked.
	Etcd *space.Options
	// Minor is the minor version of Kubernetes of the server's libraries.
	Minor int
	Clock clock.PassiveClock
}

// aggregation is what the checks share.
type aggregation struct {
	*Aggregated
	client kubernetes.Interface
}

// Checks returns the checks in their order.
func (a *Aggregated) Checks() ([]Check, error) {
	config := rest.CopyConfig(a.Config)
	config.QPS, config.ContentType, config.AcceptContentTypes = -1, "application/json", "application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig of the cluster cannot be used: %w", err)
	}
	c := &aggregation{a, client}
	const reachable, registered, install = "cluster", "apiservices", "apply artifacts/deploy (docs/install.md)"
	return []Check{
		{Name: reachable, Run: c.reachable, Cure: "start the cluster's kube-apiserver, or name another kubeconfig with --kubeconfig"},
		{Name: "clock", After: reachable, Run: c.compareClocks, Cure: "set the clock of this machine, and keep it right with NTP"},
		{Name: "skew", After: reachable, Run: c.skew, Cure: "upgrade the older of the two (docs/upgrade.md)"},
		{Name: "discovery", After: reachable, Run: c.discovery, Cure: "see with \"kubectl get apiservices\" which one is slow or unavailable: discovery waits for it"},
		{Name: registered, After: reachable, Run: c.apiServices, Cure: install},
		{Name: "ca-bundle", After: reachable, Run: c.caBundles, Cure: "write the output of \"gatehouse certificates\" to caBundle of the APIServices (docs/install.md, The certificate)"},
		{Name: "service", After: reachable, Run: c.service, Cure: install},
		{Name: "endpoints", After: reachable, Run: c.endpoints, Cure: "see why the pods are not ready: \"kubectl -n gatehouse-system get pods\" and their logs"},
		{Name: "rights", After: reachable, Run: c.rights, Cure: "apply artifacts/deploy/rbac.yaml"},
		{Name: "policies", After: reachable, Run: c.policies, Cure: "upgrade the cluster, and restart the server then"},
		{Name: "front-proxy", After: reachable, Run: c.frontProxy, Cure: "start kube-apiserver with a valid --requestheader-client-ca-file and --proxy-client-cert-file"},
		{Name: "etcd", Run: c.etcd, Cure: "start etcd, or correct --etcd-servers and the TLS files"},
		{Name: "away", After: reachable, Run: c.away, Cure: "run two replicas on different nodes, and keep the PodDisruptionBudget (artifacts/deploy)"},
	}, nil
}

// read reads an object or a list as JSON.
func (c *aggregation) read(ctx context.Context, path string, into any) error {
	data, err := c.client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("the response of %s is not understood", path)
	}
	return nil
}

// unread is the finding of an object that cannot be read.
func unread(what string, err error) Finding {
	if apierrors.IsForbidden(err) {
		return warning("run this command as an administrator of the cluster, or let the service account get, list "+what, "not checked: this user may not read %s", what)
	}
	return broken("run this command again; if it fails again, see the log of kube-apiserver", "%s cannot be read: %v", what, reason(err))
}

func (c *aggregation) reachable(ctx context.Context) []Finding {
	a, err := get(ctx, c.Config, "/readyz")
	if err != nil {
		return []Finding{broken("", "%s does not respond: %v", c.Config.Host, reason(err))}
	}
	switch a.code {
	case http.StatusOK:
		return []Finding{ok("%s is ready", c.Config.Host)}
	case http.StatusUnauthorized:
		return []Finding{broken("name a kubeconfig that is valid with --kubeconfig", "%s does not accept the credentials", c.Config.Host)}
	case http.StatusForbidden:
		return []Finding{ok("%s responds; this user may not read whether it is ready", c.Config.Host)}
	}
	return []Finding{broken("see with \"kubectl get --raw '/readyz?verbose'\" what is wrong", "%s is not ready (%d)", c.Config.Host, a.code)}
}

func (c *aggregation) compareClocks(ctx context.Context) []Finding {
	before := c.Clock.Now()
	a, err := get(ctx, c.Config, "/version")
	if err != nil {
		return []Finding{unread("/version", err)}
	}
	if a.date.IsZero() {
		return []Finding{ok("not compared: kube-apiserver sends no date")}
	}
	return orOK(skew("kube-apiserver", a.date, before, c.Clock.Now()), "%s, as kube-apiserver", stamp(before))
}

// skew compares the version of the cluster with that of the libraries of this program.
func (c *aggregation) skew(ctx context.Context) []Finding {
	var info apiversion.Info
	if err := c.read(ctx, "/version", &info); err != nil {
		return []Finding{unread("/version", err)}
	}
	minor, err := strconv.Atoi(strings.TrimRight(info.Minor, "+"))
	if err != nil || info.Major != "1" {
		return []Finding{broken("name the kubeconfig of a Kubernetes cluster", "the cluster has the version %q.%q", info.Major, info.Minor)}
	}
	switch {
	case minor > c.Minor:
		return []Finding{warning("upgrade Gatehouse to a version for this cluster (docs/upgrade.md)", "the cluster has Kubernetes 1.%d, which is newer than 1.%d of this program", minor, c.Minor)}
	case minor < c.Minor-olderMinors:
		return []Finding{warning("upgrade the cluster (docs/upgrade.md)", "the cluster has Kubernetes 1.%d, more than %d minor versions older than 1.%d of this program", minor, olderMinors, c.Minor)}
	}
	return []Finding{ok("the cluster has Kubernetes 1.%d, and this program 1.%d", minor, c.Minor)}
}

// discovery measures discovery as kubectl does it, and looks for the groups of the server in it.
func (c *aggregation) discovery(ctx context.Context) []Finding {
	began := c.Clock.Now()
	var list struct {
		Items []struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
			Versions []struct {
				Version   string            `json:"version"`
				Freshness string            `json:"freshness"`
				Resources []json.RawMessage `json:"resources"`
			} `json:"versions"`
		} `json:"items"`
	}
	data, err := c.client.Discovery().RESTClient().Get().AbsPath("/apis").
		SetHeader("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").Do(ctx).Raw()
	took := c.Clock.Since(began)
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return []Finding{unread("/apis", err)}
	}
	var found []Finding
	if took >= slowDiscovery {
		found = append(found, warning("", "it takes %v; kubectl, and controllers at their start, wait for it", took.Round(time.Millisecond)))
	}
	served := map[schema.GroupVersion]bool{}
	for _, group := range list.Items {
		for _, version := range group.Versions {
			gv := schema.GroupVersion{Group: group.Metadata.Name, Version: version.Version}
			served[gv] = len(version.Resources) > 0 && version.Freshness != "Stale"
			if version.Freshness == "Stale" && !c.own(gv) {
				found = append(found, warning("", "%s does not respond, so that deletions of namespaces wait", gv))
			}
		}
	}
	if c.BeforeStart {
		return orOK(found, "%d groups", len(list.Items))
	}
	for _, gv := range c.Groups {
		if !served[gv] {
			found = append(found, broken("cure what the lines apiservices, ca-bundle and endpoints say", "%s is not in it", gv))
		}
	}
	return orOK(found, "%d groups, those of the server among them", len(list.Items))
}

func (c *aggregation) own(gv schema.GroupVersion) bool {
	for _, own := range c.Groups {
		if own == gv {
			return true
		}
	}
	return false
}

func (c *aggregation) etcd(ctx context.Context) []Finding {
	if c.Etcd == nil || len(c.Etcd.External.Endpoints) == 0 {
		return []Finding{ok("not checked: name it with --etcd-servers and the TLS files of the server")}
	}
	members, err := askMembers(ctx, c.Etcd, c.Etcd.External)
	if err != nil {
		return []Finding{broken("", "etcd does not respond: %v", err)}
	}
	return etcdFindings(members, true)
}
