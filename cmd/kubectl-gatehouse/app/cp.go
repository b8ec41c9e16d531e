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
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	utilexec "k8s.io/client-go/util/exec"
)

// cpCommand holds the flags of cp.
type cpCommand struct {
	targetCommand
	noPreserve bool
}

func newCpCommand(p *plugin) *cobra.Command {
	c := &cpCommand{targetCommand: targetCommand{plugin: p}}
	cmd := &cobra.Command{
		Use:   "cp SOURCE DESTINATION",
		Short: "Copy files from and to containers",
		Long: `Copy a file or a directory between this machine and a container, whose image needs the program tar.
One of SOURCE and DESTINATION is a path in a container: INSTANCE:PATH or NAMESPACE/INSTANCE:PATH.

A destination that is a directory gets the source in it. From a container, symbolic links and other
special files are left out, and nothing is written outside of the destination.`,
		Example: `  # To a container, and from it
  kubectl gatehouse cp page.html web-844cf8b45-w5s76:/srv/page.html
  kubectl gatehouse cp web-844cf8b45-w5s76:/var/log logs -c web`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("%s takes a source and a destination, not %d arguments; see %s --help", cmd.CommandPath(), len(args), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0], args[1]) },
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&c.noPreserve, "no-preserve", false, "Do not set the owners and permissions of files in the container.")
	return cmd
}

// place is a path on this machine, or in a container if it has an instance.
type place struct{ namespace, instance, path string }

// parsePlace parses an argument of cp. A path of this machine that contains a colon begins with ./ or /.
func parsePlace(arg string) (place, error) {
	before, after, ok := strings.Cut(arg, ":")
	if !ok || strings.HasPrefix(arg, ".") || strings.HasPrefix(arg, "/") {
		if arg == "" {
			return place{}, errors.New("an empty path cannot be copied: write a path of this machine, or INSTANCE:PATH")
		}
		return place{path: arg}, nil
	}
	p := place{instance: before, path: after}
	if namespace, name, ok := strings.Cut(before, "/"); ok {
		p.namespace, p.instance = namespace, name
	}
	if p.instance == "" || strings.Contains(p.instance, "/") || before[0] == '/' {
		return place{}, fmt.Errorf("%q names no instance: write INSTANCE:PATH or NAMESPACE/INSTANCE:PATH", arg)
	}
	if p.path == "" {
		return place{}, fmt.Errorf("%q has no path: write INSTANCE:PATH", arg)
	}
	return p, nil
}

func (c *cpCommand) run(ctx context.Context, source, destination string) error {
	from, err := parsePlace(source)
	if err != nil {
		return err
	}
	to, err := parsePlace(destination)
	if err != nil {
		return err
	}
	remote := from
	switch {
	case from.instance != "" && to.instance != "":
		return errors.New("cp copies between this machine and a container, not between containers: copy to this machine first")
	case from.instance == "" && to.instance == "":
		return errors.New("neither argument is in a container: write one of them as INSTANCE:PATH")
	case from.instance == "":
		remote = to
		if _, err := os.Lstat(from.path); err != nil {
			return err
		}
	}
	client, namespace, err := c.connect()
	if err != nil {
		return err
	}
	if remote.namespace != "" {
		namespace = remote.namespace
	}
	t, err := c.findIn(ctx, client, namespace, remote.instance)
	if err != nil {
		return err
	}
	execute := func(ctx context.Context, command []string, in io.Reader, out, stderr io.Writer) error {
		return explainTar(c.runIn(ctx, t, command, in, out, stderr), command[0])
	}
	if from.instance != "" {
		return copyFrom(ctx, execute, c.Err, from.path, to.path)
	}
	return c.copyTo(ctx, execute, from.path, to.path)
}

// execution runs a command in a container.
type execution = func(ctx context.Context, command []string, in io.Reader, out, stderr io.Writer) error

// explainTar replaces the error of a command that failed: it has written the reason already.
func explainTar(err error, program string) error {
	exit := utilexec.CodeExitError{}
	switch {
	case errors.As(err, &exit) && (exit.Code == 126 || exit.Code == 127):
		return fmt.Errorf("the container has no program %s, which cp needs", program)
	case errors.As(err, &exit):
		return &programError{program: program, code: exit.Code}
	case err != nil && strings.Contains(err.Error(), "executable file not found"):
		return fmt.Errorf("the container has no program %s, which cp needs", program)
	}
	return err
}

// programError is the error of a program in a container.
type programError struct {
	program string
	code    int
}

// Error implements error.
func (e *programError) Error() string {
	return fmt.Sprintf("%s in the container failed with the exit code %d", e.program, e.code)
}

// lastBlock is more than what tar writes after the end of an archive, in bytes.
const lastBlock = 1 << 20

// copyFrom copies a path of a container to this machine.
func copyFrom(ctx context.Context, execute execution, notes io.Writer, source, destination string) error {
	source = path.Clean(source)
	directory, base := path.Dir(source), path.Base(source)
	if source == "/" || base == "." || base == ".." {
		directory, base = source, "."
	}
	if info, err := os.Stat(destination); err == nil && info.IsDir() && base != "." {
		destination = filepath.Join(destination, base)
	}
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		err := execute(ctx, []string{"tar", "cf", "-", "-C", directory, "--", base}, nil, writer, notes)
		failed <- err
		_ = writer.CloseWithError(err)
	}()
	err := unpack(reader, base, destination, notes)
	if err == nil { // tar fills its last block
		_, _ = io.CopyN(io.Discard, reader, lastBlock)
	}
	_ = reader.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	if err != nil {
		cancel()
	}
	if tarErr := <-failed; tarErr != nil && (err == nil || errors.Is(err, tarErr)) {
		return tarErr
	}
	return err
}

// copyTo copies a path of this machine to a container.
func (c *cpCommand) copyTo(ctx context.Context, execute execution, source, destination string) error {
	inDirectory := strings.HasSuffix(destination, "/")
	destination = path.Clean(destination)
	program := (*programError)(nil)
	switch err := execute(ctx, []string{"test", "-d", destination}, nil, io.Discard, io.Discard); {
	case err == nil:
		absolute, err := filepath.Abs(source)
		if err != nil {
			return err
		}
		destination = path.Join(destination, filepath.ToSlash(filepath.Base(absolute)))
	case inDirectory:
		return fmt.Errorf("%s is not a directory in the container: create it, or leave out the slash at the end", destination)
	case ctx.Err() != nil || !errors.As(err, &program) && !strings.Contains(err.Error(), "has no program"):
		return err
	}
	reader, writer := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(writer, source, path.Base(destination))
		packed <- err
		_ = writer.CloseWithError(err)
	}()
	command := []string{"tar", "xmf", "-", "-C", path.Dir(destination)}
	if c.noPreserve {
		command = []string{"tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-", "-C", path.Dir(destination)}
	}
	err := execute(ctx, command, reader, io.Discard, c.Err)
	_ = reader.CloseWithError(io.ErrClosedPipe)
	if packErr := <-packed; packErr != nil && !errors.Is(packErr, io.ErrClosedPipe) {
		return packErr
	}
	return err
}
