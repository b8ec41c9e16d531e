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

package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

const (
	// restsWithin is the time limit for convergence: a request that failed often
	// is retried after 15 seconds, and several may depend on each other.
	restsWithin = 2 * time.Minute
	// quietRenewals is the number of renewals of the controllers' lease during which nothing else may be
	// written, and quietBeats the number of heartbeats of hosts in that time.
	quietRenewals = 2 * int(leaseDuration/retryPeriod)
	quietBeats    = 40
)

// comesToRest waits until nothing is missing.
func (s *env) comesToRest(ctx context.Context) {
	s.t.Helper()
	missing := []string{"nothing was looked at"}
	if err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, restsWithin, true, func(ctx context.Context) (bool, error) {
		// On timeout the last complete result is more useful than the context's error.
		if now := s.missing(ctx); ctx.Err() == nil {
			missing = now
		}
		return len(missing) == 0, nil
	}); err != nil {
		s.t.Fatalf("the environment does not converge:\n%s", strings.Join(missing, "\n"))
	}
}

// missing describes the differences from the converged state.
func (s *env) missing(ctx context.Context) []string {
	apps, err := s.fleet.Apps("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return []string{err.Error()}
	}
	releases, err := s.fleet.Releases("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return []string{err.Error()}
	}
	instances, err := s.fleet.Instances("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return []string{err.Error()}
	}
	hosts, err := s.fleet.Hosts().List(ctx, metav1.ListOptions{})
	if err != nil {
		return []string{err.Error()}
	}
	return slices.Concat(
		appsMissing(apps.Items, releases.Items, instances.Items),
		ownersMissing(apps.Items, releases.Items, instances.Items),
		s.hostsMissing(hosts.Items, instances.Items),
	)
}

// appsMissing describes the apps that do not have exactly their replicas of the newest version.
func appsMissing(apps []v1alpha1.App, releases []v1alpha1.Release, instances []v1alpha1.Instance) (missing []string) {
	now := time.Now()
	for _, app := range apps {
		wanted := ptr.Deref(app.Spec.Replicas, 1)
		status := app.Status
		if app.DeletionTimestamp != nil || status.ObservedGeneration != app.Generation || status.Replicas != wanted || status.UpdatedReplicas != wanted ||
			status.ReadyReplicas != wanted || status.AvailableReplicas != wanted || status.UnavailableReplicas != 0 {
			missing = append(missing, fmt.Sprintf("app %s wants %d: deleted %v, generation %d, status %+v", app.Name, wanted, app.DeletionTimestamp, app.Generation, status))
		}
		owned, available := int32(0), int32(0)
		for _, release := range releases {
			if !metav1.IsControlledBy(&release, &app) {
				continue
			}
			if release.Status.Replicas != ptr.Deref(release.Spec.Replicas, 1) || release.Status.ObservedGeneration != release.Generation {
				missing = append(missing, fmt.Sprintf("release %s wants %d: status %+v", release.Name, ptr.Deref(release.Spec.Replicas, 1), release.Status))
			}
			for _, i := range instances {
				if metav1.IsControlledBy(&i, &release) {
					owned++
					if helper.IsInstanceActive(&i) && i.Spec.HostName != "" && i.Spec.Containers[0].Image == app.Spec.Template.Spec.Containers[0].Image && helper.IsInstanceAvailable(&i, app.Spec.MinReadySeconds, now) {
						available++
					}
				}
			}
		}
		if owned != wanted || available != wanted {
			missing = append(missing, fmt.Sprintf("app %s wants %d, and owns %d instances, of which %d are available with its image", app.Name, wanted, owned, available))
		}
	}
	return missing
}

// ownersMissing describes the objects without an owner.
func ownersMissing(apps []v1alpha1.App, releases []v1alpha1.Release, instances []v1alpha1.Instance) (missing []string) {
	alive := map[types.UID]bool{}
	for _, app := range apps {
		alive[app.UID] = app.DeletionTimestamp == nil
	}
	for _, release := range releases {
		owner := metav1.GetControllerOf(&release)
		if owner == nil || !alive[owner.UID] || release.DeletionTimestamp != nil {
			missing = append(missing, fmt.Sprintf("release %s has no living owner, or is being deleted: %+v", release.Name, release.ObjectMeta.OwnerReferences))
		}
		alive[release.UID] = release.DeletionTimestamp == nil
	}
	for _, i := range instances {
		owner := metav1.GetControllerOf(&i)
		if owner == nil || !alive[owner.UID] || !helper.IsInstanceActive(&i) {
			missing = append(missing, fmt.Sprintf("instance %s on %q has no living owner, or is not active: %+v, %v, %s", i.Name, i.Spec.HostName, i.OwnerReferences, i.DeletionTimestamp, i.Status.Phase))
		}
	}
	return missing
}

// hostsMissing describes the hosts that are not ready, exceed their capacity, or are deleted while
// instances are bound to them.
func (s *env) hostsMissing(hosts []v1alpha1.Host, instances []v1alpha1.Instance) (missing []string) {
	usedBy := map[string]*used{}
	for _, host := range hosts {
		usedBy[host.Name] = &used{}
		if !meta.IsStatusConditionTrue(host.Status.Conditions, v1alpha1.HostConditionReady) || len(host.Spec.Taints) > 0 || host.Spec.Unschedulable {
			missing = append(missing, fmt.Sprintf("host %s is not well: %+v, %+v", host.Name, host.Spec, host.Status.Conditions))
		}
	}
	count := 0
	for i, group := range groups {
		if s.groups[i] != nil {
			count += group.hosts
		}
	}
	if len(hosts) != count {
		missing = append(missing, fmt.Sprintf("there are %d hosts of %d", len(hosts), count))
	}
	for _, i := range instances {
		u := usedBy[i.Spec.HostName]
		if u == nil {
			missing = append(missing, fmt.Sprintf("instance %s is bound to %q, which is not there", i.Name, i.Spec.HostName))
			continue
		}
		u.add(&i)
	}
	for _, name := range slices.Sorted(maps.Keys(usedBy)) {
		if over := usedBy[name].over(); over != "" {
			missing = append(missing, fmt.Sprintf("host %s has too many: %s", name, over))
		}
	}
	return missing
}

// staysAtRest waits until the leader has renewed its lease many times, and hosts theirs,
// without any other write in between. Writes of the time of the faults may still arrive,
// so it tries more than once.
func (s *env) staysAtRest(ctx context.Context) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, restsWithin)
	defer cancel()
	written := []string{"nothing was looked at"}
	for len(written) > 0 {
		renewed, alive := s.renewals.after(quietRenewals), s.heartbeats.after(quietBeats)
		before := s.versions(ctx)
		err := renewed(ctx)
		if err == nil {
			err = alive(ctx)
		}
		if err != nil {
			s.t.Fatalf("the controllers do not stop writing, or the hosts do not renew their leases: %v; last written:\n%s", err, strings.Join(written, "\n"))
		}
		written = nil
		after := s.versions(ctx)
		for key, version := range after {
			if before[key] != version {
				written = append(written, fmt.Sprintf("%s: from %q to %q", key, before[key], version))
			}
			delete(before, key)
		}
		for key := range before {
			written = append(written, key+": deleted")
		}
		slices.Sort(written)
		if len(written) > 0 {
			s.t.Logf("not converged yet:\n%s", strings.Join(written, "\n"))
		}
	}
}

// versions returns the versions of all stored objects but leases, which are always written.
func (s *env) versions(ctx context.Context) map[string]string {
	s.t.Helper()
	client, err := metadata.NewForConfig(s.server)
	if err != nil {
		s.t.Fatal(err)
	}
	all, err := s.core.Discovery().ServerPreferredResources()
	if err != nil {
		s.t.Fatal(err)
	}
	versions := map[string]string{}
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "watch"}}, all) {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			s.t.Fatal(err)
		}
		if group.Group == diagnostics.GroupName {
			continue
		}
		for _, r := range list.APIResources {
			if r.Name == "leases" || r.Name == "hostleases" {
				continue
			}
			objects, err := client.Resource(group.WithResource(r.Name)).List(ctx, metav1.ListOptions{})
			if err != nil {
				s.t.Fatalf("%s: %v", r.Name, err)
			}
			for _, o := range objects.Items {
				versions[fmt.Sprintf("%s %s/%s", r.Name, o.Namespace, o.Name)] = o.ResourceVersion
			}
		}
	}
	if len(versions) < 20 {
		s.t.Fatalf("discovery and lists return only %d objects", len(versions))
	}
	return versions
}
