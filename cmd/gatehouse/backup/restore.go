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

package backup

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
)

// NewRestoreCommand returns "gatehouse restore".
func NewRestoreCommand() *cobra.Command {
	var flags keyFlags
	o := backup.RestoreOptions{Load: load}
	cmd := &cobra.Command{
		Use:   "restore FILE --data-dir NEW",
		Short: "Make a new data directory from a backup",
		Long: `Make a new data directory from a backup, with the objects, certificates and keys of the server. Every
object is decoded from the new directory before it gets its name, and an existing directory is
never overwritten: after an interruption, run the command again.

Clients notice: every watch ends with 410 Gone and its client lists again, because revisions after
the backup are lost. Stop the old server first, and let only one of the two serve its clients. The
etcd in the new directory is a cluster of its own: members of the old one cannot join it.

The backup of an external etcd is restored by etcd's own tool; the database is in the backup:
  tar --zstd -xf FILE etcd.db
  etcdutl snapshot restore etcd.db --bump-revision 1000000000 --mark-compacted --data-dir …`,
		Example: `  gatehouse restore gatehouse-….tar.zst --data-dir /var/lib/gatehouse-restored --recovery-key-file recovery.key`,
		Args:    oneBackup,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.DataDir == "" {
				return fmt.Errorf("--data-dir is required: name a new directory for the restored server")
			}
			if o.NewKeys && flags.recovery != "" {
				return fmt.Errorf("--new-keys and --recovery-key-file exclude each other: with the recovery key, the keys of the backup are restored")
			}
			var err error
			if o.Keys, err = flags.keys(cmd.InOrStdin()); err != nil {
				return err
			}
			began := time.Now()
			restored, err := backup.Restore(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			printRestored(cmd.OutOrStdout(), o.DataDir, restored, time.Since(began))
			return nil
		},
	}
	flags.addFlags(cmd)
	cmd.Flags().StringVar(&o.DataDir, "data-dir", "", "Required. The new data directory, which must not exist or must be empty.")
	cmd.Flags().BoolVar(&o.NewKeys, "new-keys", false, "Restore the objects only. The first start makes new certificates and keys, and certificates, kubeconfigs and tokens that were issued before do not work.")
	cmd.Flags().BoolVar(&o.AcceptDamaged, "accept-damaged", false, "Restore a backup although objects in it cannot be decoded. The server answers requests for them as docs/damaged-data.md says.")
	return cmd
}

func printRestored(out io.Writer, dataDir string, r *backup.Restored, took time.Duration) {
	m := r.Manifest
	fmt.Fprintf(out, "Restored %d objects of %s into %s in %s; %d were decoded from there.\n", m.Total(), m.Created.Format(time.RFC3339), dataDir, took.Round(time.Millisecond), r.Objects)
	if r.Sealed > 0 {
		fmt.Fprintf(out, "%d objects are encrypted at rest and were not decoded: the server needs their --encryption-provider-config.\n", r.Sealed)
	}
	for _, damaged := range r.Damaged {
		fmt.Fprintf(out, "damaged: %s\n", damaged)
	}
	if len(r.KeyFiles) > 0 {
		fmt.Fprintf(out, "Certificates and keys: %d files. Credentials that were issued before work.\n", len(r.KeyFiles))
	} else {
		fmt.Fprintln(out, "No certificates and keys: the first start makes new ones, so issue credentials again.")
	}
	fmt.Fprintf(out, "Start it with\n  gatehouse up --data-dir %s", command.QuoteForShell(dataDir))
	if r.EncryptionConfig != "" {
		fmt.Fprintf(out, " --encryption-provider-config %s", command.QuoteForShell(r.EncryptionConfig))
	}
	fmt.Fprintln(out)
}
