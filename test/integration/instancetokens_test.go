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

package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
)

func TestTheBoundHostGetsItsInstancesToken(t *testing.T) {
	server := servertesting.Start(t)
	client := kubernetes.NewForConfigOrDie(server.Config)
	admin := newRawClient(t, server.Config)
	account := newAccount(t, client, "web")
	for _, object := range []struct{ path, body string }{
		{hostsPath, strings.Replace(goodHost, "wrong", "edge-1", 1)},
		{hostsPath, strings.Replace(goodHost, "wrong", "edge-2", 1)},
		{instancesPath, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"web-0"},"spec":{"serviceAccountName":"web","containers":[{"name":"main","image":"web:1"}]}}`},
		{instancesPath + "/web-0/binding", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","metadata":{"name":"web-0"},"target":{"kind":"Host","name":"edge-1"}}`},
	} {
		if answer := admin.do(t, http.MethodPost, object.path, "application/json", "", object.body); answer.code != http.StatusCreated {
			t.Fatalf("%s: %d %s", object.path, answer.code, answer.body)
		}
	}

	const body = `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":null,"expirationSeconds":600}}`
	// Authorization allows all of these users, so that the endpoint itself is tested.
	for _, user := range []string{"system:host:edge-2", "system:host:", "jane"} {
		caller := newRawClient(t, issueClient(t, server, user, "system:masters", "system:hosts"))
		wrongRequest{path: instancesPath + "/web-0/token", body: body, code: http.StatusForbidden, reason: metav1.StatusReasonForbidden, message: "for the host to which it is bound"}.check(t, caller)
		wrongRequest{path: instancesPath + "/none/token", body: body, code: http.StatusForbidden, reason: metav1.StatusReasonForbidden, message: "for the host to which it is bound"}.check(t, caller)
	}
	wrongRequest{path: instancesPath + "/web-0/token", body: body, code: http.StatusForbidden, reason: metav1.StatusReasonForbidden, message: "for the host to which it is bound"}.check(t, admin)

	edge := newRawClient(t, issueClient(t, server, "system:host:edge-1", "system:masters", "system:hosts"))
	wrongRequest{path: instancesPath + "/web-0/token", body: strings.Replace(body, `"audiences":null`, `"audiences":null,"boundObjectRef":{"kind":"Secret","name":"x"}`, 1),
		code: http.StatusUnprocessableEntity, reason: metav1.StatusReasonInvalid, fields: []string{"spec.boundObjectRef"}, message: "always bound to the instance"}.check(t, edge)
	answer := edge.do(t, http.MethodPost, instancesPath+"/web-0/token", "application/json", "", body)
	var given authenticationv1.TokenRequest
	answer.into(t, &given)
	if answer.code != http.StatusCreated || given.Name != "web-0" || given.Status.Token == "" {
		t.Fatalf("got %d %s", answer.code, answer.body)
	}
	isRecognised(t, server, given.Status.Token, "system:serviceaccount:default:web")
	var long authenticationv1.TokenRequest
	edge.do(t, http.MethodPost, instancesPath+"/web-0/token", "application/json", "", strings.Replace(body, "600", "4294967296", 1)).into(t, &long)
	if long.Spec.ExpirationSeconds == nil || *long.Spec.ExpirationSeconds != 3600 || long.Status.ExpirationTimestamp.After(time.Now().Add(time.Hour)) {
		t.Errorf("a token without an expiry is valid for %d s, until %v", ptr.Deref(long.Spec.ExpirationSeconds, 0), long.Status.ExpirationTimestamp)
	}
	review, err := client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: given.Status.Token}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if who := review.Status.User; who.UID != string(account.UID) || who.Extra["fleet.gatehouse.dev/instance-name"][0] != "web-0" || who.Extra["fleet.gatehouse.dev/instance-uid"][0] != string(given.UID) {
		t.Errorf("got %v", who)
	}

	if answer := admin.do(t, http.MethodDelete, instancesPath+"/web-0?gracePeriodSeconds=0", "", "", ""); answer.code != http.StatusOK {
		t.Fatalf("%d %s", answer.code, answer.body)
	}
	becomesUnauthorized(t, server, given.Status.Token)
}
