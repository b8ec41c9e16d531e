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

// Package encryption has "gatehouse encryption".
package encryption

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/encryption"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

// NewCommand returns "gatehouse encryption".
func NewCommand() *cobra.Command {
	return command.Parent("encryption", "Encrypt stored objects, and rotate the keys",
		newEncryptionInitCommand(),
		newKeysCommand("status", "Show keys, which servers have loaded them, and how objects are stored",
			`Show the providers and the names of the keys of the file, whether each server has loaded it, and
with which key objects are stored. Objects are counted if the server with an embedded etcd runs on
this machine in --data-dir. Keys that objects need and the file does not have are named, and there
is a warning if other users can read or replace the file. No key is shown.`, false,
			func(o *encryption.Options, cmd *cobra.Command, file string) error {
				return o.Status(cmd.Context(), file, cmd.OutOrStdout())
			}),
		newKeysCommand("rotate", "Replace the key, rewrite all objects, and drop the old key",
			`Add a key, wait until every server has loaded it, write with it, rewrite all objects, and drop the
older keys. With servers on several machines, copy the file to each when the command waits for it.

The stage of the rotation is read from the file: a rotation that was killed continues when the
command runs again.`, true,
			func(o *encryption.Options, cmd *cobra.Command, file string) error {
				return o.Rotate(cmd.Context(), file, cmd.ErrOrStderr())
			}),
		newKeysCommand("rewrite", "Store all objects with the current key",
			`Update every object of every kind without a change, which stores it with the key that servers write
with. Run it after encryption was enabled, and after a KMS plugin has a new key. It can be
repeated: objects that are stored with the right key are not written.

It needs the rights to list and patch every kind, and to get the nonResourceURL /metrics, as
cluster-admin has.`, true,
			func(o *encryption.Options, cmd *cobra.Command, file string) error {
				return o.Rewrite(cmd.Context(), file, cmd.ErrOrStderr())
			}))
}

func newEncryptionInitCommand() *cobra.Command {
	var plaintextFirst bool
	cmd := &cobra.Command{
		Use:   "init FILE",
		Short: "Write a file with a new key, for --encryption-provider-config",
		Long: `Write an EncryptionConfiguration that encrypts all kinds with a random key (secretbox), and still
reads objects that were stored without encryption. The file has mode 0600, and an existing one
is never overwritten.

A key beside the data protects copies of the data: backups, snapshots, discarded disks. It does
not protect from a user that reads this machine's files; a KMS plugin does.`,
		Example: `  gatehouse encryption init /etc/gatehouse/encryption/config.yaml`,
		Args:    command.ExactlyOneFile("encryption-provider-config"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := encryption.Init(args[0], time.Now(), plaintextFirst)
			if err != nil {
				return err
			}
			printInit(cmd.OutOrStdout(), file.Path, plaintextFirst)
			return nil
		},
	}
	cmd.Flags().BoolVar(&plaintextFirst, "plaintext-first", plaintextFirst, "For several servers of the same data: servers read with the key and write without encryption, until \"gatehouse encryption rotate\" finds that all have the file.")
	return cmd
}

func printInit(out io.Writer, path string, plaintextFirst bool) {
	next := "rewrite"
	if plaintextFirst {
		next = "rotate"
	}
	fmt.Fprintf(out, `Wrote %s with a new key. Start the server with
  gatehouse up --encryption-provider-config=%s
  gatehouse apiserver --encryption-provider-config=%s --encryption-provider-config-automatic-reload ...
and then encrypt the objects that exist:
  gatehouse encryption %s %s
Without this file the data cannot be read: keep a copy, and not beside the backups of the data. A key on the
same disk as the data protects only copies of the data, such as backups.
`, path, command.QuoteForShell(path), command.QuoteForShell(path), next, command.QuoteForShell(path))
}

// newKeysCommand returns a command on a file and the servers that use it.
func newKeysCommand(name, short, long string, rewrites bool, run func(*encryption.Options, *cobra.Command, string) error) *cobra.Command {
	o := encryption.New(options.DefaultDataDir(), options.KubeconfigName)
	cmd := &cobra.Command{
		Use:   name + " FILE",
		Short: short,
		Long:  long,
		Example: fmt.Sprintf(`  gatehouse encryption %s /etc/gatehouse/encryption/config.yaml
  gatehouse encryption %s config.yaml --kubeconfig admin.kubeconfig --replica https://10.0.0.1:6443 --replica https://10.0.0.2:6443`, name, name),
		Args: command.ExactlyOneFile("encryption-provider-config"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := command.Invalid(o.Validate()); err != nil {
				return err
			}
			return run(o, cmd, args[0])
		},
	}
	o.AddFlags(cmd.Flags())
	if rewrites {
		o.AddRewriteFlags(cmd.Flags())
	}
	if name == "rotate" {
		cmd.Flags().BoolVar(&o.Resume, "resume", o.Resume, "Begin no rotation: end one that was interrupted, and rewrite what it may have left.")
	}
	return cmd
}
