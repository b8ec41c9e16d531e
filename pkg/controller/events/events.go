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

// Package events is how controllers tell what they did, as Events that kubectl describe shows.
// Read New.
package events

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	fleetscheme "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/scheme"
)

// Recorder writes the events of one controller. What cannot be written, because the server
// is away or the queue is full, is lost: events are a help, not a record.
type Recorder struct {
	record.EventRecorder
	broadcaster record.EventBroadcaster
	sink        record.EventSink
}

// New makes a recorder of the controller's name. Like events are counted in one, and floods
// about one object are held back, as client-go does it.
func New(config *rest.Config, controller string) (*Recorder, error) {
	client, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, fleetscheme.AddToScheme} {
		if err := add(known); err != nil {
			return nil, err
		}
	}
	broadcaster := record.NewBroadcaster()
	return &Recorder{
		EventRecorder: broadcaster.NewRecorder(known, corev1.EventSource{Component: controller}),
		broadcaster:   broadcaster,
		sink:          &typedcorev1.EventSinkImpl{Interface: client.Events("")},
	}, nil
}

// Run writes what is recorded, also before it was called, until the context ends.
func (r *Recorder) Run(ctx context.Context) {
	r.broadcaster.StartRecordingToSink(r.sink)
	<-ctx.Done()
	r.broadcaster.Shutdown()
}
