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

package authorization

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
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

func TestTheBoundHostGetsItsInstancesToken(t *testing.T) {
	server := servertesting.Start(t)
	client := kubernetes.NewForConfigOrDie(server.Config)
	admin := harness.NewRawClient(t, server.Config)
	account := newAccount(t, client, "web")
	for _, object := range []struct{ path, body string }{
		{harness.HostsPath, strings.Replace(harness.GoodHost, "wrong", "edge-1", 1)},
		{harness.HostsPath, strings.Replace(harness.GoodHost, "wrong", "edge-2", 1)},
		{harness.InstancesPath, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"web-0"},"spec":{"serviceAccountName":"web","containers":[{"name":"main","image":"web:1"}]}}`},
		{harness.InstancesPath + "/web-0/binding", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","metadata":{"name":"web-0"},"target":{"kind":"Host","name":"edge-1"}}`},
	} {
		if answer := admin.Do(t, http.MethodPost, object.path, "application/json", "", object.body); answer.Code != http.StatusCreated {
			t.Fatalf("%s: %d %s", object.path, answer.Code, answer.Body)
		}
	}

	const body = `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":null,"expirationSeconds":600}}`
	// Authorization allows all of these users, so that the endpoint itself is tested.
	for _, user := range []string{"system:host:edge-2", "system:host:", "jane"} {
		caller := harness.NewRawClient(t, harness.IssueClient(t, server, user, "system:masters", "system:hosts"))
		harness.WrongRequest{Path: harness.InstancesPath + "/web-0/token", Body: body, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: "for the host to which it is bound"}.Check(t, caller)
		harness.WrongRequest{Path: harness.InstancesPath + "/none/token", Body: body, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: "for the host to which it is bound"}.Check(t, caller)
	}
	harness.WrongRequest{Path: harness.InstancesPath + "/web-0/token", Body: body, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: "for the host to which it is bound"}.Check(t, admin)

	edge := harness.NewRawClient(t, harness.IssueClient(t, server, "system:host:edge-1", "system:masters", "system:hosts"))
	harness.WrongRequest{Path: harness.InstancesPath + "/web-0/token", Body: strings.Replace(body, `"audiences":null`, `"audiences":null,"boundObjectRef":{"kind":"Secret","name":"x"}`, 1),
		Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Fields: []string{"spec.boundObjectRef"}, Message: "always bound to the instance"}.Check(t, edge)
	answer := edge.Do(t, http.MethodPost, harness.InstancesPath+"/web-0/token", "application/json", "", body)
	var given authenticationv1.TokenRequest
	answer.Into(t, &given)
	if answer.Code != http.StatusCreated || given.Name != "web-0" || given.Status.Token == "" {
		t.Fatalf("got %d %s", answer.Code, answer.Body)
	}
	isRecognised(t, server, given.Status.Token, "system:serviceaccount:default:web")
	var long authenticationv1.TokenRequest
	edge.Do(t, http.MethodPost, harness.InstancesPath+"/web-0/token", "application/json", "", strings.Replace(body, "600", "4294967296", 1)).Into(t, &long)
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

	if answer := admin.Do(t, http.MethodDelete, harness.InstancesPath+"/web-0?gracePeriodSeconds=0", "", "", ""); answer.Code != http.StatusOK {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	becomesUnauthorized(t, server, given.Status.Token)
}
