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
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

func newStorageCommand(p *plugin) *cobra.Command {
	cmd := group(&cobra.Command{Use: "storage", Short: "Observe the etcd in which the server stores its objects"})
	cmd.AddCommand(newStorageStatusCommand(p))
	return cmd
}

// storageStatus holds the flags of storage status.
type storageStatus struct {
	*plugin
	output string
	watch  bool
}

func newStorageStatusCommand(p *plugin) *cobra.Command {
	c := &storageStatus{plugin: p}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the members of etcd, and how many of them may fail",
		Long: `Show the members of the etcd in which the server stores its objects: whether they respond, how
far they are behind the leader, how long they take to write to the disk, and their alarms; and how
many of them may fail before writes stop.

FSYNC-P99 is the duration within which 99 % of the latest writes of the log reached the disk. The
cluster role gatehouse:diagnostics permits to read members.`,
		Example: `  kubectl gatehouse storage status

  # With sizes, URLs and errors
  kubectl gatehouse storage status -o wide

  # Again whenever it changes
  kubectl gatehouse storage status -w`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().StringVarP(&c.output, "output", "o", "", "Output format: json, yaml, wide, or a table if empty.")
	completeWords(cmd, "output", "json", "yaml", "wide")
	cmd.Flags().BoolVarP(&c.watch, "watch", "w", c.watch, "Show the status again whenever more than the times of the responses has changed.")
	return cmd
}

func (c *storageStatus) check() error {
	switch c.output {
	case "", "wide":
		return nil
	case "json", "yaml":
		if c.watch {
			return fmt.Errorf("--watch and --output=%s exclude each other: \"kubectl get storagemembers --watch --output=%s\" follows the objects", c.output, c.output)
		}
		return nil
	}
	return fmt.Errorf("--output=%s is unknown: use json, yaml or wide, or leave the flag out", c.output)
}

func (c *storageStatus) run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	config, _, err := c.config()
	if err != nil {
		return err
	}
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	client := clients.DiagnosticsV1alpha1()
	if c.output == "json" || c.output == "yaml" {
		list, err := client.StorageMembers().List(ctx, metav1.ListOptions{})
		if err != nil {
			return withoutMembers(err)
		}
		return c.printList(list)
	}
	if c.watch {
		return c.follow(ctx, client.RESTClient())
	}
	table, err := readMembers(ctx, client.RESTClient())
	if err != nil {
		return err
	}
	return table.write(c.Out, c.output == "wide", time.Now())
}

func (c *storageStatus) printList(list *v1alpha1.StorageMemberList) error {
	list.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "StorageMemberList"}
	for i := range list.Items {
		list.Items[i].TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "StorageMember"}
	}
	if c.output == "json" {
		return c.printJSON(list)
	}
	content, err := yaml.Marshal(list)
	if err != nil {
		return err
	}
	_, err = c.Out.Write(content)
	return err
}

// withoutMembers explains the errors of a server without members, and of a user without the right to read them.
func withoutMembers(err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("the server does not serve the members of etcd: it is older than this plugin, or the kubeconfig is not that of a Gatehouse (%w)", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: the cluster role gatehouse:diagnostics permits to read them", err)
	}
	return err
}

// asTable requests tables with whole objects, from which the sentence about the cluster is.
func asTable(request *rest.Request) *rest.Request {
	return request.Resource(v1alpha1.StorageMembers).
		SetHeader("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").
		Param("includeObject", string(metav1.IncludeObject))
}

// readMembers returns the columns of the server.
func readMembers(ctx context.Context, client rest.Interface) (*membersTable, error) {
	result := asTable(client.Get()).Do(ctx)
	if err := result.Error(); err != nil { // that of Raw has no message
		return nil, withoutMembers(err)
	}
	content, err := result.Raw()
	if err != nil {
		return nil, err
	}
	table := &membersTable{}
	return table, table.add(content)
}

// settling is the time after an event in which the events of the other members arrive.
const settling = 300 * time.Millisecond

// follow prints the status whenever it changes, until the context ends.
func (c *storageStatus) follow(ctx context.Context, client rest.Interface) error {
	shown := ""
	for ctx.Err() == nil {
		table, err := readMembers(ctx, client)
		if err != nil {
			return err
		}
		if shown, err = c.showAgain(table, shown); err != nil {
			return err
		}
		body, err := asTable(client.Get()).Param("watch", "true").Param("resourceVersion", table.version).Stream(ctx)
		if err != nil {
			return withoutMembers(err)
		}
		shown, err = c.followStream(ctx, body, table, shown)
		_ = body.Close()
		if err != nil {
			return err
		}
		// The server ends watches after some minutes.
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

// followStream applies the events of a watch to the table until the watch ends.
func (c *storageStatus) followStream(ctx context.Context, body io.Reader, table *membersTable, shown string) (string, error) {
	events := make(chan json.RawMessage)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		defer close(events)
		for decoder := json.NewDecoder(body); ; {
			var event struct {
				Type   string
				Object json.RawMessage
			}
			if err := decoder.Decode(&event); err != nil || event.Type == "ERROR" {
				return
			}
			if event.Type == "DELETED" {
				return // the table is read again
			}
			select {
			case events <- event.Object:
			case <-ended:
				return
			}
		}
	}()
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return shown, nil
		case event, ok := <-events:
			if !ok {
				return shown, nil
			}
			if err := table.add(event); err != nil {
				return shown, err
			}
			if settled == nil {
				settled = time.After(settling)
			}
		case <-settled:
			settled = nil
			var err error
			if shown, err = c.showAgain(table, shown); err != nil {
				return shown, err
			}
		}
	}
}

// showAgain prints the table unless it was shown, and returns what is shown.
func (c *storageStatus) showAgain(table *membersTable, shown string) (string, error) {
	state := table.state()
	if state == shown {
		return shown, nil
	}
	if shown != "" {
		fmt.Fprintln(c.Out)
	}
	now := time.Now()
	fmt.Fprintln(c.Out, now.Format(time.TimeOnly))
	return state, table.write(c.Out, c.output == "wide", now)
}

var errNoTable = errors.New("the server returned no table of members: it is older than this plugin")
