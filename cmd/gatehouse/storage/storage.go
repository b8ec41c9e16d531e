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

// Package storage has the commands "gatehouse storage": clients of the members of etcd. Their logic is in
// pkg/storage/space.
package storage

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/grpclog"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/space"
)

// NewCommand returns "gatehouse storage".
func NewCommand() *cobra.Command {
	return command.Parent("storage", "Show what fills the database of etcd, and make space in it",
		newStatusCommand(), newTopCommand(), newCompactCommand(), newDefragCommand())
}

// newCommand returns a command that runs with a connection to etcd.
func newCommand(name, short, long string, run func(ctx context.Context, cmd *cobra.Command, o *space.Options, etcd *space.Etcd) error) *cobra.Command {
	o := space.NewOptions(options.DefaultDataDir())
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long, Args: cobra.NoArgs,
		Example: fmt.Sprintf(`  gatehouse storage %s
  gatehouse storage %s --etcd-servers=https://10.0.0.1:2379 --etcd-cafile=ca.crt --etcd-certfile=client.crt --etcd-keyfile=client.key`, name, name),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.Invalid(o.Validate()); err != nil {
				return err
			}
			// The errors of members are in the output of the commands.
			grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), o.Timeout, fmt.Errorf("the command did not end within --timeout=%v", o.Timeout))
			defer cancel()
			peers := certificates.PeerFilesIn(filepath.Join(o.DataDir, options.CertificateDirName))
			etcd, err := o.Open(ctx, storage.Connection{CAFile: peers.CAFile, CertFile: peers.CertFile, KeyFile: peers.KeyFile})
			if err != nil {
				return err
			}
			defer etcd.Close()
			if err := run(ctx, cmd, o, etcd); err != nil {
				if ctx.Err() != nil {
					return fmt.Errorf("%w: %w", context.Cause(ctx), err)
				}
				return err
			}
			return nil
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func newStatusCommand() *cobra.Command {
	return newCommand("status", "Show the size, the part in use and the quota of each member",
		`Show the members of etcd: role, size of the database, the part of it that is in use, the quota, what
a defragmentation would regain, and the alarm of a full database.`,
		func(ctx context.Context, cmd *cobra.Command, _ *space.Options, etcd *space.Etcd) error {
			members, err := etcd.Members(ctx)
			if err != nil {
				return err
			}
			return printStatus(cmd.OutOrStdout(), members)
		})
}

func newTopCommand() *cobra.Command {
	return newCommand("top", "Show which resources take the space",
		`Read all keys of etcd, and show for each resource how many objects it has, the bytes of their keys and
values, the share of all bytes, and the largest object. Former versions of objects, which the server drops
within some minutes, and free pages are not counted: "gatehouse storage status" shows the whole file.`,
		func(ctx context.Context, cmd *cobra.Command, o *space.Options, etcd *space.Etcd) error {
			usage, err := etcd.Usage(ctx, o.Prefix)
			if err != nil {
				return err
			}
			return printUsage(cmd.OutOrStdout(), usage)
		})
}

func newCompactCommand() *cobra.Command {
	var revision int64
	cmd := newCommand("compact", "Drop former versions of objects",
		`Drop former versions of objects, which the server otherwise does every five minutes. Reads in pages and
watches that began at an older version get 410 (Gone), and clients start them again. The file stays as
large as it is and has free pages for later writes: "gatehouse storage defrag" shrinks it.`,
		func(ctx context.Context, cmd *cobra.Command, _ *space.Options, etcd *space.Etcd) error {
			if revision < 0 {
				return fmt.Errorf("--revision=%d must not be negative: use 0 for the current revision", revision)
			}
			to, err := etcd.Revision(ctx)
			if err != nil {
				return err
			}
			if revision > 0 {
				to = revision
			}
			if err := etcd.Compact(ctx, to); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "versions before revision %d are dropped\n", to)
			return nil
		})
	cmd.Flags().Int64Var(&revision, "revision", revision, "Drop versions before this revision; 0 for the current one.")
	return cmd
}

func newDefragCommand() *cobra.Command {
	var blocking bool
	cmd := newCommand("defrag", "Shrink the database to the part in use, one member after the other",
		`Defragment the members one after the other, followers first. The leader is last, after another member has
become leader. The command refuses while a member is unhealthy or a learner, because the member that is
defragmented responds to no request meanwhile.

A lone member is defragmented only with --allow-blocking, or if its database is full. If the alarm of a full
database is set and the file is below 85 % of the quota afterwards, the alarm is removed.

The members of an embedded etcd on other machines are reached at their addresses for peers, with the
certificate of the member of this machine.`,
		func(ctx context.Context, cmd *cobra.Command, _ *space.Options, etcd *space.Etcd) error {
			if err := etcd.Defragment(ctx, blocking, cmd.OutOrStdout()); err != nil {
				return err
			}
			return disarm(ctx, cmd, etcd)
		})
	cmd.Flags().BoolVar(&blocking, "allow-blocking", blocking, "Defragment a lone member, too, while requests wait.")
	return cmd
}

// disarm removes the alarm of a full database that is not full any more.
func disarm(ctx context.Context, cmd *cobra.Command, etcd *space.Etcd) error {
	members, err := etcd.Members(ctx)
	if err != nil {
		return err
	}
	disarmed, err := etcd.Disarm(ctx, members)
	if err != nil {
		return err
	}
	if disarmed {
		fmt.Fprintln(cmd.OutOrStdout(), "the alarm of the full database is removed: writes are accepted again")
	}
	if members, err = etcd.Members(ctx); err != nil {
		return err
	}
	for i := range members {
		if members[i].NoSpace {
			return fmt.Errorf("member %s stays full with %s of %s: delete objects (\"gatehouse storage top\" shows what takes the space), run \"gatehouse storage compact\", and repeat this command; or raise the quota",
				&members[i], space.Bytes(members[i].Size), space.Bytes(members[i].Quota))
		}
	}
	return nil
}
