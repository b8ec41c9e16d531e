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

package app

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/kubernetes/scheme"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

// giveToken responds to a TokenRequest as a cluster does.
func (s *stubCluster) giveToken(w http.ResponseWriter, r *http.Request, info *request.RequestInfo) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	asked := &authenticationv1.TokenRequest{}
	if _, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, asked); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	s.tokens[info.Namespace+"/"+info.Name] = asked.Spec
	s.mu.Unlock()
	asked.TypeMeta = metav1.TypeMeta{Kind: "TokenRequest", APIVersion: "authentication.k8s.io/v1"}
	asked.Status.Token = "token-of-the-cluster"
	w.WriteHeader(http.StatusCreated)
	s.write(w, asked)
}

func encode(t *testing.T, object any) []byte {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheClusterGivesOutTheTokensOfInstances(t *testing.T) {
	cluster, o, ready, users := startAggregated(t)
	ctx := t.Context()
	fleet := clientOf(t, o, ready, users, "admin", "system:masters").FleetV1alpha1()
	for _, name := range []string{"edge-1", "edge-2"} {
		if _, err := fleet.Hosts().Create(ctx, &fleetv1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	instance := &fleetv1alpha1.Instance{ObjectMeta: metav1.ObjectMeta{Name: "web-0"}}
	instance.Spec.ServiceAccountName = "web"
	instance.Spec.Containers = []fleetv1alpha1.Container{{Name: "main", Image: "web:1"}}
	if _, err := fleet.Instances("default").Create(ctx, instance, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &fleetv1alpha1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web-0"}, Target: fleetv1alpha1.BindingTarget{Kind: "Host", Name: "edge-1"}}
	if err := fleet.RESTClient().Post().Resource("instances").Namespace("default").Name("web-0").SubResource("binding").Body(binding).Do(ctx).Error(); err != nil {
		t.Fatal(err)
	}
	request := func(client versioned.Interface) (*authenticationv1.TokenRequest, error) {
		given, day := &authenticationv1.TokenRequest{}, int64(86400)
		data, err := client.FleetV1alpha1().RESTClient().Post().Resource("instances").Namespace("default").Name("web-0").SubResource("token").
			Body(encode(t, &authenticationv1.TokenRequest{
				TypeMeta: metav1.TypeMeta{Kind: "TokenRequest", APIVersion: "authentication.k8s.io/v1"},
				Spec:     authenticationv1.TokenRequestSpec{ExpirationSeconds: &day},
			})).SetHeader("Content-Type", "application/json").Do(ctx).Raw()
		if err == nil {
			// The scheme of the fleet client has no TokenRequest.
			err = json.Unmarshal(data, given)
		}
		return given, err
	}

	for _, other := range []versioned.Interface{
		clientOf(t, o, ready, users, "system:host:edge-2", "system:hosts"),
		clientOf(t, o, ready, users, "admin", "system:masters"),
	} {
		if _, err := request(other); !apierrors.IsForbidden(err) {
			t.Errorf("another user gets %v", err)
		}
	}
	cluster.mu.Lock()
	if len(cluster.tokens) > 0 {
		t.Errorf("the cluster got requests for %v", cluster.tokens)
	}
	cluster.mu.Unlock()

	given, err := request(clientOf(t, o, ready, users, "system:host:edge-1", "system:hosts"))
	if err != nil || given.Name != "web-0" || given.Status.Token != "token-of-the-cluster" {
		t.Fatalf("the bound host gets %v, %v", given, err)
	}
	cluster.mu.Lock()
	defer cluster.mu.Unlock()
	spec, ok := cluster.tokens["default/web"]
	if !ok || spec.BoundObjectRef != nil || *spec.ExpirationSeconds != 3600 {
		t.Errorf("the cluster got requests for %v", cluster.tokens)
	}
}
