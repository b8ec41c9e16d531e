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

// Command manual writes the man pages of all commands and the completions of shells for them. The
// plugin has no completions of its own: kubectl asks cmd/kubectl-gatehouse/kubectl_complete-gatehouse.
//
//	manual -version VERSION -date SECONDS DIRECTORY
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	agent "github.com/gatehouse-dev/gatehouse/cmd/gatehouse-agent/app"
	gatehouse "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app"
	plugin "github.com/gatehouse-dev/gatehouse/cmd/kubectl-gatehouse/app"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// home is the home directory of the reader in the defaults of flags.
const home = "/home/you"

func run(args []string) error {
	fs := flag.NewFlagSet("manual", flag.ContinueOnError)
	version := fs.String("version", "", "version in the footer of the pages")
	date := fs.Int64("date", 0, "date of the pages, in seconds since 1970")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *version == "" || fs.NArg() != 1 {
		return errors.New("usage: manual -version VERSION -date SECONDS DIRECTORY")
	}
	// The pages may not depend on who builds them. The commands read the variables when they are made.
	if err := errors.Join(os.Setenv("HOME", home), os.Unsetenv("XDG_DATA_HOME"), os.Unsetenv("KUBECONFIG")); err != nil {
		return err
	}
	for _, root := range []*cobra.Command{gatehouse.NewCommand(), agent.NewCommand(), plugin.NewCommand(plugin.Streams{Out: io.Discard, Err: io.Discard})} {
		if err := pages(root, *version, time.Unix(*date, 0).UTC(), filepath.Join(fs.Arg(0), "man1")); err != nil {
			return err
		}
		if root.CompletionOptions.HiddenDefaultCmd {
			continue
		}
		if err := completions(root, fs.Arg(0)); err != nil {
			return err
		}
	}
	return nil
}

// pages writes a page for a command and for each of its subcommands.
func pages(root *cobra.Command, version string, date time.Time, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.InitDefaultCompletionCmd()
	each(root, func(cmd *cobra.Command) {
		cmd.DisableAutoGenTag = true
		if name := cmd.Flags().Lookup("name"); name != nil && cmd.CommandPath() == "gatehouse-agent join" {
			name.DefValue = "the name of the machine"
		}
	})
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Date: &date, Source: "Gatehouse " + version, Manual: "Gatehouse"}, dir)
}

func each(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, sub := range cmd.Commands() {
		each(sub, do)
	}
}

// completions writes a file for each shell, with the name that the shell looks for.
func completions(root *cobra.Command, dir string) error {
	name := strings.ReplaceAll(root.CommandPath(), " ", "-")
	for _, shell := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{filepath.Join("bash", name), func(out io.Writer) error { return root.GenBashCompletionV2(out, true) }},
		{filepath.Join("zsh", "_"+name), root.GenZshCompletion},
		{filepath.Join("fish", name+".fish"), func(out io.Writer) error { return root.GenFishCompletion(out, true) }},
	} {
		path := filepath.Join(dir, shell.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		if err := errors.Join(shell.write(file), file.Close()); err != nil {
			return err
		}
	}
	return nil
}
