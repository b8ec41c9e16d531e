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
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// tree is an app with its releases and instances. It is what -o json prints.
type tree struct {
	App       string `json:"app"`
	Namespace string `json:"namespace"`
	Revision  int64  `json:"revision"`
	Ready     int32  `json:"ready"`
	Wanted    int32  `json:"wanted"`
	// Status is that of the rollout: Done, Failed, Paused or Progressing.
	Status string `json:"status"`
	// Reason is what the first instance waits for, such as ImagePullBackOff, or why there is none.
	Reason   string        `json:"reason,omitempty"`
	Created  time.Time     `json:"created"`
	Releases []treeRelease `json:"releases"`
}

type treeRelease struct {
	Name      string         `json:"name"`
	Revision  int64          `json:"revision"`
	Ready     int32          `json:"ready"`
	Wanted    int32          `json:"wanted"`
	Status    string         `json:"status"` // Current, Old, or New while it has no number yet
	Created   time.Time      `json:"created"`
	Instances []treeInstance `json:"instances"`
}

type treeInstance struct {
	Name       string    `json:"name"`
	Ready      bool      `json:"ready"`
	Containers string    `json:"containers"` // ready of all, 1/2
	Status     string    `json:"status"`
	Created    time.Time `json:"created"`
	Host       *treeHost `json:"host,omitempty"` // absent until the instance is bound
}

type treeHost struct {
	Name string `json:"name"`
	// Status reads as in kubectl get hosts; Gone if there is no such host, and empty if
	// the user may not read hosts.
	Status string `json:"status,omitempty"`
}

// buildTree assembles the tree of an app. missing is the status of hosts that are not in hosts.
// Releases and instances of other owners are left out.
func buildTree(app *v1alpha1.App, releases []v1alpha1.Release, instances []v1alpha1.Instance, hosts map[string]*v1alpha1.Host, missing string) tree {
	p := progressOf(app, 0)
	t := tree{
		App: app.Name, Namespace: app.Namespace, Revision: p.Revision, Ready: p.ReadyReplicas, Wanted: p.Replicas,
		Status: "Progressing", Created: app.CreationTimestamp.Time, Releases: []treeRelease{},
	}
	t.Reason = p.Reason
	switch {
	case p.Failed:
		t.Status = "Failed"
	case p.Paused:
		t.Status = "Paused"
	case p.Done:
		t.Status = "Done"
	}
	for i := range releases {
		release := &releases[i]
		if !metav1.IsControlledBy(release, app) {
			continue
		}
		r := treeRelease{
			Name: release.Name, Revision: helper.ValidRevision(release), Status: "Old", Created: release.CreationTimestamp.Time,
			Ready: release.Status.ReadyReplicas, Wanted: ptr.Deref(release.Spec.Replicas, 1), Instances: []treeInstance{},
		}
		switch r.Revision {
		case 0:
			r.Status = "New"
		case p.Revision:
			r.Status = "Current"
		}
		for j := range instances {
			if metav1.IsControlledBy(&instances[j], release) {
				r.Instances = append(r.Instances, instanceOf(&instances[j], hosts, missing))
			}
		}
		slices.SortFunc(r.Instances, func(a, b treeInstance) int { return cmp.Compare(a.Name, b.Name) })
		t.Releases = append(t.Releases, r)
	}
	// The newest first; one without a number is newer than all.
	age := func(r treeRelease) uint64 { return uint64(r.Revision - 1) } // 0 becomes the largest
	slices.SortFunc(t.Releases, func(a, b treeRelease) int {
		return cmp.Or(cmp.Compare(age(b), age(a)), cmp.Compare(a.Name, b.Name))
	})
	return t
}

func instanceOf(i *v1alpha1.Instance, hosts map[string]*v1alpha1.Host, missing string) treeInstance {
	ready := 0
	for _, c := range i.Status.ContainerStatuses {
		if c.Ready {
			ready++
		}
	}
	t := treeInstance{
		Name: i.Name, Ready: helper.IsInstanceReady(i), Containers: fmt.Sprintf("%d/%d", ready, len(i.Spec.Containers)),
		Status: statusOf(i), Created: i.CreationTimestamp.Time,
	}
	if i.Spec.HostName != "" {
		t.Host = &treeHost{Name: i.Spec.HostName, Status: missing}
		if host := hosts[i.Spec.HostName]; host != nil {
			t.Host.Status = hostStatus(host)
		}
	}
	return t
}

// statusOf returns the status as kubectl get instances prints it.
func statusOf(i *v1alpha1.Instance) string {
	if i.DeletionTimestamp != nil {
		return "Terminating"
	}
	if i.Status.Reason != "" {
		return i.Status.Reason
	}
	status := cmp.Or(string(i.Status.Phase), "Pending")
	for _, c := range i.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			status = c.State.Waiting.Reason
		case c.State.Terminated != nil && c.State.Terminated.Reason != "":
			status = c.State.Terminated.Reason
		}
	}
	return status
}

// hostStatus returns the status as kubectl get hosts prints it.
func hostStatus(host *v1alpha1.Host) string {
	status := "Unknown"
	if c := apimeta.FindStatusCondition(host.Status.Conditions, v1alpha1.HostConditionReady); c != nil {
		switch c.Status {
		case metav1.ConditionTrue:
			status = "Ready"
		case metav1.ConditionFalse:
			status = "NotReady"
		}
	}
	if host.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

// status returns the status of the rollout in the table.
func (t tree) status() string {
	if t.Reason == "" {
		return t.Status
	}
	return t.Status + ": " + t.Reason
}

// write prints the tree as a table. Old releases without instances are only counted, unless all is
// set.
func (t tree) write(out io.Writer, all bool, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	row := func(name, ready, status, revision string, created time.Time, host, hostStatus string) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cell(name), ready, cell(status), revision, duration.HumanDuration(now.Sub(created)), cell(host), cell(hostStatus))
	}
	fmt.Fprintln(table, "NAME\tREADY\tSTATUS\tREVISION\tAGE\tHOST\tHOST STATUS")
	row("app/"+t.App, ratio(t.Ready, t.Wanted), t.status(), number(t.Revision), t.Created, "", "")
	var shown []treeRelease
	for _, r := range t.Releases {
		if all || r.Wanted > 0 || len(r.Instances) > 0 || r.Status != "Old" {
			shown = append(shown, r)
		}
	}
	for i, r := range shown {
		branch, below := branches(i == len(shown)-1)
		row(branch+"release/"+r.Name, ratio(r.Ready, r.Wanted), r.Status, number(r.Revision), r.Created, "", "")
		for j, instance := range r.Instances {
			twig, _ := branches(j == len(r.Instances)-1)
			host := ptr.Deref(instance.Host, treeHost{Name: "<none>"})
			row(below+twig+"instance/"+instance.Name, instance.Containers, instance.Status, "", instance.Created, host.Name, host.Status)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if hidden := len(t.Releases) - len(shown); hidden > 0 {
		fmt.Fprintf(out, "Old releases without instances: %d; --all shows them.\n", hidden)
	}
	return nil
}

// branches are the prefixes of an entry, and of the entries below it.
func branches(last bool) (entry, below string) {
	if last {
		return "└─ ", "   "
	}
	return "├─ ", "│  "
}

func ratio(ready, wanted int32) string { return fmt.Sprintf("%d/%d", ready, wanted) }

func number(revision int64) string {
	if revision == 0 {
		return ""
	}
	return strconv.FormatInt(revision, 10)
}
