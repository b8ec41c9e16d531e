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

package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metainternalversionscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/request"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	"k8s.io/client-go/applyconfigurations/flowcontrol/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	flowcontrolclient "k8s.io/client-go/kubernetes/typed/flowcontrol/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// NewStoredFlowControl returns API priority and fairness that follows the FlowSchemas and priority levels
// of the factory, which are those of this server, and reports in the status of a FlowSchema whether its
// level exists, until the context ends. Until the factory has read them, it has the mandatory ones.
// concurrency is the number of seats, and loopback the configuration of a client of this server.
func NewStoredFlowControl(ctx context.Context, factory informers.SharedInformerFactory, loopback *rest.Config, concurrency int) (utilflowcontrol.Interface, error) {
	client, err := flowcontrolclient.NewForConfig(loopback)
	if err != nil {
		return nil, fmt.Errorf("client of flow control: %w", err)
	}
	return utilflowcontrol.New(factory, servingClient{client, ctx}, concurrency), nil
}

// servingClient writes the status of FlowSchemas while the server serves. The library logs an error for each
// write to a server that has stopped to listen.
type servingClient struct {
	flowcontrolclient.FlowcontrolV1Interface
	serving context.Context
}

func (c servingClient) FlowSchemas() flowcontrolclient.FlowSchemaInterface {
	return servingFlowSchemas{c.FlowcontrolV1Interface.FlowSchemas(), c.serving}
}

type servingFlowSchemas struct {
	flowcontrolclient.FlowSchemaInterface
	serving context.Context
}

// ApplyStatus does nothing once the server stops.
func (s servingFlowSchemas) ApplyStatus(ctx context.Context, schema *v1.FlowSchemaApplyConfiguration, options metav1.ApplyOptions) (*flowcontrolv1.FlowSchema, error) {
	if s.serving.Err() != nil {
		return &flowcontrolv1.FlowSchema{}, nil
	}
	applied, err := s.FlowSchemaInterface.ApplyStatus(ctx, schema, options)
	if s.serving.Err() != nil {
		return &flowcontrolv1.FlowSchema{}, nil
	}
	return applied, err
}

// NewStaticFlowControl returns API priority and fairness with the bootstrap FlowSchemas and priority
// levels of Kubernetes, and FlowSchemas for hosts and for the users of controllers. They are static:
// the server does not serve the flowcontrol group, and without any objects flow control would wait for
// them forever. concurrency is the number of seats. The factory must be started before the server is
// ready.
func NewStaticFlowControl(factory informers.SharedInformerFactory, concurrency int, controllers []string) utilflowcontrol.Interface {
	// The first registration of a type wins, so the controller gets these informers from the factory.
	var schemas flowcontrolv1.FlowSchemaList
	for _, schema := range flowSchemas(controllers) {
		schemas.Items = append(schemas.Items, *schema)
	}
	var levels flowcontrolv1.PriorityLevelConfigurationList
	for _, level := range priorityLevels() {
		levels.Items = append(levels.Items, *level)
	}
	registerStatic(factory, &flowcontrolv1.FlowSchema{}, &schemas)
	registerStatic(factory, &flowcontrolv1.PriorityLevelConfiguration{}, &levels)
	return utilflowcontrol.New(factory, staticFlowcontrolClient{}, concurrency)
}

// registerStatic registers an informer of the type with a list that never changes.
func registerStatic(factory informers.SharedInformerFactory, example, list runtime.Object) {
	factory.InformerFor(example, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
		return cache.NewSharedIndexInformer(&cache.ListWatch{
			ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) { return list.DeepCopyObject(), nil },
			WatchFuncWithContext: func(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
				if options.SendInitialEvents != nil && *options.SendInitialEvents {
					return nil, fmt.Errorf("static objects are listed, not streamed")
				}
				return watch.NewFake(), nil // never sends anything
			},
		}, example, 0, cache.Indexers{})
	})
}

// staticFlowcontrolClient drops the status writes of the flow control controller: static objects are
// not stored.
type staticFlowcontrolClient struct {
	flowcontrolclient.FlowcontrolV1Interface
}

func (staticFlowcontrolClient) FlowSchemas() flowcontrolclient.FlowSchemaInterface {
	return staticFlowSchemas{}
}

type staticFlowSchemas struct {
	flowcontrolclient.FlowSchemaInterface
}

func (staticFlowSchemas) ApplyStatus(context.Context, *v1.FlowSchemaApplyConfiguration, metav1.ApplyOptions) (*flowcontrolv1.FlowSchema, error) {
	return &flowcontrolv1.FlowSchema{}, nil
}

// WithIndexedWatches excludes watches that use a watch index from the cost of writes. The library
// charges each write for every watch of its resource, and supports only one index: spec.nodeName of
// pods (pkg/util/flowcontrol/watch_tracker.go). With ten thousand hosts watching instances by
// spec.hostName, every write would hold ten seats for half a second. indexes contains the watch
// index of each resource that has one.
func WithIndexedWatches(flowControl utilflowcontrol.Interface, indexes map[schema.GroupResource]string) utilflowcontrol.Interface {
	return indexedFlowControl{flowControl, indexes}
}

type indexedFlowControl struct {
	utilflowcontrol.Interface
	indexes map[schema.GroupResource]string
}

// RegisterWatch does not register indexed watches: a write costs only those that match it.
func (f indexedFlowControl) RegisterWatch(r *http.Request) utilflowcontrol.ForgetWatchFunc {
	if usesWatchIndex(f.indexes, r) {
		return nil
	}
	return f.Interface.RegisterWatch(r)
}

// usesWatchIndex reports whether a request is a watch that a watch index serves.
func usesWatchIndex(indexes map[schema.GroupResource]string, r *http.Request) bool {
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok || info.Verb != "watch" {
		return false
	}
	index, ok := indexes[schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}]
	if !ok {
		return false
	}
	options := metainternalversion.ListOptions{}
	if err := metainternalversionscheme.ParameterCodec.DecodeParameters(r.URL.Query(), metav1.SchemeGroupVersion, &options); err != nil || options.FieldSelector == nil {
		return false
	}
	// An empty value matches all unbound objects: writes of those wake the watch.
	value, exact := options.FieldSelector.RequiresExactMatch(index)
	return exact && value != ""
}
