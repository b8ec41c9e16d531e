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

package app

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
)

// revokeCommand holds the flags of gatehouse host revoke.
type revokeCommand struct {
	dataDir    string
	kubeconfig string
}

func newRevokeCommand() *cobra.Command {
	c := &revokeCommand{dataDir: options.DefaultDataDir()}
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "Refuse every certificate that a host has had until now",
		Long: `Refuse every certificate of the host that is valid since before now, whoever signed it and
whoever holds its key: requests are answered with 401, and watches that are open end, within ` + revocation.Interval.String() + `
and without a restart. The Host, its HostLease and the instances stay until they are deleted.

The revocation is an entry of the ConfigMap ` + revocation.ConfigMap + ` in ` + revocation.Namespace + `: of the standalone
server, or, with the kubeconfig of an administrator of the cluster, of the cluster behind which
the server serves. Remove the entry to take the revocation back; keep it until the last
certificate of before has ended.

A certificate that "gatehouse host add" makes afterwards counts. A signer that dates
certificates back, as that of a cluster does by five minutes, signs one that counts only when
that time has passed.`,
		Example: `  gatehouse host revoke edge-1
  gatehouse host revoke edge-1 --kubeconfig ~/.kube/config`,
		Args: exactlyOneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd.Context(), cmd.ErrOrStderr(), args[0])
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&c.dataDir, "data-dir", c.dataDir, "The server's data directory, with the administrator's kubeconfig.")
	fs.StringVar(&c.kubeconfig, "kubeconfig", c.kubeconfig, "Kubeconfig of an administrator, in place of the one in --data-dir. For a server behind a kube-apiserver, one that leads to the cluster.")
	return cmd
}

func (c *revokeCommand) run(ctx context.Context, notes io.Writer, name string) error {
	if err := checkHost(name); err != nil {
		return err
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return err
	}
	// Certificates carry whole seconds.
	now := time.Now().UTC().Truncate(time.Second)
	if err := revoke(ctx, client.ConfigMaps(revocation.Namespace), name, now); err != nil {
		return fmt.Errorf("the revocation cannot be written to ConfigMap %s/%s: %w", revocation.Namespace, revocation.ConfigMap, err)
	}
	fmt.Fprintf(notes, "Certificates of host %s from %s and before are refused within %s.\n", name, now.Format(time.RFC3339), revocation.Interval)
	// A certificate of this very second is refused as well: whoever issues the next one after this
	// command has returned gets one that counts.
	select {
	case <-time.After(time.Until(now.Add(time.Second))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// config leads to the API that has the ConfigMap.
func (c *revokeCommand) config() (*rest.Config, error) {
	if c.kubeconfig != "" {
		config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("--kubeconfig=%s: %w", c.kubeconfig, err)
		}
		return config, nil
	}
	data, err := readOwn(filepath.Join(c.dataDir, options.KubeconfigName))
	if err != nil {
		return nil, fmt.Errorf("--data-dir=%s: the administrator's kubeconfig cannot be read: %w; name another with --kubeconfig", c.dataDir, err)
	}
	return clientcmd.RESTConfigFromKubeConfig(data)
}

// revoke writes the entry of a host. It never makes a revocation earlier than it was.
func revoke(ctx context.Context, configMaps corev1client.ConfigMapInterface, name string, now time.Time) error {
	again := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	return retry.OnError(retry.DefaultBackoff, again, func() error {
		found, err := configMaps.Get(ctx, revocation.ConfigMap, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = configMaps.Create(ctx, &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: revocation.ConfigMap},
				Data:       map[string]string{name: now.Format(time.RFC3339)},
			}, metav1.CreateOptions{})
			return err
		}
		if err != nil {
			return err
		}
		if before, err := time.Parse(time.RFC3339, found.Data[name]); err == nil && before.After(now) {
			return nil
		}
		if found.Data == nil {
			found.Data = map[string]string{}
		}
		found.Data[name] = now.Format(time.RFC3339)
		_, err = configMaps.Update(ctx, found, metav1.UpdateOptions{})
		return err
	})
}
