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
	"k8s.io/apimachinery/pkg/api/resource"
)

// ResourceName is the name of a countable resource of a host. Gatehouse defines cpu (cores),
// memory (bytes) and instances (slots); every other name is an extended resource with a domain
// prefix, such as example.com/gpu.
type ResourceName string

const (
	// ResourceCPU is processor time, in cores: 500m is half a core.
	ResourceCPU ResourceName = "cpu"
	// ResourceMemory is working memory, in bytes: 1Gi is 2^30 bytes.
	ResourceMemory ResourceName = "memory"
	// ResourceInstances is the number of instances that a host can run at the same time.
	ResourceInstances ResourceName = "instances"
)

// ResourceList maps names of resources to amounts.
type ResourceList map[ResourceName]resource.Quantity
