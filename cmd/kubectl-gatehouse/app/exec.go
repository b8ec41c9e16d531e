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
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// execCommand holds the flags of exec and attach.
type execCommand struct {
	targetCommand
	stdin, tty bool
}

func (c *execCommand) addFlags(cmd *cobra.Command) {
	c.targetCommand.addFlags(cmd)
	cmd.Flags().BoolVarP(&c.stdin, "stdin", "i", false, "Pass the standard input to the container.")
	cmd.Flags().BoolVarP(&c.tty, "tty", "t", false, "The standard input is a terminal.")
}

func newExecCommand(p *plugin) *cobra.Command {
	c := &execCommand{targetCommand: targetCommand{plugin: p}}
	cmd := &cobra.Command{
		Use:   "exec (INSTANCE | app/NAME) [-c CONTAINER] [-i] [-t] -- COMMAND [ARGUMENT...]",
		Short: "Execute a command in a container",
		Long: `Execute a command in a container of an instance, or of the first instance of an app that is ready. The
command is not executed in a shell. Its exit code is that of kubectl gatehouse.`,
		Example: `  # A shell with a terminal
  kubectl gatehouse exec web-844cf8b45-w5s76 -it -- sh

  # Copy the standard input to a file in a container of an app
  kubectl gatehouse exec app/web -i -- tee /tmp/input < input`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			switch {
			case len(args) == 0 || dash == 0:
				return errors.New("no instance is named: write INSTANCE or app/NAME before \"--\"")
			case dash < 0 && len(args) > 1:
				return fmt.Errorf("the command comes after \"--\": write %s -- %s", args[0], args[1])
			case dash > 1:
				return fmt.Errorf("exec takes one instance, not %d: the command comes after \"--\"", dash)
			case len(args) == 1:
				return errors.New("no command is given: write it after \"--\"")
			}
			return c.exec(cmd.Context(), args[0], args[1:])
		},
	}
	c.addFlags(cmd)
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func newAttachCommand(p *plugin) *cobra.Command {
	c := &execCommand{targetCommand: targetCommand{plugin: p}}
	cmd := &cobra.Command{
		Use:   "attach (INSTANCE | app/NAME) [-c CONTAINER] [-i] [-t]",
		Short: "Connect to the program of a container",
		Long: `Connect to the program of a container: its output is printed, and with -i it gets the standard
input. The output before the connection is in the log.`,
		Example: `  # Print what a container writes
  kubectl gatehouse attach web-844cf8b45-w5s76`,
		Args: exactlyOne("instance"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := c.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.stream(cmd.Context(), t, "attach", nil)
		},
	}
	c.addFlags(cmd)
	return cmd
}

func (c *execCommand) exec(ctx context.Context, arg string, command []string) error {
	t, err := c.find(ctx, arg)
	if err != nil {
		return err
	}
	return c.stream(ctx, t, "exec", command)
}

// stream connects the standard streams to a container.
func (c *execCommand) stream(ctx context.Context, t *target, subresource string, command []string) error {
	options := remotecommand.StreamOptions{Stdout: c.Out, Stderr: c.Err}
	if c.stdin {
		options.Stdin = c.In
	}
	switch {
	case c.tty && !c.stdin:
		fmt.Fprintln(c.Err, "--tty needs the standard input: it has no effect without --stdin")
	case c.tty:
		terminal, err := openTerminal(ctx, c.In)
		if err != nil {
			return err
		}
		if terminal == nil {
			fmt.Fprintln(c.Err, "The standard input is not a terminal: --tty has no effect")
		} else {
			defer terminal.restore()
			options.Tty, options.Stderr, options.TerminalSizeQueue = true, nil, terminal
		}
	}
	return c.connectStreams(ctx, t, subresource, command, options)
}

// connectStreams runs a command, or attaches, with streams. An exit code other than 0 is an
// exec.CodeExitError.
func (p *plugin) connectStreams(ctx context.Context, t *target, subresource string, command []string, options remotecommand.StreamOptions) error {
	config, _, err := p.config()
	if err != nil {
		return err
	}
	request := t.request(http.MethodPost, subresource).Param("container", t.container)
	for _, word := range command {
		request.Param("command", word)
	}
	for name, wanted := range map[string]bool{"stdin": options.Stdin != nil, "stdout": options.Stdout != nil, "stderr": options.Stderr != nil, "tty": options.Tty} {
		if wanted {
			request.Param(name, "true")
		}
	}
	executor, err := newExecutor(config, request.URL())
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, options)
}

// newExecutor returns an executor by WebSocket, or by SPDY where a proxy does not pass that.
func newExecutor(config *rest.Config, location *url.URL) (remotecommand.Executor, error) {
	spdy, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, location)
	if err != nil {
		return nil, err
	}
	websocket, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, location.String())
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(websocket, spdy, needsSPDY)
}

// needsSPDY reports whether a WebSocket failed for a reason that SPDY may not have.
func needsSPDY(err error) bool {
	return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
}

// runIn runs a command in a container without a terminal.
func (p *plugin) runIn(ctx context.Context, t *target, command []string, in io.Reader, out, stderr io.Writer) error {
	return p.connectStreams(ctx, t, "exec", command, remotecommand.StreamOptions{Stdin: in, Stdout: out, Stderr: stderr})
}
