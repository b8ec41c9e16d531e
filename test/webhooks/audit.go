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
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// failureAnnotation has the failures of policies with the action Audit for allowed objects.
const failureAnnotation = "validation.policy.admission.k8s.io/validation_failure"

func audited(s *scene) {
	const hook = "audit.gates.example.com"
	s.hooks.set("audit", func(*http.Request, *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: true, AuditAnnotations: map[string]string{"looked": "twice"}}
	})
	s.validate(admissionregistrationv1.ValidatingWebhook{Name: hook, ClientConfig: s.hooks.client("audit"), Rules: rule(instances, admissionregistrationv1.Create)})
	s.judge(admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: policyRule(instances, admissionregistrationv1.Create),
		Validations:      []admissionregistrationv1.Validation{{Expression: "has(object.metadata.labels)", Message: "labels help to find it"}},
		AuditAnnotations: []admissionregistrationv1.AuditAnnotation{
			{Key: "image", ValueExpression: "'it runs ' + object.spec.containers[0].image"},
			{Key: "finder", ValueExpression: "object.metadata.?labels[?'finder'].orValue('nobody')"},
		},
	}, admissionregistrationv1.Audit)
	policy := s.name("gates")
	for i, server := range s.servers {
		probe := s.instance(s.name("audit" + string(rune('a'+i))))
		s.eventually("the policy is in force at every server", func() (bool, error) {
			_, err := server.FleetV1alpha1().Instances(s.Namespace).Create(s.Context(), probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil {
				return false, err
			}
			notes, err := s.notes(probe.Name)
			return notes[policy+"/image"] != "", err
		})
	}

	plain := s.mustCreate(s.name("plain"))
	labelled := s.instance(s.name("labelled"))
	labelled.Labels = map[string]string{"finder": "jane"}
	if _, err := s.create(labelled); err != nil {
		s.Fatal(err)
	}
	for name, want := range map[string]map[string]string{
		plain.Name: {
			policy + "/image": "it runs registry.example/web:1", policy + "/finder": "nobody",
			hook + "/looked": "twice", failureAnnotation: "labels help to find it",
		},
		labelled.Name: {policy + "/image": "it runs registry.example/web:1", policy + "/finder": "jane", hook + "/looked": "twice", failureAnnotation: ""},
	} {
		var notes map[string]string
		s.eventually("the create is in the audit log", func() (done bool, err error) {
			notes, err = s.notes(name)
			return notes != nil, err
		})
		for key, value := range want {
			if got := notes[key]; !strings.Contains(got, value) || value == "" && got != "" {
				s.Errorf("%s: the annotation %s is %q, not %q", name, key, got, value)
			}
		}
	}
}

// notes returns the annotations of the last create of an instance of the name, from the audit log of
// any server; nil if there is none.
func (s *scene) notes(name string) (map[string]string, error) {
	if len(s.AuditLogs) == 0 {
		return nil, errors.New("the servers have no audit logs")
	}
	var notes map[string]string
	for _, path := range s.AuditLogs {
		log, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		// The last line may be incomplete.
		log = log[:bytes.LastIndexByte(log, '\n')+1]
		lines := bufio.NewScanner(bytes.NewReader(log))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if !bytes.Contains(lines.Bytes(), []byte(name)) {
				continue
			}
			var event auditv1.Event
			if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
				return nil, err
			}
			if ref := event.ObjectRef; event.Verb == "create" && event.Stage == "ResponseComplete" && ref != nil && ref.Resource == "instances" && ref.Name == name {
				if notes = event.Annotations; notes == nil {
					notes = map[string]string{}
				}
			}
		}
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	return notes, nil
}
