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

package server

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// NewWarnings returns the channel of Inputs.Warnings. It has space for the warnings of the time before events can be
// written.
func NewWarnings() chan string { return make(chan string, 8) }

// warningEvents writes the warnings of the storage as events of the namespace default. The log has them, too.
type warningEvents struct {
	warnings <-chan string
	events   v1.EventInterface
	replica  string
}

func newWarningEvents(in Inputs, loopback *rest.Config) (*warningEvents, error) {
	client, err := v1.NewForConfig(loopback)
	if err != nil {
		return nil, err
	}
	return &warningEvents{in.Warnings, client.Events(metav1.NamespaceDefault), in.ReplicaIdentity()}, nil
}

// Run implements manager.Runner.
func (w *warningEvents) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case message := <-w.warnings:
			now := metav1.Now()
			_, err := w.events.Create(ctx, &corev1.Event{
				ObjectMeta:     metav1.ObjectMeta{GenerateName: "gatehouse-storage.", Namespace: metav1.NamespaceDefault},
				InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: metav1.NamespaceDefault},
				Type:           corev1.EventTypeWarning, Reason: "StorageNearlyFull", Message: message,
				Source: corev1.EventSource{Component: "gatehouse", Host: w.replica}, ReportingController: "gatehouse", ReportingInstance: w.replica,
				FirstTimestamp: now, LastTimestamp: now, Count: 1,
			}, metav1.CreateOptions{})
			if err != nil && ctx.Err() == nil {
				klog.ErrorS(err, "Writing an event of the storage failed", "message", message)
			}
		}
	}
}
