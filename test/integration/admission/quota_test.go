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

package admission

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/quota"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const countInstances = "count/instances.fleet.gatehouse.dev"

// quantities parses a list of resources in the form of messages: name=amount,name=amount.
func quantities(list string) corev1.ResourceList {
	quantities := corev1.ResourceList{}
	for pair := range strings.SplitSeq(list, ",") {
		name, amount, _ := strings.Cut(pair, "=")
		quantities[corev1.ResourceName(name)] = resource.MustParse(amount)
	}
	return quantities
}

// createQuota creates a quota in the namespace default, and waits until its usage is counted.
func createQuota(t *testing.T, core kubernetes.Interface, name, hard, used string, change ...func(*corev1.ResourceQuota)) {
	t.Helper()
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ResourceQuotaSpec{Hard: quantities(hard)}}
	for _, f := range change {
		f(q)
	}
	if _, err := core.CoreV1().ResourceQuotas("default").Create(t.Context(), q, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	comesToUse(t, core, name, used)
}

// comesToUse waits until the status of the quota has this usage.
func comesToUse(t *testing.T, core kubernetes.Interface, name, used string) {
	t.Helper()
	harness.ComesTrue(t, func(ctx context.Context) string {
		q, err := core.CoreV1().ResourceQuotas("default").Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		for name, want := range quantities(used) {
			if got, ok := q.Status.Used[name]; !ok || got.Cmp(want) != 0 {
				return fmt.Sprintf("%s is used %s (%v), want %s", name, got.String(), ok, want.String())
			}
		}
		return ""
	})
}

// asking returns an instance with one container that requests these amounts; empty for none.
func asking(name, cpu, memory string) *v1alpha1.Instance {
	requests := v1alpha1.ResourceList{}
	if cpu != "" {
		requests[v1alpha1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		requests[v1alpha1.ResourceMemory] = resource.MustParse(memory)
	}
	i := harness.SmallInstance(name)
	i.Spec.Containers[0].Resources.Requests = requests
	return i
}

// refusedByQuota expects a 403 with the reason.
func refusedByQuota(t *testing.T, err error, why string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "is forbidden: "+why+" (admission plugin ResourceQuota: use less, set what is missing, or have spec.hard of the quota raised; why: kubectl gatehouse why ") {
		t.Errorf("got %v, want a refusal with %q", err, why)
	}
}

func TestAQuotaLimitsInstancesAndWhatTheyAskFor(t *testing.T) {
	c := harness.StartControlled(t)
	if err := c.Create(t, asking("before", "1500u", "10")); err != nil {
		t.Fatal(err)
	}
	createQuota(t, c.Core, "few", "count/instances.fleet.gatehouse.dev=3,fleet.gatehouse.dev/requests.millicpu=1000,fleet.gatehouse.dev/requests.memory=1Ki,count/apps.fleet.gatehouse.dev=2",
		"count/instances.fleet.gatehouse.dev=1,fleet.gatehouse.dev/requests.millicpu=2,fleet.gatehouse.dev/requests.memory=10,count/apps.fleet.gatehouse.dev=0")

	// Admission may see the status of the quota later than this test does.
	kit.Eventually(t, "an instance within the quota is created", func(context.Context) bool {
		err := c.Create(t, asking("half", "500m", "100"))
		if err != nil && !strings.Contains(err.Error(), "status unknown for quota: few,") {
			t.Fatal(err)
		}
		return err == nil
	})
	comesToUse(t, c.Core, "few", "count/instances.fleet.gatehouse.dev=2,fleet.gatehouse.dev/requests.millicpu=502,fleet.gatehouse.dev/requests.memory=110")
	refusedByQuota(t, c.Create(t, asking("too-much", "500m", "1")),
		"exceeded quota: few, requested: fleet.gatehouse.dev/requests.millicpu=500, used: fleet.gatehouse.dev/requests.millicpu=502, limited: fleet.gatehouse.dev/requests.millicpu=1k")
	refusedByQuota(t, c.Create(t, asking("silent", "", "1")), "failed quota: few: must specify resources.requests.cpu for: "+harness.SmallInstance("x").Spec.Containers[0].Name)
	dry := asking("dry", "1m", "1")
	if _, err := c.FleetV1alpha1().Instances("default").Create(t.Context(), dry, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Error(err)
	}
	if err := c.Create(t, asking("last", "1m", "1")); err != nil {
		t.Fatal(err)
	}
	refusedByQuota(t, c.Create(t, asking("one-more", "1m", "1")),
		"exceeded quota: few, requested: count/instances.fleet.gatehouse.dev=1, used: count/instances.fleet.gatehouse.dev=3, limited: count/instances.fleet.gatehouse.dev=3")

	// An ended instance is not charged, though it still exists.
	ended := c.GetInstance(t, "half")
	ended.Status.Phase = v1alpha1.InstanceSucceeded
	if _, err := c.FleetV1alpha1().Instances("default").UpdateStatus(t.Context(), ended, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	comesToUse(t, c.Core, "few", "count/instances.fleet.gatehouse.dev=3,fleet.gatehouse.dev/requests.millicpu=3,fleet.gatehouse.dev/requests.memory=11")
	if err := c.FleetV1alpha1().Instances("default").Delete(t.Context(), "half", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	comesToUse(t, c.Core, "few", "count/instances.fleet.gatehouse.dev=2,fleet.gatehouse.dev/requests.millicpu=3,fleet.gatehouse.dev/requests.memory=11")
	if err := c.Create(t, asking("again", "997m", "1")); err != nil {
		t.Errorf("what was given back is not there for others: %v", err)
	}
}

func TestAQuotaThatIsWrongIsMended(t *testing.T) {
	c := harness.StartControlled(t)
	for i := range 3 {
		if err := c.Create(t, asking(fmt.Sprintf("i-%d", i), "100m", "")); err != nil {
			t.Fatal(err)
		}
	}
	const truth = "count/instances.fleet.gatehouse.dev=3,fleet.gatehouse.dev/requests.millicpu=300"
	createQuota(t, c.Core, "few", "count/instances.fleet.gatehouse.dev=10,fleet.gatehouse.dev/requests.millicpu=10000", truth)
	for _, wrong := range []string{
		"count/instances.fleet.gatehouse.dev=9,fleet.gatehouse.dev/requests.millicpu=9000",
		"count/instances.fleet.gatehouse.dev=0,fleet.gatehouse.dev/requests.millicpu=10",
	} {
		q, err := c.Core.CoreV1().ResourceQuotas("default").Get(t.Context(), "few", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		q.Status.Used = quantities(wrong)
		if _, err := c.Core.CoreV1().ResourceQuotas("default").UpdateStatus(t.Context(), q, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		comesToUse(t, c.Core, "few", truth)
	}

	// A name conflict is found after the charge.
	for range 2 {
		if err := c.Create(t, asking("i-0", "100m", "")); !apierrors.IsAlreadyExists(err) {
			t.Errorf("a second i-0: %v", err)
		}
	}
	comesToUse(t, c.Core, "few", "count/instances.fleet.gatehouse.dev=5,fleet.gatehouse.dev/requests.millicpu=500")
	comesToUse(t, c.Core, "few", truth)
}

// TestEverythingThatIsStoredCanBeCounted walks all resources of discovery.
func TestEverythingThatIsStoredCanBeCounted(t *testing.T) {
	c := harness.StartControlled(t)
	lists, err := c.Core.Discovery().ServerPreferredNamespacedResources()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, kind := range quota.Kinds() {
		known[kind.Resource.String()] = false
	}
	var names []string
	for _, list := range lists {
		for _, r := range list.APIResources {
			gv := strings.Split("/"+list.GroupVersion, "/")
			group, version := gv[len(gv)-2], gv[len(gv)-1]
			// Events have two groups, which count together: quota_test of events distinguishes them.
			if r.Name == "events" && group != "" || !strings.Contains(fmt.Sprint(r.Verbs), "watch") {
				continue
			}
			key := fmt.Sprintf("%s/%s, Resource=%s", group, version, r.Name)
			if _, ok := known[key]; !ok {
				t.Errorf("%s is stored, but is not in quota.Kinds", key)
			}
			known[key] = true
			names = append(names, strings.TrimSuffix("count/"+r.Name+"."+group, ".")+"=1000")
		}
	}
	for key, served := range known {
		if !served {
			t.Errorf("%s is not served", key)
		}
	}
	names = append(names, "secrets=1000", "configmaps=1000", "resourcequotas=1000")
	zeros := strings.NewReplacer("=1000", "=0")
	hard := strings.Join(names, ",")
	// A new namespace has a service account, and root certificates, which do not count; the quota counts itself.
	counted := strings.NewReplacer("count/serviceaccounts=0", "count/serviceaccounts=1", "resourcequotas=0", "resourcequotas=1")
	createQuota(t, c.Core, "all", hard, counted.Replace(zeros.Replace(hard)))
	if _, err := c.Core.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	comesToUse(t, c.Core, "all", "configmaps=1,count/configmaps=1")
}

// warnings collects the warnings of a server.
type warnings struct {
	mu   sync.Mutex
	said []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
}

func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, agent, text string) {
	w.HandleWarningHeader(code, agent, text)
}

func TestAQuotaThatLimitsNothingIsWarnedAbout(t *testing.T) {
	server := servertesting.Start(t)
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	for i, tc := range []struct {
		name string
		spec corev1.ResourceQuotaSpec
		want []string
	}{
		{"all of it is counted", corev1.ResourceQuotaSpec{Hard: quantities("secrets=1,count/apps.fleet.gatehouse.dev=1,fleet.gatehouse.dev/limits.memory=1")}, nil},
		{"two names are not counted here", corev1.ResourceQuotaSpec{Hard: quantities("pods=1,secrets=1,fleet.gatehouse.dev/requests.cpu=1")}, []string{
			"spec.hard[fleet.gatehouse.dev/requests.cpu]: this server counts nothing by this name, so it limits nothing here; see docs/quota.md for what can be limited",
			"spec.hard[pods]: this server counts nothing by this name, so it limits nothing here; see docs/quota.md for what can be limited",
		}},
		{"a scope is about nothing here", corev1.ResourceQuotaSpec{Hard: quantities(countInstances + "=0"), Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeNotTerminating}}, []string{
			"spec: scopes are about pods and volumes, which this server does not store, so a quota with a scope limits nothing here: leave scopes and scopeSelector out",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			heard := &warnings{}
			config := rest.CopyConfig(server.Config)
			config.WarningHandler, config.WarningHandlerWithContext = nil, heard
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.CoreV1().ResourceQuotas("default").Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("q-%d", i)}, Spec: tc.spec}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(heard.said, "\n"); got != strings.Join(tc.want, "\n") {
				t.Errorf("it warns:\n%s", got)
			}
		})
	}
	// A quota with a scope would refuse everything if the scope applied to instances.
	some := harness.SmallInstance("any")
	some.Spec.Containers[0].Resources.Limits = v1alpha1.ResourceList{v1alpha1.ResourceMemory: resource.MustParse("1")}
	comesToUse(t, core, "q-0", "fleet.gatehouse.dev/limits.memory=0")
	if err := harness.NewFleetClient(t, server.Config).Create(t, some); err != nil {
		t.Error(err)
	}
	comesToUse(t, core, "q-0", "fleet.gatehouse.dev/limits.memory=1")
	comesToUse(t, core, "q-2", countInstances+"=0")
}
