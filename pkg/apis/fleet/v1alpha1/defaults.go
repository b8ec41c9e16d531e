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

package v1alpha1

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Constant defaults are the +default markers in types_*.go. This file has the defaults that
// depend on other fields.

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_Container sets imagePullPolicy as Kubernetes does: Always for an image that
// is tagged latest or not at all, IfNotPresent for one with another tag or a digest.
func SetDefaults_Container(c *Container) {
	if c.ImagePullPolicy != "" {
		return
	}
	if imageFloats(c.Image) {
		c.ImagePullPolicy = PullAlways
	} else {
		c.ImagePullPolicy = PullIfNotPresent
	}
}

// SetDefaults_ContainerPort leaves the protocol absent, and keeps the generated code from setting
// the default of its +default marker, which is for the keys of server-side apply only. A client-side
// apply compares the list of ports as a whole, because a strategic merge patch has one merge key and
// ports have two: with a default filled in, it would find a difference, and write, each time.
// Readers take an absent protocol for TCP.
// +k8s:defaulter-gen=covers
func SetDefaults_ContainerPort(*ContainerPort) {}

// SetDefaults_Instance sets absent requests to the limits, as Kubernetes does for pods, so that
// readers need requests only. It is a default of Instance and not of Container, so that templates
// stay as they were written.
func SetDefaults_Instance(instance *Instance) {
	for i := range instance.Spec.Containers {
		resources := &instance.Spec.Containers[i].Resources
		for name, limit := range resources.Limits {
			if _, found := resources.Requests[name]; found {
				continue
			}
			if resources.Requests == nil {
				resources.Requests = ResourceList{}
			}
			resources.Requests[name] = limit.DeepCopy()
		}
	}
}

// SetDefaults_HostStatus sets allocatable to capacity if it is absent, as Kubernetes does for nodes.
// An empty map counts as absent: storage does not keep it, so the next read would default it anyway.
func SetDefaults_HostStatus(s *HostStatus) {
	if len(s.Allocatable) == 0 && len(s.Capacity) > 0 {
		s.Allocatable = s.Capacity.DeepCopy()
	}
}

// SetDefaults_AppStrategy sets maxSurge and maxUnavailable to a quarter of the replicas, as Kubernetes
// does for deployments. It runs before the default of the type.
func SetDefaults_AppStrategy(strategy *AppStrategy) {
	if strategy.Type != "" && strategy.Type != RollingUpdateAppStrategy {
		return
	}
	if strategy.RollingUpdate == nil {
		strategy.RollingUpdate = &RollingUpdateApp{}
	}
	quarter := intstr.FromString("25%")
	if strategy.RollingUpdate.MaxUnavailable == nil {
		maxUnavailable := quarter
		strategy.RollingUpdate.MaxUnavailable = &maxUnavailable
	}
	if strategy.RollingUpdate.MaxSurge == nil {
		maxSurge := quarter
		strategy.RollingUpdate.MaxSurge = &maxSurge
	}
}

// imageFloats reports whether the image of a reference can change over time: it has no digest, and
// its tag is latest or absent. A colon before the last slash belongs to the port of the registry.
func imageFloats(image string) bool {
	if strings.Contains(image, "@") {
		return false
	}
	name := image[strings.LastIndex(image, "/")+1:]
	_, tag, tagged := strings.Cut(name, ":")
	return !tagged || tag == "latest"
}
