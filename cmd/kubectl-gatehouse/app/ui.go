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
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/browser"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/ui"
)

// uiCommand holds the flags of ui.
type uiCommand struct {
	*plugin
	address  string
	port     int
	open     bool
	onServer bool
}

func newUICommand(p *plugin) *cobra.Command {
	c := &uiCommand{plugin: p}
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Show the server in a browser",
		Long: `Show the server in a browser: requests and why they are refused, watches, storage, hosts and apps.

The command serves the page on a loopback address of this machine until Ctrl-C, and reads with the
user of the kubeconfig. The browser gets no credentials of it, and the page changes nothing. The link
starts one session: run the command again for another.

With --on-server it prints a link to the page of the server itself, if that has --ui-listen, and
ends. The link is valid for a minute, and its session reads as the user of the kubeconfig, for eight
hours at most.`,
		Example: `  # Print the link to the page
  kubectl gatehouse ui

  # Open it in the browser of the desktop
  kubectl gatehouse ui --open`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&c.address, "address", "", "Loopback address to listen on; if empty, a random one that begins with 127, so that the browser sends the session's cookie to no other server on this machine, or 127.0.0.1 where the system has no others.")
	cmd.Flags().IntVar(&c.port, "port", 0, "Port to listen on; 0 selects a free one.")
	cmd.Flags().BoolVar(&c.open, "open", false, "Open the link in the browser of the desktop, or in $BROWSER.")
	cmd.Flags().BoolVar(&c.onServer, "on-server", false, "Print a link to the page that the server itself serves.")
	return cmd
}

func (c *uiCommand) check() error {
	switch {
	case c.onServer && (c.address != "" || c.port != 0 || c.open):
		return errors.New("--address, --port and --open are for the page on this machine: leave them out with --on-server")
	case c.port < 0 || c.port > 65535:
		return fmt.Errorf("--port=%d is not a number from 0 to 65535", c.port)
	case c.open && browser.Program() == "":
		return errors.New("--open finds no browser: set $BROWSER, or leave the flag out and open the link that is printed")
	}
	return nil
}

func (c *uiCommand) run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.onServer {
		return c.runOnServer(ctx)
	}
	config, _, err := c.config()
	if err != nil {
		return err
	}
	owner, err := ui.OwnerOf(config)
	if err != nil {
		return err
	}
	// Wrong credentials show here and not in the browser.
	identity, err := owner.Identity(ctx)
	if err != nil {
		return err
	}
	proxy, err := ui.NewProxy(c.address, c.port, owner)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "The page of %s as user %q, until Ctrl-C. The link starts one session:\n  %s\n", owner.Server, identity.User, proxy.Link())
	if c.open {
		file, forget, err := hidden(proxy.Link())
		defer forget()
		if err != nil {
			return err
		}
		browser.Open(browser.Program(), file, c.Err)
	}
	return proxy.Run(ctx)
}

// hidden writes a document that leads to a link. Other users of the machine can read the arguments of the
// browser, but not the document.
func hidden(link string) (address string, forget func(), err error) {
	dir, err := os.MkdirTemp("", "gatehouse-ui-")
	if err != nil {
		return "", func() {}, err
	}
	forget = func() { _ = os.RemoveAll(dir) }
	path := filepath.Join(dir, "open.html")
	content := strings.ReplaceAll(`<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url=LINK"><a href="LINK">Gatehouse</a>`,
		"LINK", html.EscapeString(link))
	return "file://" + path, forget, os.WriteFile(path, []byte(content), 0o600)
}

// runOnServer prints a link to the page of the server. The server gets the hash of its secret only.
func (c *uiCommand) runOnServer(ctx context.Context) error {
	config, _, err := c.config()
	if err != nil {
		return err
	}
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	secret, sum := ui.NewSecret()
	made, err := clients.DiagnosticsV1alpha1().UISessions().Create(ctx,
		&v1alpha1.UISession{Spec: v1alpha1.UISessionSpec{SecretHash: hex.EncodeToString(sum[:])}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "The page of the server as user %q. The link starts one session, until %s:\n  %s\n",
		made.Status.Username, made.Status.ExpirationTimestamp.Local().Format(time.TimeOnly), ui.Link(made.Status.URL, secret))
	return nil
}
