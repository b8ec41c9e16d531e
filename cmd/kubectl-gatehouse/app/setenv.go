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
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// setEnvCommand holds the flags of set env.
type setEnvCommand struct {
	setCommand
	containers      string
	env             []string
	from            string
	list, overwrite bool
}

func newSetEnvCommand(p *plugin) *cobra.Command {
	c := &setEnvCommand{setCommand: newSet(p), containers: "*", overwrite: true}
	cmd := &cobra.Command{
		Use:   "env APP... KEY=VALUE... KEY-... [flags]",
		Short: "Change or list the environment variables of an app's containers",
		Long: `Set (KEY=VALUE), remove (KEY-) or list (--list) the environment variables of an app's
containers, as "kubectl set env" does for deployments. Values come from the command line or, with
"-" in place of a pair, from standard input: an Instance cannot read secrets and config maps yet.

--list prints a value with control characters as a quoted string.`,
		Example: `  # Set one variable and remove another
  kubectl gatehouse set env app/web MODE=prod DEBUG-

  # List the variables of all containers
  kubectl gatehouse set env app/web --list

  # Set a variable of one container only
  kubectl gatehouse set env app/web -c server MODE=prod

  # Set what the shell has
  env | grep ^RAILS_ | kubectl gatehouse set env app/web -`,
	}
	c.addFlags(cmd)
	fs := cmd.Flags()
	fs.StringVarP(&c.containers, "containers", "c", c.containers, "Names of the containers to change; '*' matches any characters.")
	fs.StringArrayVarP(&c.env, "env", "e", nil, "Variable to set, as KEY=VALUE, or to remove, as KEY-; - reads variables from standard input. May be repeated.")
	fs.BoolVar(&c.list, "list", false, "Print the variables with the given changes applied, and change nothing.")
	fs.BoolVar(&c.overwrite, "overwrite", c.overwrite, "Overwrite variables that have a value. With --overwrite=false, such a change is refused.")
	fs.StringVar(&c.from, "from", "", "")
	_ = fs.MarkHidden("from") // it exists to be refused with a reason
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), cmd.InOrStdin(), args) }
	return cmd
}

func (c *setEnvCommand) run(ctx context.Context, input io.Reader, args []string) error {
	if err := c.writeFlags.check(); err != nil {
		return err
	}
	if c.from != "" {
		return fmt.Errorf("--from=%s cannot be served: an Instance cannot read secrets and config maps yet; set the values themselves, as KEY=VALUE", c.from)
	}
	if c.list && (c.output != "" || c.dryRun != "none") {
		return errors.New("--list prints variables and not objects: leave out --output and --dry-run")
	}
	names, pairs, err := splitPairs(args, isEnvChange, "KEY=VALUE or KEY-")
	if err != nil {
		return err
	}
	pairs, err = withStdin(append(slices.Clone(c.env), pairs...), input)
	if err != nil {
		return err
	}
	set, removed, err := parseEnv(pairs)
	if err != nil {
		return err
	}
	if err := c.take(names, appKinds); err != nil {
		return err
	}
	change := func(app *v1alpha1.App) error { return c.change(app, set, removed) }
	if c.list {
		return c.printEnv(ctx, change)
	}
	if len(pairs) == 0 {
		return errors.New("no change is given: write KEY=VALUE to set a variable, KEY- to remove one, or use --list")
	}
	return c.each(ctx, "env", change)
}

func isEnvChange(arg string) bool { return isAssignment(arg) || strings.HasSuffix(arg, "-") }

// withStdin puts the variables on standard input in the place of "-".
func withStdin(pairs []string, input io.Reader) ([]string, error) {
	at := slices.Index(pairs, "-")
	if at < 0 {
		return pairs, nil
	}
	var read []string
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); isAssignment(line) && !strings.HasPrefix(line, "#") {
			read = append(read, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	rest := slices.DeleteFunc(slices.Clone(pairs[at:]), func(pair string) bool { return pair == "-" })
	return slices.Concat(pairs[:at], read, rest), nil
}

// parseEnv parses KEY=VALUE, which sets a variable, and KEY-, which removes it.
func parseEnv(pairs []string) (set []v1alpha1.EnvVar, removed []string, err error) {
	seen := map[string]bool{}
	for _, pair := range pairs {
		name, value, assigned := strings.Cut(pair, "=")
		if !assigned {
			var ok bool
			if name, ok = strings.CutSuffix(pair, "-"); !ok {
				return nil, nil, fmt.Errorf("%q is no change: write KEY=VALUE to set a variable, or KEY- to remove one", pair)
			}
		}
		if problems := validation.IsRelaxedEnvVarName(name); len(problems) > 0 {
			return nil, nil, fmt.Errorf("%q names no variable, write KEY=VALUE or KEY-: %s", pair, problems[0])
		}
		if seen[name] {
			return nil, nil, fmt.Errorf("%s is given twice: set or remove it once", name)
		}
		seen[name] = true
		if assigned {
			set = append(set, v1alpha1.EnvVar{Name: name, Value: value})
		} else {
			removed = append(removed, name)
		}
	}
	return set, removed, nil
}

// change sets and removes variables of one app. Those that stay keep their order, new ones come
// last.
func (c *setEnvCommand) change(app *v1alpha1.App, set []v1alpha1.EnvVar, removed []string) error {
	containers, err := containersOf(app, c.containers)
	if err != nil {
		return err
	}
	for _, container := range containers {
		container.Env = slices.DeleteFunc(container.Env, func(e v1alpha1.EnvVar) bool { return slices.Contains(removed, e.Name) })
		for _, variable := range set {
			at := slices.IndexFunc(container.Env, func(e v1alpha1.EnvVar) bool { return e.Name == variable.Name })
			switch {
			case at < 0:
				container.Env = append(container.Env, variable)
			case container.Env[at].Value != variable.Value && !c.overwrite:
				return fmt.Errorf("app %q, container %q: %s has a value, and --overwrite=false is set: leave out the flag or the variable", app.Name, container.Name, variable.Name)
			default:
				container.Env[at] = variable
			}
		}
	}
	return nil
}

func (c *setEnvCommand) printEnv(ctx context.Context, change func(*v1alpha1.App) error) error {
	client, namespace, err := c.connect()
	if err != nil {
		return err
	}
	apps, failed := c.apps(ctx, client.Apps(namespace), namespace)
	for i := range apps {
		if err := change(&apps[i]); err != nil {
			failed = append(failed, err)
			continue
		}
		containers, err := containersOf(&apps[i], c.containers)
		if err != nil {
			return err // change has detected them
		}
		for _, container := range containers {
			fmt.Fprintf(c.Out, "# App %s, container %s\n", apps[i].Name, container.Name)
			for _, variable := range container.Env {
				fmt.Fprintf(c.Out, "%s=%s\n", variable.Name, onOneLine(variable.Value))
			}
		}
	}
	return errors.Join(failed...)
}

// onOneLine quotes a value that would break the line or steer the terminal.
func onOneLine(value string) string {
	if strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(value)
	}
	return value
}
