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
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// portForwardCommand holds the flags of port-forward.
type portForwardCommand struct {
	*plugin
	addresses []string
}

func newPortForwardCommand(p *plugin) *cobra.Command {
	c := &portForwardCommand{plugin: p}
	cmd := &cobra.Command{
		Use:   "port-forward (INSTANCE | app/NAME) [LOCAL:]REMOTE... [flags]",
		Short: "Forward local ports to an instance",
		Long: `Forward local ports to ports of an instance, or of the first instance of an app that is ready. REMOTE is
a number, or the name of a port of a container. A local port that is left out is the same as the
remote one, and an empty one, as in :8080, is chosen.`,
		Example: `  # http://localhost:8080 is port 80 of an instance of the app
  kubectl gatehouse port-forward app/web 8080:80

  # A free local port, for all addresses of this machine
  kubectl gatehouse port-forward web-844cf8b45-w5s76 :80 --address 0.0.0.0`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	cmd.Flags().StringSliceVar(&c.addresses, "address", []string{"localhost"}, "Local addresses to listen on, or localhost, comma separated.")
	return cmd
}

func (c *portForwardCommand) run(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("port-forward takes an instance and a port: write INSTANCE or app/NAME, and LOCAL:REMOTE")
	}
	for _, pair := range args[1:] {
		if _, _, err := parsePorts(pair); err != nil {
			return err
		}
	}
	client, namespace, err := c.connect()
	if err != nil {
		return err
	}
	t, err := c.findInstance(ctx, client, namespace, args[0])
	if err != nil {
		return err
	}
	var ports []string
	for _, pair := range args[1:] {
		local, remote, err := parsePorts(pair)
		if err == nil {
			remote, err = numberOf(t.instance, remote)
		}
		if err != nil {
			return err
		}
		if !strings.Contains(pair, ":") {
			local = remote
		}
		ports = append(ports, local+":"+remote)
	}
	return c.forward(ctx, t, ports)
}

// parsePorts parses LOCAL:REMOTE, :REMOTE and REMOTE. An empty local port is one that the system
// chooses, or if no colon is given the remote one.
func parsePorts(pair string) (local, remote string, err error) {
	local, remote, ok := strings.Cut(pair, ":")
	if !ok {
		local, remote = "", pair
	}
	if local != "" && !isPort(local) || remote == "" || remote[0] >= '0' && remote[0] <= '9' && !isPort(remote) || strings.Contains(remote, ":") {
		return "", "", fmt.Errorf("%q is not a pair of ports: write LOCAL:REMOTE, with numbers from 1 to 65535, or :REMOTE for a free local port", pair)
	}
	return local, remote, nil
}

func isPort(text string) bool {
	number, err := strconv.ParseUint(text, 10, 16)
	return err == nil && number > 0
}

// numberOf returns the number of a port of an instance.
func numberOf(instance *v1alpha1.Instance, port string) (string, error) {
	if isPort(port) {
		return port, nil
	}
	var names []string
	for i := range instance.Spec.Containers {
		for _, p := range instance.Spec.Containers[i].Ports {
			if p.Name == port {
				return strconv.Itoa(int(p.ContainerPort)), nil
			}
			if p.Name != "" {
				names = append(names, p.Name)
			}
		}
	}
	if len(names) == 0 {
		return "", fmt.Errorf("the instance %q has no named ports: write the number of the port instead of %q", instance.Name, port)
	}
	return "", fmt.Errorf("the instance %q has no port %q: its ports are %s", instance.Name, port, strings.Join(names, ", "))
}

// forward forwards ports until the context ends or the connection is lost.
func (c *portForwardCommand) forward(ctx context.Context, t *target, ports []string) error {
	config, _, err := c.config()
	if err != nil {
		return err
	}
	dialer, err := newPortDialer(config, t)
	if err != nil {
		return err
	}
	forwarder, err := portforward.NewOnAddressesForStreaming(dialer, c.addresses, ports, ctx.Done(), make(chan struct{}), c.Out, c.Err)
	if err != nil {
		return err
	}
	err = forwarder.ForwardPorts()
	if ctx.Err() != nil {
		return nil
	}
	if errors.Is(err, portforward.ErrLostConnectionToPod) {
		return fmt.Errorf("the connection to the instance %q was lost: it has ended, or its host is away", t.instance.Name)
	}
	return err
}

// newPortDialer returns a dialer by WebSocket, or by SPDY where a proxy does not pass that.
func newPortDialer(config *rest.Config, t *target) (httpstream.Dialer, error) {
	location := t.request(http.MethodPost, "portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	websocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(location, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(websocket, spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, location), needsSPDY), nil
}
