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

package delegation

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestTheObjectsOfInstancesAreThoseOfTheCluster(t *testing.T) {
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "a"}
	for _, tc := range []struct {
		name   string
		err    error // of the cluster
		object string
		want   string // a part of the error; empty for none
		is     func(error) bool
	}{
		{name: "an object", object: "a"},
		{name: "an object that does not exist", object: "b", want: "not found", is: apierrors.IsNotFound},
		// A 403 would look like one of the host.
		{name: "a refusal of the server", err: apierrors.NewForbidden(corev1.Resource("secrets"), "a", nil), object: "a", want: "of namespace shop: allow its service account get on ", is: apierrors.IsInternalError},
		{name: "a server that is not known", err: apierrors.NewUnauthorized("no"), object: "a", want: "does not authenticate this server", is: apierrors.IsInternalError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: meta}, &corev1.Secret{ObjectMeta: meta})
			if tc.err != nil {
				client.PrependReactor("get", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, tc.err })
			}
			objects := ClusterObjects{Client: client}
			for kind, read := range map[string]func(context.Context) error{
				"ConfigMap": func(ctx context.Context) error { _, err := objects.ConfigMap(ctx, "shop", tc.object); return err },
				"Secret":    func(ctx context.Context) error { _, err := objects.Secret(ctx, "shop", tc.object); return err },
			} {
				err := read(t.Context())
				if (err == nil) != (tc.want == "") || err != nil && (!tc.is(err) || !strings.Contains(err.Error(), tc.want)) {
					t.Errorf("%s: got %v", kind, err)
				}
			}
		})
	}
}
