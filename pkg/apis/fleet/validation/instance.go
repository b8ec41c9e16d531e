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

package validation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// containerResources are the resources without a domain that a container may request.
var containerResources = []fleet.ResourceName{fleet.ResourceCPU, fleet.ResourceMemory}

// ValidateInstance checks a new instance. Only the binding endpoint sets its host.
func ValidateInstance(instance *fleet.Instance) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&instance.ObjectMeta, true, ValidateObjectName, field.NewPath("metadata"))
	errs = append(errs, ValidateInstanceSpec(&instance.Spec, field.NewPath("spec"))...)
	if instance.Spec.HostName != "" {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "hostName"), "an instance is created unbound; create a Binding at its binding subresource instead"))
	}
	return boundsFirst(instance, nil, errs)
}

// ValidateInstanceSpec checks the spec of an instance, or of a template for instances.
func ValidateInstanceSpec(spec *fleet.InstanceSpec, path *field.Path) field.ErrorList {
	hostPorts := map[fleet.ContainerPort]bool{}
	errs, volumes := validateVolumes(spec.Volumes, path.Child("volumes"))
	for i := range spec.Containers {
		container, at := &spec.Containers[i], path.Child("containers").Index(i)
		errs = append(errs, validateContainer(container, hostPorts, at)...)
		errs = append(errs, validateUse(container, volumes, at)...)
		if spec.HostNetwork {
			errs = append(errs, validateHostPorts(container, at)...)
		}
	}
	errs = append(errs, metav1validation.ValidateLabels(spec.HostSelector, path.Child("hostSelector"))...)
	for i := range spec.Tolerations {
		errs = append(errs, validateToleration(&spec.Tolerations[i], path.Child("tolerations").Index(i))...)
	}
	return errs
}

// validateContainer checks one container. hostPorts collects the ports that the instance
// takes on its host: no two containers can have the same.
func validateContainer(container *fleet.Container, hostPorts map[fleet.ContainerPort]bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if container.Image != strings.TrimSpace(container.Image) {
		errs = append(errs, field.Invalid(path.Child("image"), container.Image, "must not begin or end with white space"))
	}
	errs = append(errs, validatePorts(container.Ports, hostPorts, path.Child("ports"))...)
	return append(errs, validateResources(&container.Resources, path.Child("resources"))...)
}

// protocols are what a port may name, in the order of the answer that refuses others.
var protocols = []fleet.Protocol{fleet.ProtocolSCTP, fleet.ProtocolTCP, fleet.ProtocolUDP}

// validatePorts checks the ports of one container. The declarative rule finds two ports of the
// same number and protocol only where both name the protocol, and takes a field with a default
// for one that is never absent.
func validatePorts(ports []fleet.ContainerPort, hostPorts map[fleet.ContainerPort]bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	portNames, seen := map[string]bool{}, map[fleet.ContainerPort]fleet.Protocol{}
	for i, port := range ports {
		at := path.Index(i)
		key := fleet.ContainerPort{ContainerPort: port.ContainerPort, Protocol: protocolOf(port)}
		if before, found := seen[key]; found && before != port.Protocol {
			errs = append(errs, field.Duplicate(at, fmt.Sprintf("%d/%s", port.ContainerPort, key.Protocol)))
		}
		seen[key] = port.Protocol
		if !slices.Contains(protocols, key.Protocol) {
			errs = append(errs, field.NotSupported(at.Child("protocol"), port.Protocol, protocols))
		}
		if port.Name != "" {
			for _, message := range utilvalidation.IsValidPortName(port.Name) {
				errs = append(errs, field.Invalid(at.Child("name"), port.Name, message))
			}
			if portNames[port.Name] {
				errs = append(errs, field.Duplicate(at.Child("name"), port.Name))
			}
			portNames[port.Name] = true
		}
		if port.HostPort != 0 {
			key := fleet.ContainerPort{HostPort: port.HostPort, Protocol: protocolOf(port)}
			if hostPorts[key] {
				errs = append(errs, field.Duplicate(at.Child("hostPort"), port.HostPort))
			}
			hostPorts[key] = true
		}
	}
	return errs
}

// protocolOf is the protocol of a port, which may be absent.
func protocolOf(port fleet.ContainerPort) fleet.Protocol {
	return cmp.Or(port.Protocol, fleet.ProtocolTCP)
}

// withProtocols is the containers with the protocol of every port filled in, for comparisons.
func withProtocols(containers []fleet.Container) []fleet.Container {
	filled := slices.Clone(containers)
	for i := range filled {
		filled[i].Ports = slices.Clone(filled[i].Ports)
		for k, port := range filled[i].Ports {
			filled[i].Ports[k].Protocol = protocolOf(port)
		}
	}
	return filled
}

func validateResources(resources *fleet.ResourceRequirements, path *field.Path) field.ErrorList {
	errs := validateResourceList(resources.Limits, containerResources, path.Child("limits"))
	errs = append(errs, validateResourceList(resources.Requests, containerResources, path.Child("requests"))...)
	for _, name := range slices.Sorted(maps.Keys(resources.Requests)) {
		request, at := resources.Requests[name], path.Child("requests").Key(string(name))
		limit, limited := resources.Limits[name]
		switch {
		case isExtended(name) && (!limited || request.Cmp(limit) != 0):
			// As in Kubernetes: what cannot be shared cannot be overcommitted.
			errs = append(errs, field.Invalid(at, request.String(), "an extended resource needs a limit that equals its request"))
		case limited && request.Cmp(limit) > 0:
			errs = append(errs, field.Invalid(at, request.String(), "must be less than or equal to the limit of "+limit.String()))
		}
	}
	return errs
}

func validateToleration(toleration *fleet.Toleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if toleration.Key == "" && toleration.Operator != fleet.TolerationOpExists {
		errs = append(errs, field.Invalid(path.Child("operator"), toleration.Operator, "must be Exists when key is empty"))
	}
	if toleration.Operator == fleet.TolerationOpExists && toleration.Value != "" {
		errs = append(errs, field.Invalid(path.Child("value"), toleration.Value, "must be empty when operator is Exists"))
	}
	if toleration.TolerationSeconds != nil && toleration.Effect != fleet.TaintEffectNoExecute {
		errs = append(errs, field.Invalid(path.Child("effect"), toleration.Effect, "must be NoExecute when tolerationSeconds is set"))
	}
	return errs
}

// ValidateInstanceUpdate checks a write to an instance's spec: only the images
// may change, activeDeadlineSeconds be set or become shorter, and tolerations be added.
func ValidateInstanceUpdate(instance, old *fleet.Instance) field.ErrorList {
	spec, oldSpec, path := &instance.Spec, &old.Spec, field.NewPath("spec")
	errs := boundsFirst(instance, old, ValidateInstanceSpec(spec, path))
	if spec.HostName != oldSpec.HostName {
		errs = append(errs, field.Forbidden(path.Child("hostName"), "may be set only by creating a Binding at the binding subresource, and never changes after that"))
	}
	errs = append(errs, validateContainersUpdate(spec.Containers, oldSpec.Containers, path.Child("containers"))...)
	errs = append(errs, validateDeadlineUpdate(spec.ActiveDeadlineSeconds, oldSpec.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	errs = append(errs, validateOnlyAdded(spec.Tolerations, oldSpec.Tolerations, path.Child("tolerations"))...)
	errs = append(errs, validateUseUpdate(spec, oldSpec, path)...)
	errs = append(errs, apivalidation.ValidateImmutableField(spec.HostSelector, oldSpec.HostSelector, path.Child("hostSelector"))...)
	errs = append(errs, apivalidation.ValidateImmutableField(spec.RestartPolicy, oldSpec.RestartPolicy, path.Child("restartPolicy"))...)
	errs = append(errs, apivalidation.ValidateImmutableField(spec.ServiceAccountName, oldSpec.ServiceAccountName, path.Child("serviceAccountName"))...)
	return append(errs, apivalidation.ValidateImmutableField(spec.TerminationGracePeriodSeconds, oldSpec.TerminationGracePeriodSeconds, path.Child("terminationGracePeriodSeconds"))...)
}

// validateContainersUpdate lets the images change and nothing else.
func validateContainersUpdate(containers, old []fleet.Container, path *field.Path) field.ErrorList {
	if len(containers) != len(old) {
		return field.ErrorList{field.Forbidden(path, "containers cannot be added or removed after the instance was created; only their images may change")}
	}
	containers, old = withProtocols(containers), withProtocols(old)
	var errs field.ErrorList
	for i := range containers {
		container := containers[i]
		container.Image = old[i].Image
		if !apiequality.Semantic.DeepEqual(container, old[i]) {
			errs = append(errs, field.Forbidden(path.Index(i), "only the image of a container may change after the instance was created"))
		}
	}
	return errs
}

func validateDeadlineUpdate(deadline, old *int64, path *field.Path) field.ErrorList {
	switch {
	case old == nil:
		return nil
	case deadline == nil:
		return field.ErrorList{field.Forbidden(path, "cannot be removed once it is set")}
	case *deadline > *old:
		return field.ErrorList{field.Invalid(path, *deadline, "may only become shorter")}
	}
	return nil
}

func validateOnlyAdded(tolerations, old []fleet.Toleration, path *field.Path) field.ErrorList {
	for i := range old {
		if !slices.ContainsFunc(tolerations, func(t fleet.Toleration) bool { return apiequality.Semantic.DeepEqual(t, old[i]) }) {
			return field.ErrorList{field.Forbidden(path, "existing tolerations can neither change nor be removed; only new ones may be added")}
		}
	}
	return nil
}

// ValidateInstanceStatusUpdate checks a write to an instance's status.
func ValidateInstanceStatusUpdate(instance, old *fleet.Instance) field.ErrorList {
	errs := ValidateInstanceUpdate(instance, old)
	status, path := &instance.Status, field.NewPath("status")
	errs = append(errs, validatePhaseUpdate(status.Phase, old.Status.Phase, path.Child("phase"))...)
	errs = append(errs, validateConditions(status.Conditions, path.Child("conditions"))...)
	errs = append(errs, validateIP(status.HostIP, path.Child("hostIP"))...)
	errs = append(errs, validateIP(status.InstanceIP, path.Child("instanceIP"))...)
	for i := range status.ContainerStatuses {
		at := path.Child("containerStatuses").Index(i)
		errs = append(errs, validateContainerState(&status.ContainerStatuses[i].State, at.Child("state"))...)
		errs = append(errs, validateContainerState(&status.ContainerStatuses[i].LastState, at.Child("lastState"))...)
	}
	return errs
}

// validatePhaseUpdate keeps an instance that has ended at its end. The quota has already given
// back what the instance used: one that ran again would use it beside the instance that took its
// place.
func validatePhaseUpdate(phase, old fleet.InstancePhase, path *field.Path) field.ErrorList {
	if phase == old || !old.Ended() {
		return nil
	}
	return field.ErrorList{field.Invalid(path, phase, fmt.Sprintf("must stay %s: an instance that has ended does not run again; delete it and create another", old))}
}

func validateContainerState(state *fleet.ContainerState, path *field.Path) field.ErrorList {
	set := 0
	for _, isSet := range []bool{state.Waiting != nil, state.Running != nil, state.Terminated != nil} {
		if isSet {
			set++
		}
	}
	if set > 1 {
		return field.ErrorList{field.Forbidden(path, "at most one of waiting, running and terminated may be set")}
	}
	return nil
}

// ValidateBinding checks the body of a create at an instance's binding endpoint.
func ValidateBinding(binding *fleet.Binding) field.ErrorList {
	path := field.NewPath("target")
	// The instance gets the annotations, and could never be written again with bad ones.
	errs := apivalidation.ValidateAnnotations(binding.Annotations, field.NewPath("metadata", "annotations"))
	if binding.Target.Kind != "Host" {
		errs = append(errs, field.NotSupported(path.Child("kind"), binding.Target.Kind, []string{"Host"}))
	}
	if binding.Target.Name == "" {
		return append(errs, field.Required(path.Child("name"), "name the host that shall run the instance"))
	}
	for _, message := range ValidateObjectName(binding.Target.Name, false) {
		errs = append(errs, field.Invalid(path.Child("name"), binding.Target.Name, message))
	}
	return errs
}
