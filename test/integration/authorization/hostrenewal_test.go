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
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/join"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestAHostRenewsItsCertificate(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.Controllers = manager.Selection{manager.AllControllers} })
	ca, err := certificates.LoadCA(filepath.Join(filepath.Dir(server.Kubeconfig), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := certificates.IssueHost(ca, "system:host:edge-1", []string{"system:hosts"}, 10*time.Second, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{Host: server.Config.Host, TLSClientConfig: rest.TLSClientConfig{CAData: ca.CertPEM, CertData: certificate, KeyData: key}}
	file := filepath.Join(t.TempDir(), "pki", "host.pem")
	renewer, err := join.NewRenewer(config, "edge-1", file)
	if err != nil {
		t.Fatal(err)
	}
	before, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		renewer.Run(ctx)
		close(ended)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	kit.EventuallyState(t, "the certificate is renewed", func(context.Context) (bool, string) {
		now, err := tls.LoadX509KeyPair(file, file)
		return err == nil && now.Leaf.NotAfter.After(before.Leaf.NotAfter.Add(24*time.Hour)), fmt.Sprint(err)
	})
	review, err := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || review.Status.UserInfo.Username != "system:host:edge-1" {
		t.Errorf("with the new certificate the host is %+v, %v", review, err)
	}
	requests, err := kubernetes.NewForConfigOrDie(server.Config).CertificatesV1().CertificateSigningRequests().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(requests.Items) != 1 || requests.Items[0].Spec.Username != "system:host:edge-1" || requests.Items[0].Status.Conditions[0].Reason != "HostRenewed" {
		t.Errorf("the requests are %+v, %v", requests, err)
	}
}
