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

package manager

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/app"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/backup"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/certificatecleaner"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/certificatesigner"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/clusterroleaggregation"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/endedinstances"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/garbagecollector"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostapprover"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/namespace"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/quota"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/release"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/rootca"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/scheduler"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/serviceaccount"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/storageversionmigrator"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/tokencleaner"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	"github.com/gatehouse-dev/gatehouse/pkg/signers"
)

// Descriptor describes one controller, or a user that works for several controllers.
type Descriptor struct {
	// Name of the controller. Its user has this name after a prefix.
	Name string
	// New constructs the controller, which writes with the configuration and reads from the
	// informers. Nil for a user that is not a controller.
	New func(*rest.Config, *informers.Shared) (Controller, error)
	// Rules are the least rights that the controller needs.
	Rules []rbacv1.PolicyRule
	// Namespace is the only one in which it needs them; empty for all.
	Namespace string
}

// constructor adapts the constructor of a package to Descriptor.
func constructor[C Controller](construct func(*rest.Config, *informers.Shared) (C, error)) func(*rest.Config, *informers.Shared) (Controller, error) {
	return func(config *rest.Config, shared *informers.Shared) (Controller, error) {
		return construct(config, shared)
	}
}

// fleetConstructor does the same for a controller that reads the fleet's own kinds only.
func fleetConstructor[C Controller](construct func(*rest.Config, externalversions.SharedInformerFactory) (C, error)) func(*rest.Config, *informers.Shared) (Controller, error) {
	return func(config *rest.Config, shared *informers.Shared) (Controller, error) {
		return construct(config, shared)
	}
}

func rule(verbs []string, group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: resources}
}

func everything(verbs ...string) rbacv1.PolicyRule {
	return rule(verbs, rbacv1.APIGroupAll, rbacv1.ResourceAll)
}

const fleetGroup, coordinationGroup, certificatesGroup = v1alpha1.GroupName, "coordination.k8s.io", "certificates.k8s.io"

const storageMigrationGroup = "storagemigration.k8s.io"

// recordEvents lets a controller write events and count repeated ones.
func recordEvents() rbacv1.PolicyRule { return rule([]string{"create", "patch"}, "", "events") }

// StandaloneDescriptors describe the controllers that a cluster already has and a standalone server runs
// itself. Every replica runs them: concurrent writes of two replicas do no harm. rootCA has the
// certificates in PEM that verify the serving certificate; authority signs certificates, and is nil if
// the server does not have its key.
func StandaloneDescriptors(rootCA []byte, authority *certificatesigner.Authority) []Descriptor {
	return []Descriptor{
		{Name: namespace.Name, New: constructor(namespace.New), Rules: []rbacv1.PolicyRule{
			rule([]string{"update"}, "", "namespaces/finalize", "namespaces/status"),
			everything("list", "delete", "deletecollection"),
		}},
		{Name: garbagecollector.Name, New: constructor(garbagecollector.New), Rules: []rbacv1.PolicyRule{
			everything("get", "patch", "delete"),
			rule([]string{"create", "patch", "update"}, "", "events"),
		}},
		{Name: clusterroleaggregation.Name, New: constructor(clusterroleaggregation.New), Rules: []rbacv1.PolicyRule{
			rule([]string{"escalate", "get", "patch", "update"}, rbacv1.GroupName, "clusterroles"),
		}},
		{Name: serviceaccount.Name, New: constructor(serviceaccount.New), Rules: []rbacv1.PolicyRule{
			rule([]string{"create"}, "", "serviceaccounts"),
		}},
		// A create has no name yet, hence the two rules.
		{Name: rootca.Name, New: constructor(func(config *rest.Config, shared *informers.Shared) (*rootca.Controller, error) {
			return rootca.New(config, shared, rootCA)
		}), Rules: []rbacv1.PolicyRule{
			rule([]string{"create"}, "", "configmaps"),
			{Verbs: []string{"list", "watch", "update"}, APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{rootca.ConfigMap}},
		}},
		{Name: tokencleaner.Name, New: constructor(tokencleaner.New), Namespace: tokencleaner.Namespace, Rules: []rbacv1.PolicyRule{
			rule([]string{"list", "watch", "delete"}, "", "secrets"),
		}},
		{Name: certificatesigner.Name, New: constructor(func(config *rest.Config, shared *informers.Shared) (*certificatesigner.Controller, error) {
			return certificatesigner.New(config, shared, authority)
		}), Rules: []rbacv1.PolicyRule{
			rule([]string{"update"}, certificatesGroup, "certificatesigningrequests/status"),
			{Verbs: []string{"sign"}, APIGroups: []string{certificatesGroup}, Resources: []string{"signers"}, ResourceNames: []string{signers.Client, signers.HostServing}},
			rule([]string{"get"}, fleetGroup, "hosts"),
		}},
		{Name: hostapprover.Name, New: constructor(hostapprover.New), Rules: []rbacv1.PolicyRule{
			rule([]string{"update"}, certificatesGroup, "certificatesigningrequests/approval"),
			{Verbs: []string{"approve"}, APIGroups: []string{certificatesGroup}, Resources: []string{"signers"}, ResourceNames: []string{signers.Client}},
			rule([]string{"get"}, fleetGroup, "hosts", "hostleases"),
			{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{signers.RevocationConfigMap}},
		}},
		{Name: certificatecleaner.Name, New: constructor(certificatecleaner.New), Rules: []rbacv1.PolicyRule{
			rule([]string{"delete"}, certificatesGroup, "certificatesigningrequests"),
		}},
		// It lists to find the current version of a resource and its objects, which it patches without a change.
		{Name: storageversionmigrator.Name, New: constructor(storageversionmigrator.New), Rules: []rbacv1.PolicyRule{
			everything("list", "patch"),
			rule([]string{"update"}, storageMigrationGroup, "storageversionmigrations/status"),
		}},
		// It watches instances itself, and only while a quota limits a sum over them. The one of
		// `gatehouse controllers` has the same user, and watches quotas itself, too.
		{Name: quota.Name, New: constructor(quota.New), Rules: []rbacv1.PolicyRule{
			rule([]string{"list", "watch"}, "", "resourcequotas"),
			rule([]string{"update"}, "", "resourcequotas/status"),
			rule([]string{"list", "watch"}, fleetGroup, "instances"),
		}},
	}
}

// FleetDescriptors describe the controllers of the fleet's own kinds. They rely on being the only
// ones: one replica runs them at a time. endedInstances is the number of ended instances to keep; 0
// keeps all.
//
// Rights on finalizers are for OwnerReferencesPermissionEnforcement: what these controllers
// create blocks the deletion of its owner.
func FleetDescriptors(hosts hostlifecycle.Options, endedInstances int) []Descriptor {
	return []Descriptor{
		{Name: app.Name, New: fleetConstructor(app.New), Rules: []rbacv1.PolicyRule{
			rule([]string{"get", "patch"}, fleetGroup, "apps"),
			rule([]string{"update"}, fleetGroup, "apps/finalizers", "apps/status"),
			rule([]string{"get", "create", "update", "patch", "delete"}, fleetGroup, "releases"),
			recordEvents(),
		}},
		{Name: release.Name, New: fleetConstructor(release.New), Rules: []rbacv1.PolicyRule{
			rule([]string{"get"}, fleetGroup, "releases"),
			rule([]string{"update"}, fleetGroup, "releases/finalizers", "releases/status"),
			rule([]string{"create", "patch", "delete"}, fleetGroup, "instances"),
			recordEvents(),
		}},
		{Name: scheduler.Name, New: fleetConstructor(scheduler.New), Rules: []rbacv1.PolicyRule{
			rule([]string{"get"}, fleetGroup, "instances"),
			rule([]string{"create"}, fleetGroup, "instances/binding"),
			rule([]string{"update"}, fleetGroup, "instances/status"),
			recordEvents(),
		}},
		{Name: hostlifecycle.Name, New: constructor(func(config *rest.Config, shared *informers.Shared) (*hostlifecycle.Controller, error) {
			return hostlifecycle.New(config, shared, hosts)
		}), Rules: []rbacv1.PolicyRule{
			rule([]string{"get", "update"}, fleetGroup, "hosts"),
			rule([]string{"update"}, fleetGroup, "hosts/status"),
			rule([]string{"get"}, fleetGroup, "hostleases"),
			rule([]string{"delete"}, fleetGroup, "instances"),
			rule([]string{"update"}, fleetGroup, "instances/status"),
			recordEvents(),
		}},
		{Name: endedinstances.Name, New: constructor(func(config *rest.Config, shared *informers.Shared) (*endedinstances.Controller, error) {
			return endedinstances.New(config, shared, endedInstances)
		}), Rules: []rbacv1.PolicyRule{
			rule([]string{"delete"}, fleetGroup, "instances"),
		}},
	}
}

// SeparateDescriptors describe the controllers of `gatehouse controllers`: those of the fleet, and the part
// of the quota controller that sums up instances. Objects are counted by kube-controller-manager
// in a cluster, and by a standalone server itself. kube-controller-manager's role of the same name
// has no right to watch instances, hence this one is deployed under another name.
func SeparateDescriptors(hosts hostlifecycle.Options, endedInstances int) []Descriptor {
	return append(FleetDescriptors(hosts, endedInstances), Descriptor{Name: quota.Name, New: constructor(quota.NewForCluster), Rules: []rbacv1.PolicyRule{
		rule([]string{"list", "watch"}, "", "resourcequotas"),
		rule([]string{"update"}, "", "resourcequotas/status"),
		rule([]string{"list", "watch"}, fleetGroup, "instances"),
	}})
}

// FleetInformers describes the user of the informers that the controllers of the fleet share.
func FleetInformers() Descriptor {
	return Descriptor{Name: informers.Name, Rules: []rbacv1.PolicyRule{
		rule([]string{"list", "watch"}, fleetGroup, "apps", "hostleases", "hosts", "instances", "releases"),
	}}
}

// StandaloneInformers describes the user of the informers that the controllers of a standalone
// server share. The garbage collector watches the metadata of all kinds.
func StandaloneInformers() Descriptor {
	return Descriptor{Name: informers.StandaloneName, Rules: []rbacv1.PolicyRule{everything("list", "watch")}}
}

// LeaderElection describes the user that holds the lease of the controllers in a server.
func LeaderElection() Descriptor {
	return Descriptor{Name: leader.Name, Rules: LeaseRules()}
}

// Backup describes the user that writes events about backups.
func Backup() Descriptor {
	return Descriptor{Name: backup.Name, Rules: []rbacv1.PolicyRule{recordEvents()}}
}

// LeaseRules are the rights to hold the lease of the controllers.
func LeaseRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule([]string{"create"}, coordinationGroup, "leases"),
		{Verbs: []string{"get", "update"}, APIGroups: []string{coordinationGroup}, Resources: []string{"leases"}, ResourceNames: []string{leader.Lease}},
	}
}

// Descriptors describe everything that runs in a standalone server: controllers, informers and the
// election.
func Descriptors() []Descriptor {
	return slices.Concat(StandaloneDescriptors(nil, nil), defaultFleet(), []Descriptor{StandaloneInformers(), FleetInformers(), LeaderElection(), Backup()})
}

func defaultFleet() []Descriptor {
	return FleetDescriptors(hostlifecycle.DefaultOptions(), endedinstances.DefaultThreshold)
}

func namesOf(descriptors []Descriptor) []string {
	names := make([]string, 0, len(descriptors))
	for _, d := range descriptors {
		names = append(names, d.Name)
	}
	return names
}

// ClientNames returns the names of all controllers, of their shared informers and of the election.
func ClientNames() []string { return namesOf(Descriptors()) }

// ClusterControllers returns the names of the controllers that a cluster has itself, and that a
// standalone server runs.
func ClusterControllers() []string {
	return slices.Sorted(slices.Values(namesOf(StandaloneDescriptors(nil, nil))))
}

// FleetControllers returns the names of the controllers of the kinds of the fleet.
func FleetControllers() []string { return namesOf(defaultFleet()) }

// SeparateControllers returns the names of the controllers of gatehouse controllers: those of the
// fleet, and the part of the quota controller that a cluster does not have.
func SeparateControllers() []string {
	return namesOf(SeparateDescriptors(hostlifecycle.DefaultOptions(), endedinstances.DefaultThreshold))
}
