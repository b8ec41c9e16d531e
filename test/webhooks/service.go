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

package webhooks

import (
	"net/http"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func service(s *scene) {
	if s.Standalone {
		serviceNowhere(s, "clientConfig.service: a standalone server has no services, so nowhere/hook leads nowhere: use clientConfig.url")
		return
	}
	serviceNowhere(s, `clientConfig.service: nowhere/hook leads nowhere: service "hook" not found`)
	serviceOfTheCluster(s.within(s.T))
}

// serviceNowhere uses a service that does not exist.
func serviceNowhere(s *scene, words string) {
	webhook := admissionregistrationv1.ValidatingWebhook{
		Name: "service.gates.example.com", Rules: rule(instances, admissionregistrationv1.Create), FailurePolicy: fail,
		ClientConfig: admissionregistrationv1.WebhookClientConfig{
			Service:  &admissionregistrationv1.ServiceReference{Namespace: "nowhere", Name: "hook", Port: ptr.To[int32](443)},
			CABundle: s.hooks.authority,
		},
		// Objects of later scenes in the namespace do not match this webhook.
		ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"nowhere": "true"}},
	}
	s.validate(webhook)
	lost := s.instance(s.name("service"))
	lost.Labels = webhook.ObjectSelector.MatchLabels
	_, err := s.create(lost)
	s.refused("a create", err, http.StatusInternalServerError, `failed calling webhook "service.gates.example.com"`, words)
}

// serviceOfTheCluster routes a service out of the cluster, to the test: DNS cannot resolve the name
// of the service here, but the certificate must contain it.
func serviceOfTheCluster(s *scene) {
	name := s.name("hook")
	hooks := startHooksAs(s.T, name+"."+s.Namespace+".svc")
	hooks.set("service", deny("asked by service"))
	webhook := admissionregistrationv1.ValidatingWebhook{
		Name: "service.gates.example.com", Rules: rule(instances, admissionregistrationv1.Create), FailurePolicy: fail,
		ClientConfig: hooks.service(s.T, s.Namespace, name, "service"),
	}
	if _, err := s.cluster.CoreV1().Services(s.Namespace).Create(s.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.validate(webhook)
	const words = `admission webhook "service.gates.example.com" denied the request: asked by service`
	for _, server := range s.servers {
		s.eventually("every server finds the service", func() (bool, error) {
			_, err := server.FleetV1alpha1().Instances(s.Namespace).Create(s.Context(), s.instance(s.name("found")), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err != nil && strings.Contains(err.Error(), words), nil
		})
	}
	_, err := s.create(s.instance(s.name("refused")))
	s.refused("a create", err, http.StatusForbidden, words)
	hooks.set("service", allow)
	hooks.forget("service")
	created := s.mustCreate(s.name("allowed"))
	if calls := hooks.calls("service"); len(calls) != 1 || calls[0].Name != created.Name {
		s.Errorf("the webhook was called %d times for %s, not once", len(calls), created.Name)
	}
}
