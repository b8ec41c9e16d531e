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

// Package member has "gatehouse member".
package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/cluster"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

// NewCommand returns "gatehouse member".
func NewCommand() *cobra.Command {
	return command.Parent("member", "Run the embedded etcd on one, three or five machines",
		newInviteCommand(), newListCommand(), newReplaceCommand(), newRemoveCommand(), newResetCommand())
}

// server holds the flags by which the commands find a server.
type server struct {
	dataDir, kubeconfig string
}

func newServer() *server { return &server{dataDir: options.DefaultDataDir()} }

func (s *server) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&s.dataDir, "data-dir", s.dataDir, "The server's data directory, with the administrator's kubeconfig.")
	fs.StringVar(&s.kubeconfig, "kubeconfig", s.kubeconfig, "Kubeconfig of an administrator, instead of the one in --data-dir.")
}

func (s *server) client() (rest.Interface, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	// A removal waits for the other members.
	config.Timeout = time.Minute
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.RESTClient(), nil
}

func (s *server) config() (*rest.Config, error) {
	if s.kubeconfig == "" {
		return credentials.AdminConfig(s.dataDir, options.KubeconfigName)
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig=%s: %w", s.kubeconfig, err)
	}
	return config, nil
}

func newInviteCommand() *cobra.Command {
	s := newServer()
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Print the command that adds a machine to the cluster",
		Long: `Make an invitation and print the command for the machine of the new member. The token can be used
once, within an hour, and contains what verifies this server; etcd has only its hash. The new member
receives the keys of the cluster: treat the line as a password.

The first invitation makes a server with an embedded etcd the first member of a cluster, without a
restart and with its data. Use three or five members: two are worse than one, because both must run
for writes.

It needs the right to post to the nonResourceURL /members/invite, as cluster-admin has and the role
gatehouse:storage-members.`,
		Example: `  gatehouse member invite
  gatehouse member invite --data-dir /var/lib/gatehouse`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.invite(cmd, "") },
	}
	s.addFlags(cmd.Flags())
	return cmd
}

func newReplaceCommand() *cobra.Command {
	s := newServer()
	cmd := &cobra.Command{
		Use:   "replace NAME",
		Short: "Print the command that replaces a member by another machine",
		Long: `Make an invitation as "gatehouse member invite" does, for a machine that replaces a member. The member is
removed as soon as the new one votes, so the cluster never has fewer members than before.`,
		Example: `  gatehouse member replace c`,
		Args:    oneName,
		RunE:    func(cmd *cobra.Command, args []string) error { return s.invite(cmd, args[0]) },
	}
	s.addFlags(cmd.Flags())
	return cmd
}

// oneName accepts one argument.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes the name of one member, and not %d; \"gatehouse member list\" shows them", cmd.CommandPath(), len(args))
	}
	return nil
}

func (s *server) invite(cmd *cobra.Command, replaces string) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	body, err := json.Marshal(cluster.InviteRequest{Replaces: replaces})
	if err != nil {
		return err
	}
	data, err := client.Post().AbsPath(cluster.InvitePath).SetHeader("Content-Type", "application/json").Body(body).Do(cmd.Context()).Raw()
	if err != nil {
		return refused(data, err)
	}
	invited := cluster.Invited{}
	if err := json.Unmarshal(data, &invited); err != nil {
		return fmt.Errorf("the server answers with something else than an invitation: %w", err)
	}
	printInvited(cmd.OutOrStdout(), invited, replaces)
	return nil
}

func printInvited(out io.Writer, invited cluster.Invited, replaces string) {
	fmt.Fprintf(out, "Run this on the machine of the new member, before %s:\n", invited.Expires.Local().Format(time.TimeOnly))
	fmt.Fprintf(out, "  gatehouse up --join %s --token %s\n", invited.JoinURL, invited.Token)
	if replaces != "" {
		fmt.Fprintf(out, "The member %s is removed when the new one votes.\n", replaces)
	}
	for _, warning := range invited.Warnings {
		fmt.Fprintf(out, "Note: %s.\n", warning)
	}
}

func newRemoveCommand() *cobra.Command {
	s := newServer()
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a member from the cluster",
		Long: `Remove a member by its name or ID. Its server stops, if it runs. etcd refuses the removal if the other
members that respond would be no majority. To keep the number of members, use "gatehouse member replace".`,
		Example: `  gatehouse member remove c`,
		Args:    oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			data, err := client.Delete().AbsPath(cluster.PathPrefix + args[0]).Do(cmd.Context()).Raw()
			if err != nil {
				return refused(data, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Removed %s.\n", args[0])
			return nil
		},
	}
	s.addFlags(cmd.Flags())
	return cmd
}

// refused returns the message of the server where the client drops it.
func refused(data []byte, err error) error {
	status := struct {
		Message string `json:"message"`
	}{}
	if json.Unmarshal(data, &status) == nil && status.Message != "" {
		return errors.New(status.Message)
	}
	return err
}

func newListCommand() *cobra.Command {
	s := newServer()
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the members of the cluster, and say how many may fail",
		Long:  `List the members. "kubectl get storagemembers -o wide" shows more columns, and --watch follows them.`,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := s.client()
			if err != nil {
				return err
			}
			data, err := client.Get().AbsPath("/apis", v1alpha1.GroupName, v1alpha1.SchemeGroupVersion.Version, v1alpha1.StorageMembers).
				SetHeader("Accept", "application/json").Do(cmd.Context()).Raw()
			if err != nil {
				return refused(data, err)
			}
			list := v1alpha1.StorageMemberList{}
			if err := json.Unmarshal(data, &list); err != nil {
				return err
			}
			return printMembers(cmd.OutOrStdout(), list.Items)
		},
	}
	s.addFlags(cmd.Flags())
	return cmd
}

func printMembers(out io.Writer, members []v1alpha1.StorageMember) error {
	table := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(table, "NAME\tID\tROLE\tHEALTH\tBEHIND\tDB\tPEER-URL")
	for _, m := range members {
		behind, url := "-", "-"
		if m.Behind != nil {
			behind = fmt.Sprint(*m.Behind)
		}
		if len(m.PeerURLs) > 0 {
			url = m.PeerURLs[0]
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d kB\t%s\n", m.MemberName, m.Name, m.Role, m.Health, behind, m.DBSizeBytes/1000, url)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(members) > 0 {
		fmt.Fprintln(out, members[0].Cluster.Message+".")
	}
	return nil
}

func newResetCommand() *cobra.Command {
	s := newServer()
	force := false
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Make the data directory of a stopped member one that can join again",
		Long: `Put the data of etcd in a data directory aside, as etcd.removed, so that its server can join a cluster:
after its data was damaged, after it was removed, or after the cluster was restored from a backup. The
server must be stopped. Certificates and keys stay, and are replaced by the join.`,
		Example: `  gatehouse member reset --data-dir /var/lib/gatehouse`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return reset(cmd.OutOrStdout(), s.dataDir, force) },
	}
	cmd.Flags().StringVar(&s.dataDir, "data-dir", s.dataDir, "The data directory of the stopped server.")
	cmd.Flags().BoolVar(&force, "force", force, "Also put the data of a server aside that is no member of a cluster.")
	return cmd
}

func reset(out io.Writer, dataDir string, force bool) (err error) {
	if _, err := os.Stat(dataDir); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	lock, err := embedded.AcquireLock(filepath.Join(dataDir, "lock"))
	if err != nil {
		return files.Flag("data-dir", err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	state, err := cluster.Load(dataDir)
	if err != nil && !force {
		return err
	}
	if state == nil && !force {
		return fmt.Errorf("--data-dir=%s is no member of a cluster, so no other machine has its data: give --force to put the data aside nevertheless", dataDir)
	}
	aside, err := cluster.Reset(dataDir, filepath.Join(dataDir, "etcd"))
	if err != nil {
		return err
	}
	if aside != "" {
		fmt.Fprintf(out, "The data is in %s: remove it when the member has joined.\n", aside)
	}
	fmt.Fprintln(out, `Next: run "gatehouse member invite" on a member that runs, and here the command that it prints.`)
	return nil
}
