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

// Package backup has "gatehouse backup" and "gatehouse restore".
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup/target"
	"github.com/gatehouse-dev/gatehouse/pkg/version"
)

// NewCommand returns "gatehouse backup".
func NewCommand() *cobra.Command {
	return command.Parent("backup", "Make, list and verify backups of objects and keys", newInitCommand(), newNowCommand(), newListCommand(), newVerifyCommand(), newFetchCommand())
}

// load is a backup.LoadDecoder.
func load(ctx context.Context, encryptionConfig string) (backup.Decoder, error) {
	return apiserver.LoadStoredObjects(ctx, encryptionConfig)
}

func newInitCommand() *cobra.Command {
	dataDir, out, replace := options.DefaultDataDir(), "", false
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the recovery key, which decrypts the keys in backups",
		Long: `Make a recovery key and print it. Keep it apart from the machine and from the backups, for example
in a password manager: "gatehouse restore" needs it, and it is shown only now. The data directory
keeps its public part, with which backups are encrypted.

"gatehouse up" does the same at its first start in a terminal.`,
		Example: `  gatehouse backup init
  gatehouse backup init --data-dir /var/lib/gatehouse --out /media/usb/recovery.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := files.Directory(dataDir); err != nil {
				return fmt.Errorf("--data-dir: %w: name the data directory of a server", err)
			}
			secret, public, err := backup.NewRecoveryKey()
			if err != nil {
				return err
			}
			if existing, err := backup.Recipient(dataDir); (err != nil || existing != "") && !replace {
				return errors.Join(err, fmt.Errorf("%s has the public part of a recovery key: keep that key, or make another one for later backups with --replace; backups that exist need theirs", dataDir))
			}
			// The key is shown before backups are encrypted to it.
			if out != "" {
				if err := files.WriteNew(out, []byte(secret+"\n"), 0o600); errors.Is(err, fs.ErrExist) {
					return fmt.Errorf("--out=%s exists and is not overwritten: name another file", out)
				} else if err != nil {
					return fmt.Errorf("--out: %w", err)
				}
			} else {
				printRecoveryKey(cmd.OutOrStdout(), secret)
			}
			return backup.SaveRecipient(dataDir, public, replace)
		},
	}
	addDataDir(cmd, &dataDir)
	cmd.Flags().StringVar(&out, "out", out, "New file for the recovery key, instead of the terminal.")
	cmd.Flags().BoolVar(&replace, "replace", replace, "Replace the recovery key for later backups. Those that exist need the former one.")
	return cmd
}

// FirstKey makes the recovery key of a data directory that has none and prints it, if the output is a terminal: another
// output may be a log file. Without a key it prints the command that makes one.
func FirstKey(out io.Writer, dataDir string, terminal bool) {
	public, err := backup.Recipient(dataDir)
	if err == nil && public == "" {
		if !terminal {
			fmt.Fprintf(out, "Backups have no certificates and keys until \"gatehouse backup init --data-dir %s\" makes their recovery key.\n", command.QuoteForShell(dataDir))
			return
		}
		var secret string
		if secret, public, err = backup.NewRecoveryKey(); err == nil {
			// The key is shown before backups are encrypted to it.
			printRecoveryKey(out, secret)
			err = backup.SaveRecipient(dataDir, public, false)
		}
	}
	if err != nil {
		fmt.Fprintf(out, "Backups have no certificates and keys: %v\n", err)
	}
}

// printRecoveryKey prints a new recovery key.
func printRecoveryKey(out io.Writer, secret string) {
	fmt.Fprintf(out, `Recovery key, shown only now:
  %s
Keep it apart from this machine and its backups: "gatehouse restore" needs it for certificates and keys.
`, secret)
}

func addDataDir(cmd *cobra.Command, dataDir *string) {
	cmd.Flags().StringVar(dataDir, "data-dir", *dataDir, "The server's data directory.")
}

// place is where backups are.
type place struct {
	dataDir, dir string
	bucket       backup.BucketOptions
	etcd         storage.Connection
	encryption   string
}

func newPlace() *place {
	return &place{dataDir: options.DefaultDataDir(), bucket: backup.NewOptions().Bucket}
}

func (p *place) addFlags(cmd *cobra.Command) {
	addDataDir(cmd, &p.dataDir)
	backup.AddDirFlag(cmd.Flags(), &p.dir, "Directory of the backups. Where empty, that of the server in --data-dir.")
	p.bucket.AddFlags(cmd.Flags())
}

// settings returns the settings of the server, changed by flags.
func (p *place) settings() (backup.Settings, error) {
	if err := command.Invalid(p.bucket.Validate()); err != nil {
		return backup.Settings{}, err
	}
	settings, err := backup.ReadSettings(p.dataDir)
	if err != nil {
		return settings, fmt.Errorf("--data-dir: %w", err)
	}
	if p.bucket.URL != "" {
		settings.Bucket = p.bucket
	}
	if p.dir != "" {
		settings.Dir = p.dir
	}
	if len(p.etcd.Endpoints) > 0 {
		settings.Etcd = p.etcd
	}
	if p.encryption != "" {
		settings.EncryptionConfig = p.encryption
	}
	return settings, nil
}

func newNowCommand() *cobra.Command {
	p := newPlace()
	cmd := &cobra.Command{
		Use:   "now",
		Short: "Make a backup and verify it",
		Long: `Save the objects and keys of the running server in one file, read the file back, and decode every
object in it. With --etcd-servers, an external etcd is saved without a server, and without
certificates and keys unless --data-dir has them.`,
		Example: `  gatehouse backup now
  gatehouse backup now --data-dir /var/lib/gatehouse --backup-dir /mnt/backups
  gatehouse backup now --etcd-servers https://10.0.0.1:2379 --etcd-cafile ca.crt --etcd-certfile client.crt --etcd-keyfile client.key --backup-dir /mnt/backups`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := p.settings()
			if err != nil {
				return err
			}
			if len(settings.Etcd.Endpoints) == 0 {
				return fmt.Errorf("no server has been started in --data-dir=%s: start one, name its directory, or name an etcd with --etcd-servers", p.dataDir)
			}
			made, err := settings.Maker(p.dataDir, version.Product(), load).Make(cmd.Context())
			if made != nil {
				in := settings.Target().String()
				if _, failed := errors.AsType[*target.CopyError](err); failed {
					in = settings.Dir
				}
				printMade(cmd.OutOrStdout(), in, made)
			}
			if errors.Is(err, backup.ErrNoAnswer) && len(p.etcd.Endpoints) == 0 {
				err = fmt.Errorf("%w: does the server run in --data-dir=%s, and as this user?", err, p.dataDir)
			}
			return err
		},
	}
	p.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&p.etcd.Endpoints, "etcd-servers", nil, "URLs of an external etcd, comma separated, instead of the server's.")
	flags.StringVar(&p.etcd.CAFile, "etcd-cafile", "", "Certificates of the authorities that sign the external etcd's certificate.")
	flags.StringVar(&p.etcd.CertFile, "etcd-certfile", "", "Client certificate for the external etcd.")
	flags.StringVar(&p.etcd.KeyFile, "etcd-keyfile", "", "Key of the client certificate for the external etcd.")
	flags.StringVar(&p.encryption, "encryption-provider-config", "", "File with the keys of encryption at rest. Where empty, that of the server.")
	return cmd
}

func printMade(out io.Writer, in string, made *backup.Made) {
	m := made.Manifest
	fmt.Fprintf(out, "%s\n  in %s, %s\n", made.Name, in, size(made.Bytes))
	fmt.Fprintf(out, "  %d objects at revision %d, of which %d were decoded\n", m.Total(), m.Revision, m.Total()-len(m.Damaged))
	if len(m.KeyFiles) > 0 {
		fmt.Fprintf(out, "  %d files with certificates and keys, encrypted to the recovery key\n", len(m.KeyFiles))
	} else {
		fmt.Fprintln(out, "  no certificates and keys: \"gatehouse backup init\" makes the recovery key that they need")
	}
	fmt.Fprintf(out, "  made and verified in %s\n", made.Took.Round(time.Millisecond))
}

func size(bytes int64) string {
	if bytes < 1e6 {
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}

func newListCommand() *cobra.Command {
	p := newPlace()
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the backups, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := p.settings()
			if err != nil {
				return err
			}
			return list(cmd.Context(), cmd.OutOrStdout(), settings.Target())
		},
	}
	p.addFlags(cmd)
	return cmd
}

func list(ctx context.Context, to io.Writer, from target.Target) error {
	found, err := from.List(ctx)
	if err != nil {
		return err
	}
	type row struct {
		backup.Name
		bytes int64
	}
	var rows []row
	for _, file := range found {
		if name, ok := backup.ParseName(file.Name); ok {
			rows = append(rows, row{name, file.Bytes})
		}
	}
	if len(rows) == 0 {
		return fmt.Errorf("there is no backup in %s: make one with \"gatehouse backup now\", or name another directory with --backup-dir", from)
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(b.Time.String(), a.Time.String()) })
	out := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "NAME\tAGE\tSIZE\tREVISION\tOBJECTS")
	for _, r := range rows {
		state := "all decoded"
		if r.Damaged {
			state = "some damaged: gatehouse backup verify names them"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%s\n", r.Name, time.Since(r.Time).Round(time.Second), size(r.bytes), r.Revision, state)
	}
	return out.Flush()
}
