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
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	diagnosticsclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/diagnostics/v1alpha1"
)

// watchesCommand holds the flags of watches.
type watchesCommand struct {
	*plugin
	user                          string
	blocked, ended, follow, watch bool
	output                        string
}

func newWatchesCommand(p *plugin) *cobra.Command {
	c := &watchesCommand{plugin: p}
	cmd := &cobra.Command{
		Use:   "watches",
		Short: "Show the open watches of the server, and those whose clients do not read",
		Long: `Show the open watches of the server: their users, what they watch, what was sent, and for how long
their clients have not taken a write. Those that are blocked come first, then those with the most events.

Every user may see its own watches; the cluster role gatehouse:diagnostics permits to see those of all
users. Each server has its own.`,
		Example: `  # The watches of all namespaces, or those of one
  kubectl gatehouse watches
  kubectl gatehouse watches --namespace shop

  # The watches whose clients do not read, now and from now on
  kubectl gatehouse watches --blocked --follow

  # The latest watches that have ended, with the reason
  kubectl gatehouse watches --ended`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&c.user, "for-user", c.user, "Show the watches of this user only.")
	cmd.Flags().BoolVar(&c.blocked, "blocked", c.blocked, "Show only watches whose clients have not taken a write for a second.")
	cmd.Flags().BoolVar(&c.ended, "ended", c.ended, "Show the latest watches that have ended instead of the open ones.")
	cmd.Flags().BoolVarP(&c.follow, "follow", "f", c.follow, "Show the changes of watches from now on, too.")
	cmd.Flags().BoolVarP(&c.watch, "watch", "w", c.watch, "The same as --follow.")
	cmd.Flags().StringVarP(&c.output, "output", "o", "", "Output format: json, yaml, wide, or a table if empty.")
	completeWords(cmd, "output", "json", "yaml", "wide")
	return cmd
}

func (c *watchesCommand) check() error {
	switch {
	case c.blocked && c.ended:
		return errors.New("--blocked and --ended exclude each other: a watch that has ended waits for no client")
	case c.output != "" && !slices.Contains([]string{"json", "yaml", "wide"}, c.output):
		return fmt.Errorf("--output=%s is unknown: use json, yaml or wide, or leave the flag out", c.output)
	}
	return nil
}

// selector returns the field selector of the flags.
func (c *watchesCommand) selector() string {
	state := v1alpha1.WatchOpen
	if c.ended {
		state = v1alpha1.WatchEnded
	}
	set := fields.Set{v1alpha1.WatchStateField: string(state)}
	if c.user != "" {
		set[v1alpha1.WatchUserField] = c.user
	}
	if c.blocked {
		set[v1alpha1.WatchBlockedField] = strconv.FormatBool(true)
	}
	// The namespace of the kubeconfig does not count: watches have no namespace.
	if namespace := c.overrides.Context.Namespace; namespace != "" {
		set[v1alpha1.WatchNamespaceField] = namespace
	}
	return set.String()
}

func (c *watchesCommand) run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	config, _, err := c.config()
	if err != nil {
		return err
	}
	clients, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	client := clients.DiagnosticsV1alpha1().WatchSessions()
	list, err := client.List(ctx, metav1.ListOptions{FieldSelector: c.selector()})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("the server does not serve watch sessions: it is older than this plugin, or the kubeconfig is not that of a Gatehouse (%w)", err)
	}
	if err != nil {
		return err
	}
	slices.SortFunc(list.Items, bySlowness)
	if err := c.print(list); err != nil || !c.follow && !c.watch {
		return err
	}
	return c.followSessions(ctx, client, list.ResourceVersion)
}

// bySlowness orders sessions: the longest blocked first, then those with the most events. The latest of ended
// ones come first.
func bySlowness(a, b v1alpha1.WatchSession) int {
	return cmp.Or(
		// The earliest start of a write is the longest time.
		cmp.Compare(micros(a.BlockedSince), micros(b.BlockedSince)),
		cmp.Compare(endOf(&b), endOf(&a)), cmp.Compare(b.Events, a.Events), cmp.Compare(a.Name, b.Name),
	)
}

// micros returns a time as a number of which the latest is that of none.
func micros(t *metav1.MicroTime) int64 {
	if t == nil {
		return math.MaxInt64
	}
	return t.UnixMicro()
}

func endOf(s *v1alpha1.WatchSession) int64 {
	if s.End == nil {
		return 0
	}
	return s.End.Time.UnixMicro()
}

// followSessions prints each session that changes until the context ends.
func (c *watchesCommand) followSessions(ctx context.Context, client diagnosticsclient.WatchSessionInterface, version string) error {
	for {
		options := metav1.ListOptions{FieldSelector: c.selector(), ResourceVersion: version, AllowWatchBookmarks: true}
		if version == "" {
			options.SendInitialEvents, options.ResourceVersionMatch = ptr.To(false), metav1.ResourceVersionMatchNotOlderThan
		}
		events, err := client.Watch(ctx, options)
		if apierrors.IsResourceExpired(err) && version != "" {
			version = ""
			continue
		}
		if err != nil {
			return err
		}
		for event := range events.ResultChan() {
			session, ok := event.Object.(*v1alpha1.WatchSession)
			if !ok {
				version = "" // an error: changes are lost
				continue
			}
			version = session.ResourceVersion
			if event.Type == watch.Bookmark || c.ended && event.Type == watch.Deleted {
				continue
			}
			if err := c.printOne(session); err != nil {
				return err
			}
		}
		// The server ends watches after some minutes.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

func (c *watchesCommand) print(list *v1alpha1.WatchSessionList) error {
	list.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "WatchSessionList"}
	if c.output == "json" || c.output == "yaml" {
		return c.printObject(list)
	}
	if len(list.Items) == 0 {
		fmt.Fprintln(c.Err, "No watches found.")
	}
	return sessionTable(c.Out, list.Items, c.output == "wide", true, time.Now())
}

func (c *watchesCommand) printOne(session *v1alpha1.WatchSession) error {
	session.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "WatchSession"}
	if c.output == "json" || c.output == "yaml" {
		return c.printObject(session)
	}
	return sessionTable(c.Out, []v1alpha1.WatchSession{*session}, c.output == "wide", false, time.Now())
}

func (c *watchesCommand) printObject(object any) error {
	if c.output == "json" {
		return c.printJSON(object)
	}
	content, err := yaml.Marshal(object)
	if err != nil {
		return err
	}
	if c.follow || c.watch {
		fmt.Fprintln(c.Out, "---")
	}
	_, err = c.Out.Write(content)
	return err
}

// sessionTable prints a row for each session. Rows that are printed one by one have cells of a fixed width.
func sessionTable(out io.Writer, sessions []v1alpha1.WatchSession, wide, heading bool, now time.Time) error {
	w := tabwriter.NewWriter(out, 12, 8, 2, ' ', 0)
	columns := []string{"BLOCKED", "EVENTS", "BYTES", "AGE", "FROM", "STATE", "USER", "RESOURCE", "OBJECT"}
	if wide {
		columns = append(columns, "SELECTOR", "LONGEST-BLOCKED", "CLIENT", "SOURCE", "AUDIT-ID")
	}
	if heading && len(sessions) > 0 {
		fmt.Fprintln(w, strings.Join(columns, "\t"))
	}
	for i := range sessions {
		s, r := &sessions[i], &sessions[i].Request
		cells := []string{
			sinceText(s.BlockedSince, now), strconv.FormatInt(s.Events, 10), strconv.FormatInt(s.Bytes, 10), ageText(s, now), string(s.ServedFrom), stateText(s),
			s.User.Username, strings.TrimSuffix(r.Resource+"."+r.APIGroup, "."), strings.Trim(r.Namespace+"/"+r.Name, "/"),
		}
		if wide {
			longest := ""
			if s.LongestBlocked != nil {
				longest = s.LongestBlocked.Duration.String()
			}
			cells = append(cells, strings.Trim(r.LabelSelector+" "+r.FieldSelector, " "), longest, s.User.UserAgent, s.User.SourceIP, s.AuditID)
		}
		for i, text := range cells {
			cells[i] = cell(cmp.Or(text, "-"))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

func sinceText(start *metav1.MicroTime, now time.Time) string {
	if start == nil {
		return ""
	}
	return duration.HumanDuration(now.Sub(start.Time))
}

// ageText returns for how long a watch has been open, or was.
func ageText(s *v1alpha1.WatchSession, now time.Time) string {
	if s.End != nil {
		return duration.HumanDuration(s.End.Duration.Duration)
	}
	return duration.HumanDuration(now.Sub(s.StartTime.Time))
}

func stateText(s *v1alpha1.WatchSession) string {
	if s.End == nil {
		return string(s.State)
	}
	return string(s.End.Reason)
}
