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

// Package events provides the event recorder of controllers. Read New.
package events

import (
	"context"
	"fmt"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	fleetscheme "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/scheme"
)

// Recorder records the events of one controller. Events that cannot be written, because the server
// is unreachable or the queue is full, are lost: they are best effort.
type Recorder struct {
	record.EventRecorder
	broadcaster record.EventBroadcaster
	sink        record.EventSink
}

// New returns a recorder with the controller's name. client-go aggregates equal events, and limits
// the rate of events about one object.
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
		EventRecorder: shortened{broadcaster.NewRecorder(known, corev1.EventSource{Component: controller})},
		broadcaster:   broadcaster,
		sink:          &typedcorev1.EventSinkImpl{Interface: client.Events("")},
	}, nil
}

// maxMessage is the server's bound of the message of an event, in bytes.
const maxMessage = 1024

// shortened truncates messages that the server would refuse: some contain the message of a webhook
// or a policy.
type shortened struct{ record.EventRecorder }

// Event implements record.EventRecorder.
func (s shortened) Event(object runtime.Object, eventType, reason, message string) {
	s.EventRecorder.Event(object, eventType, reason, cut(message))
}

// Eventf implements record.EventRecorder.
func (s shortened) Eventf(object runtime.Object, eventType, reason, format string, args ...any) {
	s.EventRecorder.Event(object, eventType, reason, cut(fmt.Sprintf(format, args...)))
}

// AnnotatedEventf implements record.EventRecorder.
func (s shortened) AnnotatedEventf(object runtime.Object, annotations map[string]string, eventType, reason, format string, args ...any) {
	s.EventRecorder.AnnotatedEventf(object, annotations, eventType, reason, "%s", cut(fmt.Sprintf(format, args...)))
}

// cut truncates a message at a character boundary.
func cut(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	const more = "..."
	end := maxMessage - len(more)
	for end > 0 && !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + more
}

// Run writes events until the context ends, including those recorded before it was called.
func (r *Recorder) Run(ctx context.Context) {
	defer r.Start()()
	<-ctx.Done()
}

// Start begins to write events and returns the function that ends it, after which there are no more.
func (r *Recorder) Start() (end func()) {
	r.broadcaster.StartRecordingToSink(r.sink)
	return r.broadcaster.Shutdown
}
