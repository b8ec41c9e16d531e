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
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	"k8s.io/apiserver/pkg/authorization/union"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// Delegated configures authorization in the aggregated mode.
type Delegated struct {
	// Client creates SubjectAccessReviews.
	Client authorizationclient.AuthorizationV1Interface
	// BoundInstances looks up whether an instance is bound to a host.
	BoundInstances host.BoundInstances
	// Hosts are the options of the authorizer of hosts.
	Hosts host.Options
	// AllowCacheTTL and DenyCacheTTL are the durations for which decisions are cached. They delay
	// the effect of a change of rights by as much.
	AllowCacheTTL, DenyCacheTTL time.Duration
	// Retry is the backoff of failed SubjectAccessReviews.
	Retry wait.Backoff
	// HealthPaths are allowed to all users.
	HealthPaths []string
}

// NewDelegated returns an authorizer that allows everything to system:masters and the health paths to
// all users, as a cluster does, decides about hosts itself, and creates a SubjectAccessReview in the
// cluster for all other requests, including field and label selectors. A request fails if the cluster
// does not respond.
func NewDelegated(c Delegated) (authorizer.Authorizer, error) {
	health, err := path.NewAuthorizer(c.HealthPaths)
	if err != nil {
		return nil, err
	}
	authorizerfactory.RegisterMetrics()
	reviewer, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: c.Client,
		AllowCacheTTL:             c.AllowCacheTTL,
		DenyCacheTTL:              c.DenyCacheTTL,
		WebhookRetryBackoff:       &c.Retry,
	}.New()
	if err != nil {
		return nil, err
	}
	hosts, err := host.New(c.BoundInstances, c.Hosts)
	if err != nil {
		return nil, err
	}
	return union.New(diagnostics.NamedAuthorizers(
		union.NamedAuthorizer{AuthorizerName: user.SystemPrivilegedGroup, Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		union.NamedAuthorizer{AuthorizerName: "health-paths", Authorizer: health},
		// Before the cluster: its roles ignore field selectors, and a broad one would allow every
		// instance to every host.
		union.NamedAuthorizer{AuthorizerName: "hosts", Authorizer: hosts},
		union.NamedAuthorizer{AuthorizerName: "cluster", Authorizer: reviewer},
	)...)
}
