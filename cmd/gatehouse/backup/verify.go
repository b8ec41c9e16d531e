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
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
)

// keyFlags are what decrypts a backup.
type keyFlags struct{ recovery, encryption string }

func (k *keyFlags) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.recovery, "recovery-key-file", "", "File with the recovery key, which decrypts the keys in the backup; - for the standard input.")
	cmd.Flags().StringVar(&k.encryption, "encryption-provider-config", "", "File with the keys of encryption at rest, instead of the one in the backup.")
}

// keys reads the recovery key.
func (k *keyFlags) keys(in io.Reader) (backup.Keys, error) {
	keys := backup.Keys{EncryptionConfig: k.encryption}
	if k.recovery == "" {
		return keys, nil
	}
	var data []byte
	var err error
	if k.recovery == "-" {
		data, err = io.ReadAll(io.LimitReader(in, 64<<10))
	} else {
		data, err = os.ReadFile(k.recovery)
	}
	if err == nil {
		keys.Recovery, err = backup.ParseRecoveryKey(data)
	}
	if err != nil {
		return keys, fmt.Errorf("--recovery-key-file=%s: %w", k.recovery, err)
	}
	return keys, nil
}

func newVerifyCommand() *cobra.Command {
	var flags keyFlags
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Read a whole backup and decode every object in it",
		Long: `Read a whole backup: size and SHA-256 of each part, the pages of the database, its hash and its
numbers of objects, and decode every object. Objects that are encrypted at rest are decoded if there
is a recovery key or an encryption configuration. Temporary files are in $TMPDIR.`,
		Example: `  gatehouse backup verify /mnt/backups/gatehouse-….tar.zst --recovery-key-file recovery.key`,
		Args:    oneBackup,
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := flags.keys(cmd.InOrStdin())
			if err != nil {
				return err
			}
			verified, err := backup.Verify(cmd.Context(), args[0], keys, load)
			if err != nil {
				return err
			}
			printVerified(cmd.OutOrStdout(), verified)
			return nil
		},
	}
	flags.addFlags(cmd)
	return cmd
}

func printVerified(out io.Writer, v *backup.Verified) {
	m := v.Manifest
	fmt.Fprintf(out, "sound: %d objects at revision %d of %s, made by Gatehouse %s with etcd %s\n", m.Total(), m.Revision, m.Created.Format(time.RFC3339), m.Gatehouse, m.Etcd)
	for _, resource := range slices.Sorted(maps.Keys(m.Objects)) {
		fmt.Fprintf(out, "  %6d %s\n", m.Objects[resource], resource)
	}
	if v.Sealed > 0 {
		fmt.Fprintf(out, "not decoded: %d objects that are encrypted at rest: name the recovery key with --recovery-key-file\n", v.Sealed)
	}
	switch {
	case v.KeysOpened:
		fmt.Fprintf(out, "keys decrypted: %s\n", strings.Join(m.KeyFiles, ", "))
	case len(m.KeyFiles) > 0:
		fmt.Fprintf(out, "keys not decrypted: name the recovery key of %s with --recovery-key-file\n", m.Recipient)
	default:
		fmt.Fprintln(out, "without certificates and keys")
	}
}

// oneBackup validates the arguments of a command that takes a backup.
func oneBackup(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes the file of one backup, and not %d arguments; see %s --help", cmd.CommandPath(), len(args), cmd.CommandPath())
	}
	return nil
}
