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
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
)

// trustRetry is the time between two attempts to read the cluster's trust.
const trustRetry = 250 * time.Millisecond

// loadTrust reads the authorities and the front proxy that the cluster trusts. It fails if any
// user could act as any other.
func loadTrust(ctx context.Context, client kubernetes.Interface, o Options, clientCAFile string) (*authentication.ClusterTrust, error) {
	trust, err := authentication.NewClusterTrust(client)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// A kube-apiserver writes the ConfigMap shortly after its own first start.
	var last error
	if err := wait.PollUntilContextCancel(ctx, trustRetry, true, func(ctx context.Context) (bool, error) {
		err := trust.Load(ctx)
		if last == nil || ctx.Err() == nil {
			last = err // the end of the context would hide the reason
		}
		return err == nil, nil
	}); err != nil {
		return nil, last
	}
	if err := checkProxyAuthority(trust, clientCAFile); err != nil {
		return nil, err
	}
	if len(trust.AllowedNames()) == 0 && !o.AnyProxyName {
		return nil, fmt.Errorf("the cluster names no common name for its front proxy, so any certificate of that authority could act as any user: start kube-apiserver with --requestheader-allowed-names, or accept it with --requestheader-allow-any-name")
	}
	return trust, nil
}

// checkProxyAuthority fails if the front proxy's authority also signs users' certificates and
// no names are set for the front proxy: any user could act as any other. With names, only a user
// with such a name could, so checkProxyAuthority logs a warning.
func checkProxyAuthority(trust *authentication.ClusterTrust, clientCAFile string) error {
	users := map[string][]byte{"the cluster's client-ca-file": trust.ClientCA.CurrentCABundleContent()}
	if clientCAFile != "" {
		content, err := os.ReadFile(clientCAFile)
		if err != nil {
			return fmt.Errorf("--client-ca-file: %w", err)
		}
		users["--client-ca-file"] = content
	}
	for source, bundle := range users {
		if len(bundle) == 0 {
			continue
		}
		shared, err := authentication.SharedAuthority(bundle, trust.ProxyCA.CurrentCABundleContent())
		if err != nil {
			return fmt.Errorf("%s and the cluster's requestheader-client-ca-file cannot be compared: %w", source, err)
		}
		switch {
		case shared == "":
		case len(trust.AllowedNames()) == 0:
			return fmt.Errorf("the authority of the cluster's front proxy (%s) is also an authority of users' certificates (%s), and no common name is given for the front proxy, so any user could act as any other: give the front proxy a separate authority (kube-apiserver --requestheader-client-ca-file), or at least start kube-apiserver with --requestheader-allowed-names", shared, source)
		default:
			klog.Warningf("Front proxy of the cluster: its authority (%s) is also an authority of users' certificates (%s): a user with one of the common names %v in the certificate can act as any user; give the front proxy a separate authority (kube-apiserver --requestheader-client-ca-file)", shared, source, trust.AllowedNames())
		}
	}
	return nil
}
