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

package credentials

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
)

const (
	// defaultTokenLifetime and longestTokenLifetime are those of tokens with which hosts join.
	defaultTokenLifetime = time.Hour
	longestTokenLifetime = 30 * 24 * time.Hour
)

// HostTokenOptions are the flags of a token with which hosts join.
type HostTokenOptions struct {
	// Name is the only host for which the token is good; empty for any that does not exist.
	Name string
	TTL  time.Duration
	// Servers are the URLs by which the host reaches the servers; those of the administrator's kubeconfig
	// if empty.
	Servers []string
}

// AddFlags adds the flags to a set.
func (o *HostTokenOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Name, "name", "", "Name of the host that may join. If empty, every host that does not exist yet.")
	fs.DurationVar(&o.TTL, "ttl", defaultTokenLifetime, "How long the token is valid.")
	fs.StringSliceVar(&o.Servers, "server", nil, "URL by which the host reaches the server; its host must be in the server's certificate, see --tls-san of the server. Several, comma separated, are servers of the same API: the agent uses the next one when one fails. If empty, those in the administrator's kubeconfig.")
}

// Validate returns an error for each invalid flag.
func (o *HostTokenOptions) Validate() []error {
	var errs []error
	if o.TTL < time.Minute || o.TTL > longestTokenLifetime {
		errs = append(errs, fmt.Errorf("--ttl=%s is not a time from 1m to %s", o.TTL, longestTokenLifetime))
	}
	if _, err := failover.Parse(o.Servers); err != nil {
		errs = append(errs, fmt.Errorf("--server=%w", err))
	}
	if o.Name == "" {
		return errs
	}
	errs = append(errs, ValidateHost(o.Name)...)
	// The group of the token has the name.
	if bootstraputil.ValidateBootstrapGroupName(v1alpha1.HostJoinGroup+":"+o.Name) != nil {
		errs = append(errs, fmt.Errorf("--name=%s: the name of a host that joins with a token has no dots: leave --name out, or use \"gatehouse host add\"", o.Name))
	}
	return errs
}

// CreateHostToken creates a token and prints the command with which a host joins.
func (a *Administrator) CreateHostToken(ctx context.Context, out, notes io.Writer, o *HostTokenOptions) error {
	config, own, err := a.server()
	if err != nil {
		return err
	}
	urls := o.Servers
	if len(urls) == 0 {
		urls = own
	}
	if err := a.checkServers(urls); err != nil {
		return err
	}
	if err := rest.LoadTLSFiles(config); err != nil {
		return err
	}
	if len(config.CAData) == 0 {
		return errors.New("the administrator's kubeconfig has no certificate-authority: the host could not verify the server")
	}
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return err
	}
	token, err := bootstraputil.GenerateBootstrapToken()
	if err != nil {
		return err
	}
	expires := time.Now().Add(o.TTL)
	if _, err := client.Secrets(metav1.NamespaceSystem).Create(ctx, hostToken(token, o.Name, expires), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("the token cannot be created: %w", err)
	}
	command := fmt.Sprintf("gatehouse-agent join %s --token %s --ca %s", strings.Join(urls, ","), token, base64.RawURLEncoding.EncodeToString(config.CAData))
	if o.Name != "" {
		command += " --name " + o.Name
	}
	if _, err := fmt.Fprintln(out, command); err != nil {
		return err
	}
	fmt.Fprintf(notes, "Run this on the host, as root, until %s. The token is a password: %s.\n", expires.Format(time.DateTime), whoMayJoin(o.Name))
	if onlyLoopback(urls) {
		fmt.Fprintln(notes, "The address is one of this machine alone: for another machine, start the server with --listen 0.0.0.0:6443 and name its address with --server.")
	}
	return nil
}

// hostToken returns the secret of a token.
func hostToken(token, name string, expires time.Time) *corev1.Secret {
	id, secret, _ := strings.Cut(token, ".")
	groups := v1alpha1.HostJoinGroup
	if name != "" {
		groups += "," + v1alpha1.HostJoinGroup + ":" + name
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: bootstrapapi.BootstrapTokenSecretPrefix + id, Namespace: metav1.NamespaceSystem},
		Type:       bootstrapapi.SecretTypeBootstrapToken,
		StringData: map[string]string{
			bootstrapapi.BootstrapTokenIDKey: id, bootstrapapi.BootstrapTokenSecretKey: secret,
			bootstrapapi.BootstrapTokenUsageAuthentication: "true",
			bootstrapapi.BootstrapTokenExpirationKey:       expires.UTC().Format(time.RFC3339),
			bootstrapapi.BootstrapTokenExtraGroupsKey:      groups,
			bootstrapapi.BootstrapTokenDescriptionKey:      "joins hosts",
		},
	}
}

// whoMayJoin says what the token is good for.
func whoMayJoin(name string) string {
	if name == "" {
		return "until then, each host that presents it and does not exist yet may join"
	}
	return fmt.Sprintf("until then, whoever presents it may join as %s while no such host is alive", name)
}

// onlyLoopback is true for URLs that no other machine reaches.
func onlyLoopback(urls []string) bool {
	servers, err := failover.Parse(urls)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(servers, func(u *url.URL) bool {
		address := net.ParseIP(u.Hostname())
		return u.Hostname() != "localhost" && (address == nil || !address.IsLoopback())
	})
}
