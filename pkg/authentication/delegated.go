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
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	webhooktoken "k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
	"k8s.io/client-go/kubernetes"
)

// The ConfigMap in which a cluster tells extension API servers whom to trust
// (kube-apiserver writes it, see pkg/controlplane/controller/clusterauthenticationtrust
// in Kubernetes).
const (
	TrustNamespace = "kube-system"
	TrustConfigMap = "extension-apiserver-authentication"

	clientCAKey = "client-ca-file"
	proxyCAKey  = "requestheader-client-ca-file"
)

// tokenReviewTimeout bounds one question to the cluster.
const tokenReviewTimeout = 10 * time.Second

// ClusterTrust follows what a cluster says about whom its extension API servers may
// trust: the authority and the names of the front proxy, and the authority of client
// certificates. It is followed live; what was read last stays in force while the cluster
// cannot be asked.
type ClusterTrust struct {
	// ClientCA verifies the client certificates of the cluster's users. Whoever serves with
	// it runs it.
	ClientCA *FollowedCA
	// ProxyCA verifies the client certificate of the front proxy; as ClientCA.
	ProxyCA *FollowedCA
	headers *headerrequest.RequestHeaderAuthRequestController
	client  kubernetes.Interface
}

// FollowedCA is an authority that the cluster's ConfigMap names. The library's controller
// knows nothing before its informer has run, which is after the server has said that it is
// ready: until then what Load has read stands in, or callers would get 401.
type FollowedCA struct {
	*dynamiccertificates.ConfigMapCAController
	loaded dynamiccertificates.CAContentProvider
}

// load takes what the ConfigMap says now; an empty text is no authority and no error.
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

// NewClusterTrust prepares to read the cluster's ConfigMap with the client.
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

// Load reads the ConfigMap once. It is an error when the cluster cannot be asked or does
// not say who its front proxy is. What it reads is believed until Run and the server follow
// the ConfigMap: the library's controllers read authorities from informers only.
func (t *ClusterTrust) Load(ctx context.Context) error {
	const where = "ConfigMap " + TrustNamespace + "/" + TrustConfigMap
	trust, err := t.client.CoreV1().ConfigMaps(TrustNamespace).Get(ctx, TrustConfigMap, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("this server may not read %s, so it knows neither the front proxy nor the users' authority: bind its service account to the Role extension-apiserver-authentication-reader in %s (%w)", where, TrustNamespace, err)
	case err != nil:
		return fmt.Errorf("%s cannot be read: %w", where, err)
	}
	if err := errors.Join(t.ClientCA.load(trust.Data[clientCAKey]), t.ProxyCA.load(trust.Data[proxyCAKey]), t.headers.RunOnce(ctx)); err != nil {
		return fmt.Errorf("%s cannot be understood: %w", where, err)
	}
	if trust.Data[proxyCAKey] == "" || len(t.headers.UsernameHeaders()) == 0 {
		return fmt.Errorf("%s does not say who the front proxy is: start kube-apiserver with --requestheader-client-ca-file and --requestheader-username-headers", where)
	}
	return nil
}

// AllowedNames are the common names that the front proxy's certificate may carry. Empty
// means any: whoever has any certificate of that authority could then be anybody.
func (t *ClusterTrust) AllowedNames() []string { return t.headers.AllowedClientNames() }

// UsernameHeaders carry the name of the caller.
func (t *ClusterTrust) UsernameHeaders() []string { return t.headers.UsernameHeaders() }

// UIDHeaders carry the UID of the caller. A cluster before 1.32 does not name any; then
// it is the one that every kube-apiserver sends.
func (t *ClusterTrust) UIDHeaders() []string {
	if names := t.headers.UIDHeaders(); len(names) > 0 {
		return names
	}
	return []string{"X-Remote-Uid"}
}

// GroupHeaders carry the groups of the caller.
func (t *ClusterTrust) GroupHeaders() []string { return t.headers.GroupHeaders() }

// ExtraHeaderPrefixes begin the headers that carry the rest of what is known of the caller.
func (t *ClusterTrust) ExtraHeaderPrefixes() []string { return t.headers.ExtraHeaderPrefixes() }

// Run follows the names in the ConfigMap until the context ends. The authorities are
// followed by the server that serves with them.
func (t *ClusterTrust) Run(ctx context.Context) { t.headers.Run(ctx, 1) }

// Delegated says how the aggregated mode gets to know its callers.
type Delegated struct {
	Trust *ClusterTrust
	// ClientCA verifies client certificates besides the cluster's own authority; nil for none.
	ClientCA dynamiccertificates.CAContentProvider
	// Client asks the cluster about bearer tokens; nil does without.
	Client kubernetes.Interface
	// TokenCacheTTL is how long an answer about a token is kept.
	TokenCacheTTL time.Duration
	// TokenRetry says how a failed question is repeated.
	TokenRetry wait.Backoff
	// AnyProxyName takes every certificate of the proxy's authority for the front proxy when
	// the cluster names none. Without it nobody is, once the list becomes empty.
	AnyProxyName bool
}

// NewDelegated recognises callers whom the cluster's front proxy names, then by client
// certificate, then by asking the cluster about their token; health checks need none.
//
// The library's delegating option would do the same, but forces anonymous on for every
// path. The authenticated-group adder stays: kube-aggregator fetches OpenAPI as
// system:aggregator without any group.
func NewDelegated(c Delegated) (authenticator.Request, error) {
	proxy := byName("front-proxy", frontProxy{
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
		byName("cluster-client-certificate", x509.NewDynamic(c.Trust.ClientCA.VerifyOptions, userOfCertificate)),
	}
	if c.ClientCA != nil {
		known = append(known, byName("client-certificate", x509.NewDynamic(c.ClientCA.VerifyOptions, userOfCertificate)))
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
		tokens := byTokenName("token-review", cache.New(review, false, c.TokenCacheTTL, c.TokenCacheTTL))
		known = append(known, bearertoken.New(tokens), websocket.NewProtocolAuthenticator(tokens))
	}
	callers := union.NewFailOnError(proxy, union.New(known...))
	return withShortReasons(union.NewFailOnError(group.NewAuthenticatedGroupAdder(callers), byName("health", anonymousAt(HealthPaths)))), nil
}
