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
	cryptox509 "crypto/x509"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	webhooktoken "k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/origin"
)

// The ConfigMap with the certificate authorities that extension API servers of a cluster trust.
// kube-apiserver writes it: see pkg/controlplane/controller/clusterauthenticationtrust in Kubernetes.
const (
	TrustNamespace = "kube-system"
	TrustConfigMap = "extension-apiserver-authentication"

	clientCAKey = "client-ca-file"
	proxyCAKey  = "requestheader-client-ca-file"
)

// tokenReviewTimeout bounds one TokenReview.
const tokenReviewTimeout = 10 * time.Second

// ClusterTrust follows the ConfigMap of trusted authorities: the authority and the names of the front
// proxy, and the authority of client certificates. The last state stays in force while the cluster
// cannot be reached.
type ClusterTrust struct {
	// ClientCA verifies the client certificates of the cluster's users. The server that uses it
	// runs it.
	ClientCA *FollowedCA
	// ProxyCA verifies the client certificate of the front proxy. The server runs it, too.
	ProxyCA *FollowedCA
	headers *headerrequest.RequestHeaderAuthRequestController
	client  kubernetes.Interface
}

// FollowedCA is an authority in the cluster's ConfigMap. The library's controller is empty until its
// informer has run, which is after the server is ready: until then FollowedCA uses what Load has
// read, or requests would get 401.
type FollowedCA struct {
	*dynamiccertificates.ConfigMapCAController
	loaded dynamiccertificates.CAContentProvider
}

// load uses the authority in PEM until the informer has one. An empty text is no error.
func (c *FollowedCA) load(pem string) error {
	if pem == "" {
		return nil
	}
	loaded, err := dynamiccertificates.NewStaticCAContent(c.Name(), []byte(pem))
	if err == nil {
		c.loaded = loaded
	}
	return err
}

// CurrentCABundleContent implements dynamiccertificates.CAContentProvider.
func (c *FollowedCA) CurrentCABundleContent() []byte {
	if current := c.ConfigMapCAController.CurrentCABundleContent(); len(current) > 0 || c.loaded == nil {
		return current
	}
	return c.loaded.CurrentCABundleContent()
}

// VerifyOptions implements dynamiccertificates.CAContentProvider.
func (c *FollowedCA) VerifyOptions() (cryptox509.VerifyOptions, bool) {
	if options, ok := c.ConfigMapCAController.VerifyOptions(); ok || c.loaded == nil {
		return options, ok
	}
	return c.loaded.VerifyOptions()
}

// NewClusterTrust returns a ClusterTrust that reads the ConfigMap with the client.
func NewClusterTrust(client kubernetes.Interface) (*ClusterTrust, error) {
	clientCA, err := dynamiccertificates.NewDynamicCAFromConfigMapController("client-ca", TrustNamespace, TrustConfigMap, clientCAKey, client)
	if err != nil {
		return nil, err
	}
	proxyCA, err := dynamiccertificates.NewDynamicCAFromConfigMapController("requestheader-client-ca", TrustNamespace, TrustConfigMap, proxyCAKey, client)
	if err != nil {
		return nil, err
	}
	headers := headerrequest.NewRequestHeaderAuthRequestController(TrustConfigMap, TrustNamespace, client,
		"requestheader-username-headers",
		"requestheader-uid-headers",
		"requestheader-group-headers",
		"requestheader-extra-headers-prefix",
		"requestheader-allowed-names",
	)
	return &ClusterTrust{
		ClientCA: &FollowedCA{ConfigMapCAController: clientCA},
		ProxyCA:  &FollowedCA{ConfigMapCAController: proxyCA},
		headers:  headers,
		client:   client,
	}, nil
}

// Load reads the ConfigMap once. It returns an error if the cluster cannot be reached or the
// ConfigMap has no front proxy. The result is in force until Run and the server follow the
// ConfigMap: the library's controllers read authorities from informers only.
func (t *ClusterTrust) Load(ctx context.Context) error {
	const where = "ConfigMap " + TrustNamespace + "/" + TrustConfigMap
	trust, err := t.client.CoreV1().ConfigMaps(TrustNamespace).Get(ctx, TrustConfigMap, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("this server may not read %s, which names the authorities of the front proxy and of users: bind its service account to the Role extension-apiserver-authentication-reader in %s (%w)", where, TrustNamespace, err)
	case err != nil:
		return fmt.Errorf("%s cannot be read: %w", where, err)
	}
	if err := errors.Join(t.ClientCA.load(trust.Data[clientCAKey]), t.ProxyCA.load(trust.Data[proxyCAKey]), t.headers.RunOnce(ctx)); err != nil {
		return fmt.Errorf("%s cannot be understood: %w", where, err)
	}
	if trust.Data[proxyCAKey] == "" || len(t.headers.UsernameHeaders()) == 0 {
		return fmt.Errorf("%s does not identify the front proxy: start kube-apiserver with --requestheader-client-ca-file and --requestheader-username-headers", where)
	}
	return nil
}

// AllowedNames returns the common names that the front proxy's certificate may have. An empty list
// allows any name: every certificate of that authority could then impersonate any user.
func (t *ClusterTrust) AllowedNames() []string { return t.headers.AllowedClientNames() }

// UsernameHeaders returns the headers with the name of the user.
func (t *ClusterTrust) UsernameHeaders() []string { return t.headers.UsernameHeaders() }

// UIDHeaders returns the headers with the UID of the user. A cluster before 1.32 has none in its
// ConfigMap; then it is the one that every kube-apiserver sends.
func (t *ClusterTrust) UIDHeaders() []string {
	if names := t.headers.UIDHeaders(); len(names) > 0 {
		return names
	}
	return []string{"X-Remote-Uid"}
}

// GroupHeaders returns the headers with the groups of the user.
func (t *ClusterTrust) GroupHeaders() []string { return t.headers.GroupHeaders() }

// ExtraHeaderPrefixes returns the prefixes of headers with extra attributes of the user.
func (t *ClusterTrust) ExtraHeaderPrefixes() []string { return t.headers.ExtraHeaderPrefixes() }

// Run follows the names in the ConfigMap until the context ends. The server follows the authorities.
func (t *ClusterTrust) Run(ctx context.Context) { t.headers.Run(ctx, 1) }

// Delegated configures authentication in the aggregated mode.
type Delegated struct {
	Trust *ClusterTrust
	// ClientCA verifies client certificates besides the cluster's own authority; nil for none.
	ClientCA dynamiccertificates.CAContentProvider
	// Client creates TokenReviews for bearer tokens; nil for none.
	Client kubernetes.Interface
	// TokenCacheTTL is the duration for which the result of a TokenReview is cached.
	TokenCacheTTL time.Duration
	// TokenRetry is the backoff of failed TokenReviews.
	TokenRetry wait.Backoff
	// AnyProxyName accepts every certificate of the proxy's authority as the front proxy if the
	// cluster's list of names is empty. Without it, an empty list accepts none.
	AnyProxyName bool
}

// NewDelegated authenticates requests by the headers of the cluster's front proxy, then by client
// certificate, then by a TokenReview; health checks need no credentials.
//
// The library's delegating option would do the same, but enables anonymous requests on every path.
// The authenticated-group adder is needed because kube-aggregator fetches OpenAPI as
// system:aggregator without any group.
func NewDelegated(c Delegated) (authenticator.Request, error) {
	proxy := byName(origin.FrontProxy, frontProxy{
		headers: c.Trust.UsernameHeaders,
		verified: headerrequest.NewDynamicVerifyOptionsSecure(
			c.Trust.ProxyCA.VerifyOptions,
			headerrequest.StringSliceProviderFunc(func() []string { return proxyNames(c.Trust.AllowedNames(), c.AnyProxyName) }),
			headerrequest.StringSliceProviderFunc(c.Trust.UsernameHeaders),
			headerrequest.StringSliceProviderFunc(c.Trust.UIDHeaders),
			headerrequest.StringSliceProviderFunc(c.Trust.GroupHeaders),
			headerrequest.StringSliceProviderFunc(c.Trust.ExtraHeaderPrefixes),
		),
	})
	known := []authenticator.Request{
		byName("cluster-client-certificate", byCertificate(c.Trust.ClientCA.VerifyOptions)),
	}
	if c.ClientCA != nil {
		known = append(known, byName("client-certificate", byCertificate(c.ClientCA.VerifyOptions)))
	}
	if c.Client != nil {
		review, err := webhooktoken.NewFromInterface(c.Client.AuthenticationV1(), nil, c.TokenRetry, tokenReviewTimeout, webhooktoken.AuthenticatorMetrics{
			RecordRequestTotal:   authenticatorfactory.RecordRequestTotal,
			RecordRequestLatency: authenticatorfactory.RecordRequestLatency,
		})
		if err != nil {
			return nil, err
		}
		authenticatorfactory.RegisterMetrics()
		tokens := boundedToken(byTokenName("token-review", cache.New(review, false, c.TokenCacheTTL, c.TokenCacheTTL)))
		known = append(known, bearertoken.New(tokens), websocket.NewProtocolAuthenticator(tokens))
	}
	callers := union.NewFailOnError(proxy, union.New(known...))
	return withShortReasons(union.NewFailOnError(group.NewAuthenticatedGroupAdder(callers), byName("health", anonymousAt(HealthPaths)))), nil
}
