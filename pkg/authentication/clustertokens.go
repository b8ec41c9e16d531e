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

package authentication

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
)

// clusterTokenSeconds is the maximum lifetime of a cluster's token. The cluster has no Instances, so
// it cannot invalidate a token with its instance.
const clusterTokenSeconds = 60 * 60

// ClusterTokens requests tokens of the cluster's service accounts from the cluster, as the service
// account of this server.
type ClusterTokens struct {
	Client kubernetes.Interface
}

// RequestToken requests a token of the account from the cluster. It calls admit, if not nil, with
// the request that the cluster will get.
func (c ClusterTokens) RequestToken(ctx context.Context, namespace, account string, request *authenticationv1.TokenRequest, admit func(context.Context, runtime.Object) error, dryRun bool) (*authenticationv1.TokenRequest, error) {
	asked := &authenticationv1.TokenRequest{Spec: *request.Spec.DeepCopy()}
	asked.Spec.BoundObjectRef = nil
	if seconds := asked.Spec.ExpirationSeconds; seconds != nil && *seconds > clusterTokenSeconds {
		most := int64(clusterTokenSeconds)
		asked.Spec.ExpirationSeconds = &most
	}
	if admit != nil {
		if err := admit(ctx, asked.DeepCopy()); err != nil {
			return nil, err
		}
	}
	options := metav1.CreateOptions{}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	given, err := c.Client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, asked, options)
	switch {
	case apierrors.IsForbidden(err):
		// The cluster refuses this server, and a 403 would look like a refusal of the caller.
		return nil, apierrors.NewInternalError(fmt.Errorf("the cluster does not allow this server to request tokens of %s/%s: allow its service account create on serviceaccounts/token in that namespace", namespace, account))
	case apierrors.IsUnauthorized(err):
		return nil, apierrors.NewInternalError(fmt.Errorf("the cluster does not authenticate this server, which requested a token of %s/%s", namespace, account))
	case err != nil:
		return nil, err
	case dryRun:
		// A kube-apiserver returns a token even for a dry run.
		given.Status.Token = ""
	}
	return given, nil
}
