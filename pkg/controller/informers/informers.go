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

// Package informers holds the informers that controllers of one process share, as in
// kube-controller-manager: one watch and one cache for each resource. With informers of its own
// each controller would hold a copy of every object, and the server would send, and the process
// decode, each event once per controller. Read Shared.
package informers

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	certificatesinformers "k8s.io/client-go/informers/certificates/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	storagemigrationinformers "k8s.io/client-go/informers/storagemigration/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/transform"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
)

// Names of the users that watch. Writes are each controller's own.
const (
	// Name is for the controllers of the fleet.
	Name = "shared-informers"
	// StandaloneName is for the controllers that only a standalone server runs.
	StandaloneName = "standalone-informers"
)

// Shared is the informers of controllers that run side by side. The controllers must not modify
// cached objects, and must name their indexes after themselves. The embedded factory has the
// fleet's own kinds.
type Shared struct {
	externalversions.SharedInformerFactory
	typed    informers.SharedInformerFactory
	metadata metadatainformer.SharedInformerFactory
}

// New returns informers that list and watch with the configuration.
func New(config *rest.Config) (*Shared, error) {
	fleet, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	builtin, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	s := NewForClient(fleet)
	s.typed = informers.NewSharedInformerFactoryWithOptions(builtin, 0, informers.WithTransform(transform.WithoutManagedFields))
	s.metadata = metadatainformer.NewSharedInformerFactoryWithOptions(objects, 0, metadatainformer.WithTransform(transform.OnlyOwnership))
	return s, nil
}

// NewForClient returns informers of the fleet's own kinds only.
func NewForClient(client versioned.Interface) *Shared {
	return &Shared{SharedInformerFactory: externalversions.NewSharedInformerFactoryWithOptions(client, 0, externalversions.WithTransform(transform.WithoutManagedFields))}
}

// Namespaces returns the informer of namespaces.
func (s *Shared) Namespaces() coreinformers.NamespaceInformer {
	return s.typed.Core().V1().Namespaces()
}

// ResourceQuotas returns the informer of resource quotas.
func (s *Shared) ResourceQuotas() coreinformers.ResourceQuotaInformer {
	return s.typed.Core().V1().ResourceQuotas()
}

// ClusterRoles returns the informer of cluster roles.
func (s *Shared) ClusterRoles() rbacinformers.ClusterRoleInformer {
	return s.typed.Rbac().V1().ClusterRoles()
}

// CertificateSigningRequests returns the informer of certificate signing requests.
func (s *Shared) CertificateSigningRequests() certificatesinformers.CertificateSigningRequestInformer {
	return s.typed.Certificates().V1().CertificateSigningRequests()
}

// StorageVersionMigrations returns the informer of migrations.
func (s *Shared) StorageVersionMigrations() storagemigrationinformers.StorageVersionMigrationInformer {
	return s.typed.Storagemigration().V1().StorageVersionMigrations()
}

// ResourceInformer returns the one informer of a resource. Its objects are whole if a method of
// Shared returns the informer of the resource, and otherwise *metav1.PartialObjectMetadata with
// the fields that transform.OnlyOwnership keeps: callers use them as metav1.Object.
func (s *Shared) ResourceInformer(resource schema.GroupVersionResource) cache.SharedIndexInformer {
	switch resource {
	case corev1.SchemeGroupVersion.WithResource("namespaces"):
		return s.Namespaces().Informer()
	case corev1.SchemeGroupVersion.WithResource("resourcequotas"):
		return s.ResourceQuotas().Informer()
	case rbacv1.SchemeGroupVersion.WithResource("clusterroles"):
		return s.ClusterRoles().Informer()
	case certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"):
		return s.CertificateSigningRequests().Informer()
	case storagemigrationv1.SchemeGroupVersion.WithResource("storageversionmigrations"):
		return s.StorageVersionMigrations().Informer()
	}
	return s.metadata.ForResource(resource).Informer()
}

// StartWithContext starts the informers that have been requested since the last call. They run
// until the context ends.
func (s *Shared) StartWithContext(ctx context.Context) {
	s.SharedInformerFactory.StartWithContext(ctx)
	if s.typed != nil {
		s.typed.StartWithContext(ctx)
		s.metadata.Start(ctx.Done())
	}
}

// HasSynced reports whether all informers that have been started have synced.
func (s *Shared) HasSynced() bool {
	ended := make(chan struct{})
	close(ended) // the factories then return the state as it is
	return allSynced(s.WaitForCacheSync(ended)) && (s.typed == nil ||
		allSynced(s.typed.WaitForCacheSync(ended)) && allSynced(s.metadata.WaitForCacheSync(ended)))
}

func allSynced[K comparable](informers map[K]bool) bool {
	for _, synced := range informers {
		if !synced {
			return false
		}
	}
	return true
}

// Run starts the informers, and returns when the context has ended and the last of them has
// returned. Controllers that are constructed later call StartWithContext themselves. It works
// once.
func (s *Shared) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	s.StartWithContext(ctx)
	<-ctx.Done()
	s.Shutdown()
	if s.typed != nil {
		s.typed.Shutdown()
		s.metadata.Shutdown()
	}
}
