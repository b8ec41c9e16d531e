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

// Package informers is what the controllers of the fleet know of it together.
//
// Each of them needs all instances, and most need more than one kind. With informers of its
// own each would hold its own copy of everything, and the server would send, and everybody
// decode, each event as often as there are controllers. Hence one watch and one copy of a kind
// for all, as in kube-controller-manager.
package informers

import (
	"context"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/transform"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
)

// Name is, with a prefix, the user who watches. What is changed is changed by each controller
// as itself.
const Name = "shared-informers"

// Shared are the informers of controllers that run side by side for as long as one term lasts.
// Which kinds there are is what the controllers ask for when they are made. They must not
// change what they find here, and name their indexes so that no two are alike.
type Shared struct {
	externalversions.SharedInformerFactory
}

// New makes informers that reach the server by config.
func New(config *rest.Config) (*Shared, error) {
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return NewForClient(client), nil
}

// NewForClient makes informers of a client, for tests that hold it.
func NewForClient(client versioned.Interface) *Shared {
	return &Shared{externalversions.NewSharedInformerFactoryWithOptions(client, 0, externalversions.WithTransform(transform.WithoutManagedFields))}
}

// Run watches until the context ends. All controllers must have been made before: only what
// they have asked for by then is watched. It works once.
func (s *Shared) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	s.StartWithContext(ctx)
	<-ctx.Done()
	s.Shutdown()
}
