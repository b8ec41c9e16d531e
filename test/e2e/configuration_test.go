//go:build e2e

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

package e2e

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// Instances refer to objects of the cluster, which the server reads by a right of its own.
func TestTheConfigurationOfAnInstanceIsThatOfTheCluster(t *testing.T) {
	ns := namespace(t, "configured")
	kubectl(t, "create", "configmap", "settings", "--namespace="+ns, "--from-literal=level=info", "--from-literal=theme=dark")
	kubectl(t, "create", "secret", "generic", "database", "--namespace="+ns, "--from-literal=password=swordfish")
	as := certified(t, env.gatehouse.Replicas[0])
	host := versioned.NewForConfigOrDie(as("system:host:configured-1", "system:hosts")).FleetV1alpha1()
	if _, err := host.Hosts().Create(t.Context(), &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: "configured-1"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kubectl(t, "delete", "host", "configured-1") })
	operator := versioned.NewForConfigOrDie(env.cluster.Config).FleetV1alpha1()
	created := &v1alpha1.Instance{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1alpha1.InstanceSpec{
		Volumes: []v1alpha1.Volume{{Name: "db", Secret: &v1alpha1.SecretVolumeSource{SecretName: "database"}}},
		Containers: []v1alpha1.Container{{Name: "web", Image: "web:1", Env: []v1alpha1.EnvVar{{
			Name: "LEVEL", ValueFrom: &v1alpha1.EnvVarSource{ConfigMapKeyRef: &v1alpha1.KeySelector{Name: "settings", Key: "level"}},
		}}}},
	}}
	if _, err := operator.Instances(ns).Create(t.Context(), created, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := operator.Instances(ns).Bind(t.Context(), "web", &v1alpha1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Target: v1alpha1.BindingTarget{Kind: "Host", Name: "configured-1"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	read := func(ctx context.Context) (*v1alpha1.InstanceConfiguration, error) {
		got := &v1alpha1.InstanceConfiguration{}
		err := host.RESTClient().Get().Namespace(ns).Resource("instances").Name("web").SubResource("configuration").Do(ctx).Into(got)
		return got, err
	}
	if _, err := read(t.Context()); err == nil || !strings.Contains(err.Error(), "the cluster does not allow this server to read configmaps of namespace "+ns) {
		t.Fatalf("without the right of the server: %v", err)
	}
	server := kubectl(t, "get", "clusterrolebinding", "gatehouse:server", "-o", "jsonpath={.subjects[0].namespace}:{.subjects[0].name}")
	kubectl(t, "create", "role", "configuration", "--namespace="+ns, "--verb=get", "--resource=configmaps,secrets")
	kubectl(t, "create", "rolebinding", "configuration", "--namespace="+ns, "--role=configuration", "--serviceaccount="+strings.TrimSpace(server))
	kit.EventuallyState(t, "the host reads what its instance refers to", func(ctx context.Context) (bool, string) {
		got, err := read(ctx)
		if err != nil || len(got.ConfigMaps) != 1 || len(got.Secrets) != 1 {
			return false, errText(err)
		}
		settings, database := got.ConfigMaps[0].Data, got.Secrets[0].Data
		return len(settings) == 1 && string(settings["level"]) == "info" && string(database["password"]) == "swordfish", ""
	})
	through := versioned.NewForConfigOrDie(env.cluster.Config).FleetV1alpha1().RESTClient()
	if err := through.Get().Namespace(ns).Resource("instances").Name("web").SubResource("configuration").Do(t.Context()).Error(); err == nil || !strings.Contains(err.Error(), "for the host to which it is bound") {
		t.Errorf("an administrator of the cluster reads it: %v", err)
	}
}
