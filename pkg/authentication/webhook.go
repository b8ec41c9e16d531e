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
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/webhook"
	webhooktoken "k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/structured"
	"github.com/gatehouse-dev/gatehouse/pkg/transports"
)

// tokenReviewVersion is the version of authentication.k8s.io of the reviews. kube-apiserver's default is
// still v1beta1.
const tokenReviewVersion = "v1"

// tokenWebhook reviews tokens by the service of a kubeconfig. It caches its responses for cacheTTL, and
// no errors. Each call ends after tokenReviewTimeout, and a service that fails is called five times, as
// kube-apiserver does. The service gets tokens and may name every user, so redirects are refused and
// responses are bounded.
func tokenWebhook(kubeconfig string, audiences authenticator.Audiences, cacheTTL time.Duration) (authenticator.Token, error) {
	config, err := webhook.LoadKubeconfig(kubeconfig, nil)
	if err != nil {
		return nil, fmt.Errorf("%s is no kubeconfig of a service: %w", kubeconfig, err)
	}
	if config.Insecure || strings.HasPrefix(config.Host, "http:") {
		klog.Warningf("%s: the certificate of %s is not verified, so whatever responds there can name every user: use https and certificate-authority", kubeconfig, config.Host)
	}
	config.Timeout = tokenReviewTimeout
	config.Wrap(func(transport http.RoundTripper) http.RoundTripper {
		return transports.WithoutRedirects(structured.BoundResponses(transport))
	})
	reviews, err := webhooktoken.New(config, tokenReviewVersion, audiences, *options.DefaultAuthWebhookRetryBackoff())
	if err != nil {
		return nil, err
	}
	// The service may name any user of the server, as in Kubernetes, but not the user without credentials.
	known := authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		response, ok, err := reviews.AuthenticateToken(ctx, token)
		if err != nil || !ok {
			return nil, false, err
		}
		if err := refuseUnauthenticated(response.User); err != nil {
			return nil, false, fmt.Errorf("the response %w", err)
		}
		if response.User.GetName() == "" {
			return nil, false, errors.New("the response names no user")
		}
		return response, true, nil
	})
	return cache.New(known, false, cacheTTL, cacheTTL), nil
}
