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

package instance

import (
	"fmt"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/tokenrequest"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage is every endpoint of instances.
type Storage struct {
	Instance *REST
	Status   *StatusREST
	Binding  *BindingREST
	// Token is nil without an issuer of tokens.
	Token *TokenREST
	// Configuration is nil without a reader of ConfigMaps and Secrets.
	Configuration *ConfigurationREST
}

// NewStorage builds the storage of instances. The binding endpoint reads hosts from hosts, the token
// endpoint gets tokens from issuer, and the configuration endpoint reads from objects. The last two
// may be nil.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, hosts rest.Getter, issuer tokenrequest.Issuer, objects ObjectReader) (*Storage, error) {
	main := base.NewSpecStatusStrategy(base.NewStrategy(scheme, true), rules{})
	store, err := base.NewStore(base.Resource{
		Resource:         fleet.Resource("instances"),
		Singular:         fleet.Resource("instance"),
		ShortNames:       []string{"inst"},
		Categories:       []string{"all", "fleet"},
		Versions:         scheme.PrioritizedVersionsForGroup(fleet.GroupName),
		New:              func() runtime.Object { return &fleet.Instance{} },
		NewList:          func() runtime.Object { return &fleet.InstanceList{} },
		Strategy:         strategy{main},
		SelectableFields: selectableFields,
		// The agent of every host holds one watch with this field selector.
		WatchIndex: v1alpha1.InstanceHostNameField,
		Indexes: map[string]storage.IndexerFunc{
			v1alpha1.InstanceHostNameField: func(obj runtime.Object) string { return obj.(*fleet.Instance).Spec.HostName },
			v1alpha1.InstancePhaseField:    func(obj runtime.Object) string { return string(obj.(*fleet.Instance).Status.Phase) },
		},
		Table: base.Table(
			base.NameColumn[*fleet.Instance](),
			base.Column[*fleet.Instance]{Name: "Ready", Description: "Number of ready containers and of all containers.", Value: readyCell},
			base.Column[*fleet.Instance]{Name: "Status", Description: "Phase, or the reason why the instance does not reach the next phase.", Value: statusCell},
			base.Column[*fleet.Instance]{Name: "Restarts", Type: "integer", Description: "Total number of restarts of the containers.", Value: restartsCell},
			base.AgeColumn[*fleet.Instance](),
			base.Column[*fleet.Instance]{Name: "IP", Wide: true, Description: "IP address of the instance.", Value: func(i *fleet.Instance) any { return orNone(i.Status.InstanceIP) }},
			base.Column[*fleet.Instance]{Name: "Host", Wide: true, Description: "Host to which the instance is bound.", Value: func(i *fleet.Instance) any { return orNone(i.Spec.HostName) }},
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	all := &Storage{Instance: &REST{store}, Status: &StatusREST{store.NewStatusREST(statusStrategy{main.ForStatus()})}, Binding: &BindingREST{store: store.Store, hosts: hosts}}
	if issuer != nil {
		all.Token = &TokenREST{instances: store, issuer: issuer}
	}
	if objects != nil {
		all.Configuration = &ConfigurationREST{instances: store, objects: objects}
	}
	return all, nil
}

// selectableFields must name the same fields as v1alpha1.InstanceSelectableFields.
func selectableFields(obj runtime.Object, set fields.Set) error {
	instance, ok := obj.(*fleet.Instance)
	if !ok {
		return fmt.Errorf("%T is no Instance", obj)
	}
	set[v1alpha1.InstanceHostNameField] = instance.Spec.HostName
	set[v1alpha1.InstanceServiceAccountNameField] = instance.Spec.ServiceAccountName
	set[v1alpha1.InstanceRestartPolicyField] = string(instance.Spec.RestartPolicy)
	set[v1alpha1.InstancePhaseField] = string(instance.Status.Phase)
	return nil
}

func orNone(value string) string {
	if value == "" {
		return "<none>"
	}
	return value
}

func readyCell(instance *fleet.Instance) any {
	ready := 0
	for _, status := range instance.Status.ContainerStatuses {
		if status.Ready {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, len(instance.Spec.Containers))
}

func restartsCell(instance *fleet.Instance) any {
	restarts := int64(0)
	for _, status := range instance.Status.ContainerStatuses {
		restarts += int64(status.RestartCount)
	}
	return restarts
}

// statusCell returns the status as for pods: the most urgent one.
func statusCell(instance *fleet.Instance) any {
	if instance.DeletionTimestamp != nil {
		return "Terminating"
	}
	if instance.Status.Reason != "" {
		return instance.Status.Reason
	}
	for _, status := range instance.Status.ContainerStatuses {
		switch state := status.State; {
		case state.Waiting != nil && state.Waiting.Reason != "":
			return state.Waiting.Reason
		case state.Terminated != nil && state.Terminated.ExitCode != 0 && state.Terminated.Reason != "":
			return state.Terminated.Reason
		}
	}
	return string(instance.Status.Phase)
}
